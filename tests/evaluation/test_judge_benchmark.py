"""The judge benchmark: groups, calibration, votes, and both steps of the command."""

import json

import numpy as np
import pytest

from data.labelling import judge_id
from data.row_files import read_rows
from judgerlvr.evaluate import main as evaluate
from judgerlvr.evaluation.items import read_judge_items
from judgerlvr.evaluation.judge_benchmark import benchmark, calibration, votes
from judgerlvr.evaluation.run import Evaluation, Settings, write_evaluation
from judgerlvr.evaluation.summary import summarise
from judgerlvr.judge_benchmark import main
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.records import record


def solution(problem, text, score, model="m", tokens=10, answer="7"):
    return record(
        set=model,
        id=problem,
        problem_id=problem,
        response=text,
        score=score,
        answer="1" if score else answer,
        tokens=tokens,
    )


def verdict(about, said, sample=0, tokens=5):
    label = about.score == 1.0
    return record(
        kind="judge",
        id=judge_id(about.problem_id, about.response),
        problem_id=about.problem_id,
        sample=sample,
        label=label,
        verdict=said,
        score=float(said == label),
        tokens=tokens,
    )


RIGHT_A, WRONG_A = solution("a", "good a", 1.0, "weak"), solution("a", "bad a", 0.0, "weak")
RIGHT_B, WRONG_B = solution("b", "good b", 1.0, "strong", 90), solution("b", "bad b", 0.0, "strong", 90)
SOLUTIONS = [RIGHT_A, WRONG_A, RIGHT_B, WRONG_B]


def balanced(numbers, by):
    return {row["group"]: row["balanced_accuracy"]["value"] for row in numbers["groups"] if row["by"] == by}


def test_groups_by_model_length_and_difficulty():
    said = [verdict(RIGHT_A, True), verdict(WRONG_A, False), verdict(RIGHT_B, True), verdict(WRONG_B, None)]
    numbers = benchmark(said, SOLUTIONS)
    assert balanced(numbers, "all") == {"all": 0.75}
    assert balanced(numbers, "source model") == {"strong": 0.5, "weak": 1.0}
    assert list(balanced(numbers, "length").values()) == [1.0, 0.5]
    assert list(balanced(numbers, "difficulty")) == ["50% to 75% of the responses right"]
    assert [row["no_verdict"] for row in numbers["groups"] if row["by"] == "all"] == [1]


def test_every_verdict_is_in_one_group_of_each_kind():
    rng = np.random.default_rng(0)
    solutions = [
        solution(f"p{i % 20}", f"text {i}", float(rng.random() < 0.6), f"m{i % 3}", int(rng.integers(1, 200)))
        for i in range(100)
    ]
    numbers = benchmark([verdict(s, bool(rng.random() < 0.5)) for s in solutions], solutions)
    for by in ("all", "source model", "length", "difficulty"):
        assert sum(row["judged"] for row in numbers["groups"] if row["by"] == by) == 100


def test_verdicts_of_unknown_responses_are_counted_and_left_out():
    numbers = benchmark([verdict(RIGHT_A, True), verdict(solution("q", "x", 1.0), True)], SOLUTIONS)
    assert (numbers["judged"], numbers["not_found"]) == (1, 1)


def test_calibration_of_shares_of_verdicts():
    said = [verdict(RIGHT_A, True, i) for i in range(2)] + [verdict(WRONG_A, i == 0, i) for i in range(2)]
    found = calibration(said)
    assert found is not None
    assert found.bins == ((0.5, 0.0, 1), (1.0, 1.0, 1))
    assert (found.error, found.brier) == (0.25, 0.125)


def test_single_verdicts_have_no_calibration():
    assert calibration([verdict(RIGHT_A, True)]) is None


def test_a_calibrated_judge_has_a_small_error_and_a_certain_one_does_not():
    rng = np.random.default_rng(1)
    chances, calibrated, certain = rng.random(300), [], []
    for i, chance in enumerate(chances):
        about = solution(f"p{i}", "text", float(rng.random() < chance))
        calibrated += [verdict(about, bool(rng.random() < chance), sample) for sample in range(16)]
        certain += [verdict(about, bool(chance > 0.5), sample) for sample in range(16)]
    good, bad = calibration(calibrated), calibration(certain)
    assert good is not None and bad is not None
    assert good.error < 0.1 < 0.2 < bad.error


def test_a_perfect_judge_finds_the_single_right_answer():
    solutions = [solution("a", f"bad {i}", 0.0) for i in range(3)] + [solution("a", "good", 1.0)]
    found = votes([verdict(s, s.score == 1.0) for s in solutions], solutions)
    last = found.rows[-1]
    assert (last.k, last.majority.value, last.weighted.value) == (4, 0.0, 1.0)
    assert (last.majority_tokens, last.weighted_tokens) == (40, 60)


def test_equal_tokens_gives_the_majority_more_samples():
    solutions = [solution("a", f"t{i}", float(i < 2), answer=str(i)) for i in range(8)]
    found = votes([verdict(s, True, tokens=10) for s in solutions], solutions)
    assert [(row.k, row.equal_k) for row in found.rows] == [(1, 2), (2, 4), (4, 8), (8, 8)]


def test_without_token_counts_nothing_is_at_equal_tokens():
    solutions = [solution("a", f"t{i}", float(i < 2), tokens=None) for i in range(4)]
    row = votes([verdict(s, True) for s in solutions], solutions).rows[0]
    assert row.equal_k is None and row.weighted.value == 0.5
    assert np.isnan([row.majority_tokens, row.weighted_tokens, row.gain.value]).all()


def test_a_group_of_one_class_has_an_accuracy_alone():
    row = benchmark([verdict(RIGHT_A, True), verdict(RIGHT_A, False, 1)], SOLUTIONS)["groups"][0]
    assert row["accuracy"]["value"] == 0.5 and np.isnan(row["balanced_accuracy"]["value"])


def test_problems_with_a_sample_without_verdict_are_left_out_and_silent_samples_need_none():
    silent = record(id="b", problem_id="b", response="nothing", score=0.0, answer=None)
    found = votes([verdict(RIGHT_A, True), verdict(RIGHT_B, True)], [RIGHT_A, WRONG_A, RIGHT_B, silent])
    assert (found.problems, found.left_out) == (1, 1)


ROWS = [
    {"id": "1", "problem": "1+1?", "gold": "2", "response": "so \\boxed{2}", "model": "m"},
    {"id": "1", "problem": "1+1?", "gold": "2", "response": "so \\boxed{3}", "model": "m"},
    {"id": "1", "problem": "1+1?", "gold": "2", "response": "so \\boxed{3}", "model": "m"},
    {"id": "1", "problem": "1+1?", "gold": "2", "response": "no idea", "model": "m"},
]


@pytest.fixture
def solutions(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert evaluate(["--responses", str(path), "--out", str(tmp_path / "solutions")]) == 0
    return tmp_path / "solutions"


def test_prompts_are_one_a_different_answer_and_their_verdicts_make_a_table(tmp_path, solutions, capsys):
    out = tmp_path / "judge.parquet"
    arguments = ["prompts", str(solutions), "--problems", str(tmp_path / "rows.jsonl"), "--out", str(out)]
    assert main(arguments) == 0
    items = read_judge_items(out)
    assert [(item.label, "so \\boxed" in item.prompt[0]["content"]) for item in items] == [(True, True), (False, True)]
    assert [row["extra_info"]["response"] for row in read_rows(out)] == ["so \\boxed{2}", "so \\boxed{3}"]
    evaluation, decoding = Evaluation(), Decoding(n=1)
    rows = [
        record(kind="judge", id=i.id, problem_id=i.problem.id, label=i.label, verdict=i.label, decoding=decoding.name)
        for i in items
    ]
    evaluation.records, evaluation.results = rows, [summarise(rows, decoding)]
    write_evaluation(tmp_path / "verdicts", evaluation, evaluation.summary(Settings(decoding), []))
    files = [str(tmp_path / f"t{suffix}") for suffix in (".md", ".html", ".json")]
    assert main(["table", str(tmp_path / "verdicts"), str(solutions), "--out", *files]) == 0
    numbers = json.loads((tmp_path / "t.json").read_text())
    assert numbers["groups"][0]["balanced_accuracy"]["value"] == 1.0
    assert [row["weighted"]["value"] for row in numbers["votes"]["m"]["rows"]][-1] == 1.0
    assert "Balanced accuracy of the judge" in (tmp_path / "t.md").read_text()
    assert main(arguments) == 2
    assert "this file exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["table", "{solutions}", "{solutions}"], "no judge row"),
        (["table", "none", "{solutions}"], "no summary.json"),
        (["prompts", "{solutions}", "--problems", "{other}", "--out", "{out}"], "is not in the given files"),
        (["prompts", "{solutions}", "--problems", "none.jsonl", "--out", "{out}"], "none.jsonl"),
        (["prompts", "{solutions}", "--problems", "{other}", "--prompt", "no.txt", "--out", "{out}"], "no.txt"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, solutions, capsys, arguments, said):
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"problem": "2+2?", "gold": "4"}) + "\n")
    places = {"solutions": solutions, "other": other, "out": tmp_path / "out.parquet"}
    capsys.readouterr()
    assert main([word.format(**places) for word in arguments]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and said in message
    assert not (tmp_path / "out.parquet").exists()
