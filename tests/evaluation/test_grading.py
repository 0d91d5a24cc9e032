"""Grading: answers by the grader, verdicts by label, and a record for each sample in order."""

from judgerlvr.evaluation.grading import grade_samples, rows_by_set
from judgerlvr.evaluation.run import Evaluation, Settings, without_nan
from judgerlvr.evaluation.table import align, format_summary
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Item, Sample
from rewards.types import Problem, Reason, Result

DECODING = Decoding(n=2)


class ExactGrader:
    """Right iff the response contains the gold in a box."""

    def grade_many(self, pairs):
        scores = [f"\\boxed{{{problem.gold}}}" in response for problem, response in pairs]
        return [Result(float(right), Reason.CORRECT if right else Reason.WRONG) for right in scores]


def sample(item_id, response, label=None, index=0, **changes):
    item = Item(item_id, "heldout", Problem(item_id, "1+1", "2"), [], label)
    return Sample(item, index, response, "prompt", 8, 3, **changes)


def test_generate_and_judge_samples_are_graded_in_their_order():
    samples = [
        sample("a", "</think>\\boxed{2}"),
        sample("j", "</think>\\boxed{No}", label=True),
        sample("b", "</think>\\boxed{3}"),
        sample("k", "</think>\\boxed{No}", label=False),
        sample("m", "</think>maybe", label=False),
    ]
    records = grade_samples(samples, ExactGrader(), DECODING)
    assert [r.id for r in records] == ["a", "j", "b", "k", "m"]
    assert [r.score for r in records] == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert [r.verdict for r in records] == [None, False, None, False, None]
    assert [r.answer for r in records] == ["2", "No", "3", "No", None]


def test_own_verdict_words():
    records = grade_samples([sample("j", "\\boxed{sound}", label=True)], ExactGrader(), DECODING, ("sound", "flawed"))
    assert (records[0].score, records[0].answer) == (1.0, "sound")


def test_sets_keep_their_order_and_kinds_apart():
    mixed = [sample("a", ""), sample("j", "", label=True), sample("b", "")]
    groups = list(rows_by_set(grade_samples(mixed, ExactGrader(), DECODING)))
    assert [[r.id for r in group] for group in groups] == [["a", "b"], ["j"]]


def test_every_printed_row_names_its_sampling_settings():
    evaluation = Evaluation()
    settings = Settings(DECODING)
    mixed = [sample("a", "\\boxed{2}", mean_logprob=-0.25), sample("j", "\\boxed{Yes}", label=True)]
    for decoding in settings.decodings:
        evaluation.add(mixed, decoding, ExactGrader(), settings)
    text = format_summary(without_nan(evaluation.summary(settings, [], limit=7)))
    rows = [line for line in text.splitlines() if line.startswith("heldout")]
    assert len(rows) == 8  # two kinds, scores and lengths, sampled and greedy
    assert all("T=1 n=2 max=1024 seed=0" in row or "greedy n=1 max=1024 seed=0" in row for row in rows)
    assert "limit: the first 7 rows of each file" in text
    assert rows[0].split()[5] == "0.250"


def test_columns_line_up():
    assert align([["set", "n"], ["a", "100"]]) == ["set    n", "a    100"]
