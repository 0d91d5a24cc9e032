"""The judge set: what is kept, balanced and held out, and that neither gold nor label reaches a prompt."""

import random

import pytest

from data.balancing import balanced, by_problem, mixed_only, shuffled_labels, split_by_problem, without_duplicates
from data.baselines import balanced_accuracy, baselines
from data.decontaminate import check_overlap
from data.judge_set import build_judge_set
from data.labelling import Triplet, label_candidates
from data.prompts import JUDGE_FIELDS, load_template
from data.responses import Candidate
from data.verl_rows import render_generate_rows, render_judge_rows, write_parquet
from judgerlvr.config.load import ROOT
from rewards.types import Problem, Reason, Result


def triplet(problem, number, label, response=None):
    shown = response or f"{problem} response {number}"
    return Triplet(Problem(problem, f"text of {problem}", "7"), shown, str(number), label, "m", f"{problem}-{number}")


def pool(problems=6, seed=0):
    draw = random.Random(seed)
    return [triplet(f"p{p}", n, draw.random() < 0.5) for p in range(problems) for n in range(8)]


def grade_many(pairs):
    """Right if the response says so."""
    return [Result(float("right" in text), Reason.CORRECT if "right" in text else Reason.WRONG) for _, text in pairs]


def test_mixed_only_drops_uniform_problems():
    rows = [triplet("a", 1, True), triplet("a", 2, False), triplet("b", 1, True), triplet("c", 1, False)]
    assert {t.problem.id for t in mixed_only(rows)} == {"a"}


def test_balanced_has_equal_classes_for_each_problem_and_respects_the_cap():
    for group in by_problem(balanced(mixed_only(pool()), cap=2, seed=1)).values():
        labels = [t.label for t in group]
        assert labels.count(True) == labels.count(False) <= 2


def test_balance_is_a_function_of_the_seed():
    rows = mixed_only(pool())
    assert balanced(rows, 2, 3) == balanced(rows, 2, 3)
    assert balanced(rows, 2, 3) != balanced(rows, 2, 4)


def test_duplicates_go_within_a_problem_only():
    rows = [triplet("a", 1, True, "x"), triplet("a", 2, True, "x"), triplet("b", 1, True, "x")]
    assert [t.id for t in without_duplicates(rows)] == ["a-1", "b-1"]


def test_shuffled_labels_keep_their_count_and_lose_their_solution():
    triplets = balanced(pool(60), cap=2, seed=0)
    shuffled = shuffled_labels(triplets, seed=0)
    assert sum(t.label for t in shuffled) == sum(t.label for t in triplets)
    assert 0.3 < sum(a.label == b.label for a, b in zip(shuffled, triplets, strict=True)) / len(triplets) < 0.7


def test_the_control_permutes_training_labels_and_leaves_the_held_out_ones():
    names = [f"p{number}" for number in range(40)]
    problems = [Candidate(Problem(p, p, "7"), f"{w} {p}{n}") for p in names for n in range(3) for w in ("right", "no")]
    plain, control = (
        build_judge_set(problems, grade_many=grade_many, heldout_problems=10, shuffle_labels=shuffle)
        for shuffle in (False, True)
    )
    assert control.heldout == plain.heldout
    assert [t.id for t in control.train] == [t.id for t in plain.train]
    assert [t.label for t in control.train] != [t.label for t in plain.train]


def test_no_problem_is_on_both_sides_of_the_split():
    train, heldout = split_by_problem(pool(), 2, seed=0)
    assert not {t.problem.id for t in train} & {t.problem.id for t in heldout}
    assert len({t.problem.id for t in heldout}) == 2


def test_cut_responses_are_no_wrong_solutions():
    cut = Candidate(Problem("a", "?", "7"), "<think>", finish_reason="length")
    labelled = label_candidates([cut], grade_many)
    assert (labelled.triplets, labelled.dropped["truncated"]) == ([], 1)


@pytest.mark.parametrize(("view", "shown"), [("solution", "right"), ("full_response", "<think>hm</think>right")])
def test_view_decides_what_the_judge_sees(view, shown):
    candidate = Candidate(Problem("a", "?", "7"), "<think>hm</think>right")
    assert label_candidates([candidate], grade_many, view).triplets[0].response == shown


def test_given_labels_are_compared_with_the_verifier():
    claims = [Candidate(Problem("a", "?", "7"), "right", label=False), Candidate(Problem("a", "?", "7"), "no", False)]
    labelled = label_candidates(claims, grade_many)
    assert (labelled.compared, labelled.disagreements) == (2, [claims[0]])


def test_card_counts_every_step():
    candidates = [
        Candidate(Problem(p, p, "7"), f"{w} {p}{n}") for p in "abc" for n in range(3) for w in ("right", "no")
    ]
    judge_set = build_judge_set(candidates, grade_many=grade_many, cap_per_problem=2, heldout_problems=1)
    counts = judge_set.card.counts
    assert (counts["candidates"], counts["mixed problems"], counts["training"], counts["held out"]) == (18, 3, 8, 4)
    assert "| balanced | 12 |" in judge_set.card.to_markdown()


def test_prompt_shows_neither_gold_nor_label():
    template = load_template(ROOT / "configs/prompts/judge.txt", JUDGE_FIELDS)
    secret = Triplet(Problem("a", "text", "GOLDGOLD"), "shown", None, True, "m", "i")
    other = Triplet(Problem("a", "text", "GOLDGOLD"), "shown", None, False, "m", "i")
    (row,), (twin,) = render_judge_rows([secret], template), render_judge_rows([other], template)
    assert "GOLDGOLD" not in row["prompt"][0]["content"]
    assert row["prompt"] == twin["prompt"]
    assert (row["reward_model"]["ground_truth"], twin["reward_model"]["ground_truth"]) == ("1", "0")


def test_generate_prompt_shows_no_gold():
    (row,) = render_generate_rows([Problem("a", "text", "GOLDGOLD")], "Solve {{problem}}")
    assert row["prompt"] == [{"role": "user", "content": "Solve text"}]


def test_parquet_round_trip(tmp_path):
    from data.row_files import read_rows

    rows = render_judge_rows(pool(2), "{{problem}} {{response}}")
    write_parquet(tmp_path / "d" / "a.parquet", rows)
    assert read_rows(tmp_path / "d" / "a.parquet") == rows


def test_balanced_accuracy_against_its_naive_twin():
    rows = pool(seed=5)

    def guess(t):
        return int(t.id[-1]) % 3 == 0

    right = [guess(t) for t in rows if t.label]
    wrong = [not guess(t) for t in rows if not t.label]
    assert balanced_accuracy(rows, guess) == pytest.approx((sum(right) / len(right) + sum(wrong) / len(wrong)) / 2)


def test_baseline_finds_an_answer_that_gives_the_label_away():
    rows = [triplet(f"p{p}", int(label), label) for p in range(40) for label in (True, False)]
    assert baselines(rows, rows)["answer string"] > 0.95


def test_dropping_contaminated_problems_keeps_the_rest(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text('{"problem": "one two three four five six seven eight nine", "gold": "1"}\n')
    rows = [Problem("a", "one two three four five six seven eight nine"), Problem("b", "another problem")]
    assert [p.id for p in check_overlap(rows, [path], "drop")] == ["b"]
