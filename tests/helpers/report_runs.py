"""Runs with evaluations for tests of the report, written by the product's own writers."""

import random

from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.run import Evaluation, Settings, write_evaluation
from judgerlvr.evaluation.summary import summarise
from judgerlvr.runs.rollout_log import LoggedRollout, write_step
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.run_folders import step_row, write_run_folder

HOSTILE = "<script>alert('x')</script><img src=q>&{{title}}"


def make_record(draw, kind, problem, sample, decoding, right, mean_tokens):
    score = float(draw.random() < right)
    label = None if kind == "generate" else problem % 2 == 0
    verdict = None if label is None else label == bool(score)
    cut = not score and sample == 0
    drawn = max(4, int(draw.gauss(mean_tokens, mean_tokens / 4)))
    tokens = decoding.max_tokens if cut else drawn
    return Record(
        set="data/heldout.jsonl",
        kind=kind,
        decoding=decoding.name,
        id=f"{kind}-p{problem}",
        problem_id=f"p{problem}",
        sample=sample,
        prompt=f"mod 30\na={problem}\n{HOSTILE}",
        response=f"<think>\nb={problem}+1=3\nwait\nhmm\n</think>\n{HOSTILE}\n\\boxed{{{sample}}}",
        answer=str(sample),
        gold="7",
        label=label,
        verdict=verdict,
        score=score,
        reason="correct" if score else "wrong",
        seconds=0.001,
        tokens=tokens,
        thinking_tokens=tokens // 2,
        finish_reason="length" if cut else "stop",
        mean_logprob=-0.4,
        seed=1,
    )


def make_records(kind, decoding, right, mean_tokens, problems=20, seed=0):
    draw = random.Random(f"{kind} {seed}")
    return [
        make_record(draw, kind, problem, sample, decoding, right, mean_tokens)
        for problem in range(problems)
        for sample in range(decoding.n)
    ]


def write_synthetic_evaluation(folder, right, judge_right, mean_tokens, seed=0, problems=20, settings=None):
    evaluation, settings = Evaluation(), settings or Settings(Decoding(n=4, max_tokens=128))
    for decoding in settings.decodings:
        for kind, chance in (("generate", right), ("judge", judge_right)):
            records = make_records(kind, decoding, chance, mean_tokens, problems, seed)
            evaluation.records += records
            evaluation.results.append(summarise(records, decoding))
    folder.mkdir(parents=True)
    write_evaluation(folder, evaluation, evaluation.summary(settings, []))


def write_run(folder, stage, steps, start, end, parent=None, **facts):
    """A run whose accuracy goes from ``start`` to ``end``, with rollouts of the last step."""
    rows = []
    for step in range(1, steps + 1):
        share = step / steps
        changing = {
            "response/accuracy": start + (end - start) * share,
            "response/mean_tokens": 60 - 20 * share,
            "tokens/correct": 50 - 20 * share,
            "reason/correct": 5.0,
            "reason/<b>wrong": 3.0,
            "budget/generated_tokens": 15000.0 * step,
            "perf/throughput": 1000.0,
            "validation/accuracy/generate": start + (end - start) * share - 0.02,
        }
        rows.append(step_row(step, stage, more=changing))
    known = {
        "steps": 10 * steps,
        "seed": 0,
        "model_hash": f"{len(folder.name):064x}",
        "export": "policy",
        "device": "cpu",
    }
    write_run_folder(folder, stage, rows, parent, versions={"verl": "0.9.1"}, git_commit="0" * 40, **(known | facts))
    write_step(folder / "rollouts", steps, [rollout(steps, sample) for sample in range(2)])


def rollout(step, sample):
    return LoggedRollout(step, "train-1", sample, f"a\n{HOSTILE}", f"b\n{HOSTILE}", 1.0, "correct", 12)


def write_three(folder):
    """Judge, JudgeRLVR and vanilla at equal steps, the base evaluated in the judge run."""
    judge, generate, vanilla = (folder / name for name in ("judge", "generate", "vanilla"))
    write_run(judge, "judge", 8, 0.6, 0.85)
    write_run(generate, "generate", 16, 0.45, 0.9, {"path": "ckpt/judge", "run": "judge", "hash": "a" * 64})
    write_run(vanilla, "generate", 24, 0.3, 0.88, length_term="yes")
    write_synthetic_evaluation(judge / "eval" / "base", 0.3, 0.6, 70, 1)
    write_synthetic_evaluation(judge / "eval" / "final", 0.5, 0.85, 55, 2)
    write_synthetic_evaluation(generate / "eval" / "final", 0.9, 0.8, 38, 3)
    write_synthetic_evaluation(vanilla / "eval" / "final", 0.88, 0.7, 46, 4)
    return [judge, generate, vanilla]
