"""A model that solves nothing ends stage 1 with one line and exit code 1. Its candidates stay."""

from contextlib import nullcontext

import pytest

from data.jsonl import read_jsonl
from judgerlvr.pipeline import stages
from judgerlvr.sampling import candidates
from judgerlvr.stage1_judge import main
from tests.helpers.fake_engines import FakeEngines

PROBLEMS, SAMPLES = 12, 2
COMMAND = [
    "--config=configs/tiny.yaml",
    f"data.tiny_train={PROBLEMS}",
    "judge.data.problems=0",
    "judge.data.heldout_problems=2",
    f"judge.data.samples_per_problem={SAMPLES}",
    "judge.batch.prompts_per_step=4",
]


@pytest.fixture
def engines(monkeypatch, tmp_path):
    """Engines whose responses never hold an answer, as those of random weights."""
    made = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "import_once", lambda *_: None)
    monkeypatch.setattr(candidates, "ray_engines", lambda _: made.append(FakeEngines(width=8)) or nullcontext(made[-1]))
    return made


def test_the_line_counts_the_candidates_and_says_where_they_are(engines, tmp_path, capsys):
    assert main(COMMAND) == 1
    line = capsys.readouterr().err
    kept = tmp_path / "runs" / "judge" / "data" / "candidates.jsonl"
    assert line.startswith("failed: nothing to judge: no correct candidate among 24 (")
    assert f"; the candidates are kept in {kept}; " in line and line.count("\n") == 1
    assert len(list(read_jsonl(kept))) == PROBLEMS * SAMPLES


def test_the_same_command_samples_nothing_again(engines, capsys):
    assert main(COMMAND) == main(COMMAND) == 1
    assert len(engines[0].asked) == PROBLEMS * SAMPLES
    assert [len(made.asked) for made in engines[1:]] == [0]


def test_stored_responses_without_a_right_one_are_bad_input(engines, tmp_path, capsys):
    main(COMMAND)
    capsys.readouterr()
    kept = tmp_path / "runs" / "judge" / "data" / "candidates.jsonl"
    assert main([*COMMAND, "name=stored", f"judge.data.responses=[{kept}]"]) == 2
    assert "no correct candidate among 24" in capsys.readouterr().err
