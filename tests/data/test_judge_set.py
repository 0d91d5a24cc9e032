"""The judge set: what is kept, balanced and held out, and that neither gold nor label reaches a prompt."""

import json
import random
from collections import Counter, defaultdict

import numpy as np
import pyarrow.parquet
import pytest

from data import labelling, verl_rows
from data.balancing import balanced, by_problem, mixed_only, shuffled, split_by_problem, without_duplicates
from data.baselines import Columns, baselines
from data.candidate_store import CandidateStore
from data.decontaminate import check_overlap
from data.judge_row import judge_schema, render_judge_rows
from data.judge_set import JudgeSetSettings, NothingToJudge, build_judge_set
from data.labelling import Triplet, View, label_candidates
from data.prompts import JUDGE_FIELDS, load_template
from data.responses import Candidate
from data.row_files import read_rows
from data.verl_rows import render_generate_rows, write_parquet
from judgerlvr.config.load import ROOT
from rewards.errors import InputError
from rewards.types import Problem, Reason, Result


def grade_many(pairs):
    """Right if the response says so."""
    return [Result(float("right" in text), Reason.CORRECT if "right" in text else Reason.WRONG) for _, text in pairs]


def candidates(problems=12, responses=8, seed=0):
    """Random outcomes, some problems uniform, some responses repeated."""
    draw = random.Random(seed)
    made = []
    for number in range(problems):
        rate = draw.choice([0, 0.3, 0.5, 0.8, 1])
        for _ in range(responses):
            word = "right" if draw.random() < rate else "no"
            text = f"{word} \\boxed{{{draw.randrange(4)}}} {draw.randrange(9)}"
            made.append(Candidate(Problem(f"{number:04x}", f"problem {number}", "7"), text, model=draw.choice("ab")))
    return made


def columns(seed=0, problems=12):
    """(all places, problem, label, digest) of random candidates."""
    draw = np.random.default_rng(seed)
    problem = np.repeat(np.arange(problems, dtype=np.int32), 8)
    label = draw.random(len(problem)) < draw.random(problems)[problem].round() * 0.5 + 0.25
    return np.arange(len(problem)), problem, label, draw.integers(0, 5, len(problem)).astype(np.uint64)


def build(made, **settings):
    return build_judge_set(made, grade_many=grade_many, settings=JudgeSetSettings(**settings))


@pytest.mark.parametrize("seed", range(10))
def test_mixed_problems_are_those_with_both_labels(seed):
    places, problem, label, _ = columns(seed)
    naive = [p for p in places if len({bool(label[q]) for q in places if problem[q] == problem[p]}) == 2]
    assert mixed_only(places, problem, label).tolist() == naive


@pytest.mark.parametrize("cap", [0, 1, 2])
def test_balanced_has_equal_classes_for_each_problem_and_respects_the_cap(cap):
    places, problem, label, _ = columns(1)
    kept = balanced(mixed_only(places, problem, label), problem, label, cap, seed=1)
    for group in by_problem(kept, problem):
        right = int(label[group].sum())
        assert 2 * right == len(group)
        assert right <= (cap or 8)


def test_balance_is_a_function_of_the_seed():
    places, problem, label, _ = columns(1)
    draws = [balanced(places, problem, label, 2, seed).tolist() for seed in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("seed", range(10))
def test_the_first_of_identical_responses_to_a_problem_stays(seed):
    places, problem, _, shown = columns(seed)
    naive = list({(problem[p], shown[p]): p for p in reversed(places.tolist())}.values())
    assert without_duplicates(places, problem, shown).tolist() == sorted(naive)


def test_shuffled_labels_keep_their_count_and_lose_their_solution():
    _, _, label, _ = columns(0, 60)
    permuted = shuffled(label, seed=0)
    assert permuted.sum() == label.sum()
    assert 0.3 < (permuted == label).mean() < 0.7


def test_the_control_permutes_training_labels_and_leaves_the_held_out_ones():
    made = candidates(80)
    plain, control = (build(made, heldout_problems=10, shuffle_labels=shuffle) for shuffle in (False, True))
    assert list(control.heldout) == list(plain.heldout)
    assert [t.id for t in control.train] == [t.id for t in plain.train]
    assert [t.label for t in control.train] != [t.label for t in plain.train]


def test_no_problem_is_on_both_sides_of_the_split():
    places, problem, _, _ = columns()
    train, heldout = split_by_problem(places, problem, 2, seed=0)
    assert not set(problem[train]) & set(problem[heldout])
    assert len(set(problem[heldout])) == 2


def label(made, **settings):
    return label_candidates(CandidateStore.of(made), grade_many, **settings)


def test_cut_responses_are_no_wrong_solutions():
    table = label([Candidate(Problem("a", "?", "7"), "<think>", finish_reason="length")])
    assert (table.usable.sum(), table.dropped["truncated"]) == (0, 1)


@pytest.mark.parametrize(("view", "shown"), [("solution", "right"), ("full_response", "<think>hm</think>right")])
def test_view_decides_what_the_judge_sees(view, shown):
    made = [Candidate(Problem("a", "?", "7"), f"<think>hm</think>{word}") for word in ("right", "no")]
    judge_set = build(made, view=View(view))
    assert shown in [t.response for t in judge_set.train]


def test_given_labels_are_compared_with_the_verifier():
    claims = [Candidate(Problem("a", "?", "7"), "right", label=False), Candidate(Problem("a", "?", "7"), "no", False)]
    table = label(claims)
    assert (table.compared, table.denied, table.examples) == (2, 1, [0])


@pytest.mark.parametrize("seed", range(5))
def test_the_card_counts_what_is_in_the_set(seed):
    judge_set = build(candidates(60, seed=seed), cap_per_problem=2, heldout_problems=5)
    for name, triplets in (("train", list(judge_set.train)), ("heldout", list(judge_set.heldout))):
        labels = Counter(t.label for t in triplets)
        problems = {t.problem.id for t in triplets}
        counted = {"problems": len(problems), "right": labels[True], "wrong": labels[False]}
        assert judge_set.card.splits[name] == counted
        assert labels[True] == labels[False]
    models = Counter(t.model for t in [*judge_set.train, *judge_set.heldout])
    assert {name: sum(row.values()) for name, row in judge_set.card.models.items()} == models


def test_every_filter_runs_before_the_balance():
    """200 short right and 200 long wrong responses: without the long ones there is nothing to judge."""
    made = []
    for number in range(200):
        problem = Problem(f"{number:04x}", f"problem {number}", "7")
        made += [Candidate(problem, "right"), Candidate(problem, "no " * 500)]

    def refuse(problem, shown):
        return "prompt_too_long" if len(shown) > 100 else None

    with pytest.raises(InputError, match="0 problems of mixed outcome among 200"):
        build_judge_set(made, grade_many=grade_many, refuse=refuse)


@pytest.mark.parametrize(
    ("responses", "says"),
    [
        (["no", "never"], "no correct candidate among 4, 0 problems of mixed outcome among 2"),
        (["right", "so right"], "no wrong candidate among 4, 0 problems of mixed outcome among 2"),
        (["right", "foul"], "no wrong candidate among 4 (2 odd), 0 problems of mixed outcome among 2"),
        (["foul", "so foul"], "no correct candidate among 4 (4 odd), 0 problems of mixed outcome among 0"),
    ],
)
def test_an_outcome_that_no_candidate_has_is_named(responses, says):
    made = [Candidate(Problem(f"{at}", f"problem {at}", "7"), text) for at in range(2) for text in responses]
    with pytest.raises(NothingToJudge) as refused:
        build_judge_set(made, grade_many=grade_many, refuse=lambda _, shown: "odd" if "foul" in shown else None)
    assert refused.value.problem == f"nothing to judge: {says}"


def test_a_refused_prompt_is_counted_and_not_written():
    made = candidates(40)
    judge_set = build_judge_set(
        made, grade_many=grade_many, refuse=lambda _, shown: "odd" if "boxed{1}" in shown else None
    )
    assert judge_set.card.dropped["odd"] == sum("boxed{1}" in c.response for c in made)
    assert not [t for t in judge_set.train if "boxed{1}" in t.response]


def test_two_builds_are_equal_to_the_bit(tmp_path):
    contents = []
    for name in "ab":
        judge_set = build(candidates(60), heldout_problems=5)
        judge_set.card.write(tmp_path / name)
        write_parquet(
            tmp_path / name / "t.parquet", list(render_judge_rows(judge_set.train, "{{problem}} {{response}}"))
        )
        contents.append(
            [(tmp_path / name / file).read_bytes() for file in ("card.json", "card.md", "card.html", "t.parquet")]
        )
    assert contents[0] == contents[1]


def test_the_card_is_the_same_in_all_forms():
    card = build(candidates(40)).card
    assert json.loads(json.dumps(card.to_json(), allow_nan=False))["counts"] == dict(card.counts)
    for table in card.tables():
        assert f"## {table.title}" in card.to_markdown()
        assert f"<h2>{table.title}</h2>" in card.to_html()


def test_a_name_in_the_card_cannot_break_the_page():
    made = [Candidate(c.problem, c.response, model="<b>|x") for c in candidates(40)]
    card = build(made).card
    assert "<b>" not in card.to_html()
    assert r"<b>\|x" in card.to_markdown()


def test_two_golds_of_one_problem_are_named():
    made = [Candidate(Problem("a", "?", gold), "right") for gold in ("7", "8")]
    with pytest.raises(InputError, match="two gold answers: '7', '8'"):
        build(made)


def test_prompt_shows_neither_gold_nor_label():
    template = load_template(ROOT / "configs/prompts/judge.txt", JUDGE_FIELDS)
    secret = Triplet(Problem("a", "text", "GOLDGOLD"), "shown", None, True, "m", "i")
    other = Triplet(Problem("a", "text", "GOLDGOLD"), "shown", None, False, "m", "i")
    (row,), (twin,) = (list(render_judge_rows([made], template)) for made in (secret, other))
    assert "GOLDGOLD" not in row["prompt"][0]["content"]
    assert row["prompt"] == twin["prompt"]
    assert (row["reward_model"]["ground_truth"], twin["reward_model"]["ground_truth"]) == ("1", "0")


def test_generate_prompt_shows_no_gold():
    (row,) = render_generate_rows([Problem("a", "text", "GOLDGOLD")], "Solve {{problem}}")
    assert row["prompt"] == [{"role": "user", "content": "Solve text"}]


def test_parquet_round_trip(tmp_path):
    rows = list(render_judge_rows(build(candidates(40)).train, "{{problem}} {{response}}"))
    write_parquet(tmp_path / "d" / "a.parquet", rows)
    assert read_rows(tmp_path / "d" / "a.parquet") == rows


@pytest.mark.parametrize("length", [10, 5000])
def test_chunks_and_row_groups_end_at_their_characters(tmp_path, monkeypatch, length):
    monkeypatch.setattr(labelling, "CHUNK_CHARACTERS", 20_000)
    monkeypatch.setattr(verl_rows, "GROUP_CHARACTERS", 20_000)
    made = [Candidate(c.problem, f"{c.response} {place}".ljust(length, ".")) for place, c in enumerate(candidates(40))]
    sizes = []

    def grade(pairs):
        sizes.append(sum(len(text) for _, text in pairs))
        return grade_many(pairs)

    rows = list(render_judge_rows(build_judge_set(made, grade_many=grade).train, "{{problem}} {{response}}"))
    assert max(sizes) < 20_000 + length + 10
    assert sum(sizes) == sum(len(c.response) for c in made)
    write_parquet(tmp_path / "a.parquet", rows, judge_schema())
    file = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet")
    largest = max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups))
    assert largest <= 20_000 // length + 1
    assert read_rows(tmp_path / "a.parquet") == rows


def naive_baselines(kept, usable, data, halves):
    """Each baseline one row at a time."""
    problem, label, length, answer = data.problem, data.label, data.length, data.answer

    def score(guesses):
        recalls = []
        for wanted in (True, False):
            said = [guesses[p] == wanted for p in guesses if label[p] == wanted]
            recalls.append(sum(said) / len(said))
        return sum(recalls) / 2

    longer = score({p: length[p] > np.median([length[q] for q in kept if problem[q] == problem[p]]) for p in kept})
    common = {n: Counter(answer[q] for q in usable if problem[q] == n).most_common(1)[0][0] for n in set(problem)}
    scores = []
    for half in (False, True):
        votes = defaultdict(int)
        for q in kept:
            if halves[problem[q]] == half:
                votes[answer[q]] += 1 if label[q] else -1
        scores.append(score({p: votes.get(answer[p], 0) > 0 for p in kept if halves[problem[p]] != half}))
    return {
        "majority class": 0.5,
        "longer response": max(longer, 1 - longer),
        "majority answer": score({p: answer[p] == common[problem[p]] for p in kept}),
        "answer string": sum(scores) / 2,
    }


@pytest.mark.parametrize("seed", range(10))
def test_baselines_are_their_naive_twins(seed):
    places, problem, label, answer = columns(seed, 30)
    draw = np.random.default_rng(seed)
    data = Columns(problem, label, draw.integers(1, 30, len(problem)).astype(np.int32), answer)
    kept, halves = places[draw.random(len(places)) < 0.7], draw.random(30) < 0.5
    assert baselines(kept, places, data, halves) == pytest.approx(naive_baselines(kept, places, data, halves))


def test_baseline_finds_an_answer_that_gives_the_label_away():
    problem = np.repeat(np.arange(40, dtype=np.int32), 2)
    label = np.arange(80) % 2 == 0
    data = Columns(problem, label, np.ones(80, np.int32), label.astype(np.uint64))
    places, halves = np.arange(80), np.arange(40) % 2 == 0
    assert baselines(places, places, data, halves)["answer string"] > 0.95


def test_dropping_contaminated_problems_keeps_the_rest(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text('{"problem": "one two three four five six seven eight nine", "gold": "1"}\n')
    rows = [Problem("a", "one two three four five six seven eight nine"), Problem("b", "another problem")]
    assert [p.id for p in check_overlap(rows, [path], "drop")] == ["b"]
