"""The examples run as their pages say, at tiny size and without training."""

import pytest

from examples.own_verifier.verifier import verify
from judgerlvr.config.load import ROOT
from judgerlvr.make_judge_data import main as make_judge_data
from judgerlvr.stage1_judge import main as stage1
from judgerlvr.stage2_generate import main as stage2
from rewards.types import Problem, Reason

GOLD = "apple, pear, plum"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    """The examples' files are named from the root of the checkout."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("stage", [stage1, stage2])
@pytest.mark.parametrize("example", ["own_data", "own_verifier"])
def test_dry_run_of_an_example(stage, example, capsys):
    assert stage(["--config", f"examples/{example}/config.yaml", "--dry-run"]) == 0
    assert "dry run: nothing was started" in capsys.readouterr().out


def test_judge_set_of_own_candidates(tmp_path, capsys):
    candidates = "judge.data.responses=[examples/own_data/candidates.jsonl]"
    assert make_judge_data([str(tmp_path), "--config", "examples/own_data/config.yaml", candidates]) == 0
    assert (tmp_path / "data" / "train.parquet").is_file()
    assert (tmp_path / "data" / "heldout.parquet").is_file()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GOLD, Reason.CORRECT),
        ("apple,pear,plum", Reason.CORRECT),
        ("pear, apple, plum", Reason.WRONG),
        ("apple, pear", Reason.WRONG),
        ("apple,, plum", Reason.UNPARSABLE),
        ("", Reason.UNPARSABLE),
    ],
)
def test_own_verifier(answer, reason):
    assert verify(Problem("1", "Sort.", GOLD), answer).reason is reason
