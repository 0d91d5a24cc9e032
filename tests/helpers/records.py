"""Graded records with the fields that a test cares about."""

from judgerlvr.evaluation.records import Record


def record(**changes) -> Record:
    values = dict(
        set="s",
        kind="generate",
        decoding="T=1",
        id="p",
        problem_id="p",
        sample=0,
        prompt="",
        response="",
        answer=None,
        gold="1",
        label=None,
        verdict=None,
        score=1.0,
        reason="correct",
        seconds=0.0,
        tokens=10,
        thinking_tokens=4,
        finish_reason="stop",
        mean_logprob=-0.5,
        seed=1,
    )
    return Record(**(values | changes))


def samples(problem: str, scores: str, tokens: int = 10, **changes) -> list[Record]:
    """Records of one problem, one for each character of ``scores``: 1 for right, 0 for wrong."""
    return [
        record(id=problem, problem_id=problem, sample=i, score=float(score), tokens=tokens, **changes)
        for i, score in enumerate(scores)
    ]
