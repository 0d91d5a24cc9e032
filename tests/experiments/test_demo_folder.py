"""The folder of a demo: unused, or begun before, also where the folder was moved."""

import pytest

from judgerlvr.experiments import command, demo
from rewards.errors import BAD_INPUT


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Runs of experiments in an empty folder, as the folders that they were given."""
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(
        command, "run_experiment", lambda plan, out: (seen.append(str(out)), command.take_folder(plan, out))
    )
    return seen


def test_a_moved_demo_goes_on_where_it_lies(calls, tmp_path):
    assert demo.main([]) == 0
    (tmp_path / "runs" / "demo").rename(tmp_path / "elsewhere")
    assert demo.main(["--resume", "--out", "elsewhere"]) == 0
    assert calls == ["runs/demo", "elsewhere"]


@pytest.mark.parametrize("words", [[], ["--out", "runs/demo"]])
def test_a_demo_that_is_no_longer_there_is_one_line_with_the_remedy(calls, tmp_path, capsys, words):
    demo.main([])
    (tmp_path / "runs" / "demo").rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert demo.main(["--resume", *words]) == BAD_INPUT
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and ("by --out" in line or "give the demo's folder" in line)


def test_a_demo_of_another_base_is_refused_by_name(calls, capsys):
    demo.main(["--model", "qwen3"])
    assert demo.main(["--resume", "--out", "runs/demo", "--model", "qwen3_moe"]) == BAD_INPUT
    line = capsys.readouterr().err
    assert "base/qwen3, now: - model.path=" in line and line.count("\n") == 1
