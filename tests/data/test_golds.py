"""A gold that no right answer matches is named by every command that reads golds."""

from __future__ import annotations

import pytest

from data.jsonl import read_jsonl, write_jsonl
from judgerlvr.config.load import ROOT
from judgerlvr.evaluate import main as evaluate
from judgerlvr.inspect_data import main as inspect_data
from judgerlvr.make_judge_data import main as make_judge_data
from judgerlvr.stage1_judge import main as stage1
from judgerlvr.stage2_generate import main as stage2
from tests.helpers.stage_runs import write_candidates

GOLD = "9 (3 apples)"
NAMED = "golds never matched by another spelling"


@pytest.fixture
def problems(tmp_path):
    rows = [{"problem": f"How many are {left} and {left + 1}?", "gold": str(2 * left + 1)} for left in range(40)]
    write_jsonl(tmp_path / "problems.jsonl", [*rows, {"problem": "How many were sold?", "gold": GOLD}])
    return tmp_path / "problems.jsonl"


def test_inspect_data_names_it(problems, capsys):
    assert inspect_data([str(problems), "--golds"]) == 0
    assert f"1 of 41 {NAMED}" in capsys.readouterr().out


@pytest.mark.parametrize("stage", [stage1, stage2])
def test_a_stage_names_it_before_training(problems, stage, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    given = [f"data.train=[{problems}]", "judge.data.heldout_problems=10"]
    assert stage(["--config", "configs/tiny.yaml", *given, "--dry-run"]) == 0
    assert f"1 of 41 {NAMED}" in capsys.readouterr().out


def test_make_judge_data_names_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    candidates = tmp_path / "candidates.jsonl"
    write_candidates(candidates)
    bad = [{"problem": "How many were sold?", "gold": GOLD, "response": rf"\boxed{{{n}}}"} for n in range(6)]
    write_jsonl(tmp_path / "all.jsonl", [*read_jsonl(candidates), *bad])
    out = str(tmp_path / "out")
    assert (
        make_judge_data([out, "--config", "configs/tiny.yaml", f"judge.data.responses=[{tmp_path / 'all.jsonl'}]"]) == 0
    )
    assert NAMED in capsys.readouterr().err


@pytest.fixture
def candidates(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    write_candidates(tmp_path / "candidates.jsonl")
    return ["--config", "configs/tiny.yaml", f"judge.data.responses=[{tmp_path / 'candidates.jsonl'}]"]


def test_make_judge_data_leaves_a_set_that_is_there(tmp_path, candidates, capsys):
    words = [str(tmp_path / "out"), *candidates]
    assert make_judge_data(words) == 0
    before = (tmp_path / "out" / "data" / "train.parquet").read_bytes()
    assert make_judge_data([*words, "judge.data.heldout_problems=1"]) == 2
    assert "holds a judge set already" in capsys.readouterr().err
    assert (tmp_path / "out" / "data" / "train.parquet").read_bytes() == before


def test_make_judge_data_looks_for_the_verdict_words(tmp_path, candidates, capsys):
    (tmp_path / "judge.txt").write_text("{{problem}} {{response}} Answer Yes.")
    assert make_judge_data([str(tmp_path / "out"), *candidates, f"judge.data.prompt={tmp_path / 'judge.txt'}"]) == 2
    assert "verdict word 'No' does not occur" in capsys.readouterr().err


def test_all_problems_held_out_is_the_cause_that_is_named(tmp_path, candidates, capsys):
    assert make_judge_data([str(tmp_path / "out"), *candidates, "judge.data.heldout_problems=100000"]) == 2
    assert "of mixed outcome are held out" in capsys.readouterr().err


def test_evaluate_names_it(tmp_path, capsys):
    write_jsonl(tmp_path / "stored.jsonl", [{"problem": "How many were sold?", "gold": GOLD, "response": r"\boxed{9}"}])
    assert evaluate(["--responses", str(tmp_path / "stored.jsonl"), "--out", str(tmp_path / "out")]) == 0
    assert "1 of 1 gold never matched by another spelling" in capsys.readouterr().err
