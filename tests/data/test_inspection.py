"""The command that shows how files are read, and the normalised file."""

import json

import pytest

from data.jsonl import read_jsonl, write_jsonl
from data.problems import read_problems
from judgerlvr.inspect_data import main

LONG = "A farmer has {} sheep and buys {} more sheep at the market in spring. How many sheep has the farmer then?"


@pytest.fixture
def files(tmp_path):
    rows = [
        {"id": n, "question": f"Solve this task now. {LONG.format(n, 2 * n)}", "answer": str(3 * n), "level": n}
        for n in range(40)
    ]
    write_jsonl(tmp_path / "a.jsonl", [*rows, rows[0], {"question": "No gold?", "answer": None}])
    write_jsonl(tmp_path / "b.jsonl", [{"problem": LONG.format(7, 14), "gold": "\\frac{"}])
    return [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]


def test_everything_that_a_person_should_know_is_shown(files, capsys):
    assert main([*files, "data.bad_rows=drop"]) == 0
    said = capsys.readouterr().out
    for text in (
        "42 rows, 40 problems",
        "columns used: answer (41), id (41), question (41)",
        "not shown: level",
        "1 row left out, repeats of a problem",
        "1 row dropped: no gold answer",
        "template text at the start of many problems: 'solve this task now a farmer has'",
        "golds that the verifier does not read: 1",
        "b.jsonl row 1: '\\\\frac{' is",
        "below     128:      40 ####",
        "--- 0 (gold '0')",
        "--- 4 (gold '12')",
        "1 problem of the first occurs in the second",
        "'7: Solve this task now. A farmer has 7 sheep",
    ):
        assert text in said
    assert "--- 5 (gold" not in said


def test_golds_that_no_right_answer_matches_are_listed_by_row(tmp_path, capsys):
    rows = [{"problem": "How many are left?", "gold": "7"}, {"problem": "How many were sold?", "gold": "9 (3 apples)"}]
    write_jsonl(tmp_path / "golds.jsonl", rows)
    assert main([str(tmp_path / "golds.jsonl"), "--golds"]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 golds never matched by another spelling" in said
    assert "golds.jsonl row 2: '9 (3 apples)'" in said


def test_golds_whose_unit_is_left_out_are_named_as_they_are_read(tmp_path, capsys):
    rows = [{"problem": f"How many of {n} are left?", "gold": f"{n} (apples)"} for n in range(5)]
    write_jsonl(tmp_path / "golds.jsonl", [*rows, {"problem": "How far?", "gold": "9 (3 apples)"}])
    assert main([str(tmp_path / "golds.jsonl")]) == 0
    said = capsys.readouterr().out
    assert "5 golds read without a unit in brackets: row 1 '0 (apples)' as '0', row 2" in said


def test_bad_rows_stop_the_command_after_all_is_shown(files, capsys):
    assert main(files) == 2
    said = capsys.readouterr()
    assert "row 42, field 'answer': no gold answer" in said.err
    assert "characters of a problem" in said.out


def test_the_normalised_file_holds_the_same_problems(files, tmp_path):
    out = tmp_path / "out.jsonl"
    assert main([files[0], "data.bad_rows=drop", "--out", str(out)]) == 0
    from data.importing.options import ReadOptions

    before = read_problems(files[0], ReadOptions(bad_rows="drop"))
    after = read_problems(out)
    assert [(p.id, p.gold, p.meta["given_id"], p.meta["level"]) for p in after] == [
        (p.id, p.gold, p.meta["given_id"], p.meta["level"]) for p in before
    ]


def test_an_existing_file_is_not_overwritten(files, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    out.write_text(json.dumps({"mine": 1}) + "\n")
    assert main([files[1], "--out", str(out)]) == 2
    assert list(read_jsonl(out)) == [{"mine": 1}]


def test_turns_and_choices_survive_the_normalised_file(tmp_path):
    turns = [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Which?"}]
    source = tmp_path / "a.jsonl"
    write_jsonl(source, [{"prompt": turns, "choices": ["p", "q"], "answer": 1}])
    assert main([str(source), "--out", str(tmp_path / "out.jsonl")]) == 0
    (before,), (after,) = read_problems(source), read_problems(tmp_path / "out.jsonl")
    assert (after.id, after.text, after.gold) == (before.id, before.text, "B")
