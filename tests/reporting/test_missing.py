"""Gaps that would change a figure are told, runs of one name are told apart, and a copy is no second run."""

import json
import shutil

import pytest

from judgerlvr.report import main
from judgerlvr.reporting.missing import missing
from judgerlvr.reporting.runs import read_run, told_apart
from tests.helpers.report_runs import write_three


@pytest.fixture
def folders(tmp_path):
    return write_three(tmp_path)


def told(folders):
    return list(missing([read_run(folder) for folder in folders]))


def one(folders, name):
    return next(folder for folder in folders if folder.name == name)


def keep(file, lines):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:lines]))


def set_fact(folder, **facts):
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | facts))


def test_whole_runs_lack_nothing(folders):
    assert [text for text in told(folders) if "config.yaml" not in text] == []


@pytest.mark.parametrize("kept", [0, 1, 50])
def test_samples_that_are_gone_are_counted(folders, kept):
    file = next(folders[-1].glob("eval/*/samples.jsonl"))
    keep(file, kept)
    assert any(f"holds {kept} of " in text and "paired differences" in text for text in told(folders))


def test_a_last_row_that_is_gone_is_told_by_the_step_that_training_ended_with(folders):
    run = folders[-1]
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    set_fact(run, trained=f"global_step_{max(steps)}")
    assert not [text for text in told(folders) if "steps and tokens are too few" in text]
    keep(run / "metrics.jsonl", len(steps) - 1)
    assert [text for text in told(folders) if f"and the run at step {max(steps)}" in text]


def test_samples_without_a_summary_are_named(folders):
    next(folders[-1].glob("eval/*/summary.json")).unlink()
    assert any("has samples and no summary.json" in text for text in told(folders))


def test_a_run_without_the_run_before_lacks_its_cost(folders):
    child = next(folder for folder in folders if json.loads((folder / "manifest.json").read_text())["parent"]["run"])
    others = [folder for folder in folders if read_run(folder).stage != "judge"]
    assert child in others
    assert any("is not on this page" in text for text in told(others))
    (next(folder for folder in folders if read_run(folder).stage == "judge") / "metrics.jsonl").unlink()
    assert any("has no steps on record" in text for text in told(folders))


def test_runs_of_one_name_get_the_folder_before_it(tmp_path):
    runs = [read_run(folder) for seed in ("s1", "s2") for folder in write_three(tmp_path / seed)]
    names = [run.name for run in told_apart(runs)]
    assert len(set(names)) == len(names)
    assert all(name.startswith(("s1/", "s2/")) for name in names)


def test_runs_of_their_own_names_keep_their_names(folders):
    runs = [read_run(folder) for folder in folders]
    assert [run.name for run in told_apart(runs)] == [run.own_name for run in runs]


def test_a_copy_of_a_run_is_refused(folders, tmp_path, capsys):
    for folder in folders:
        set_fact(folder, model_hash=folder.name, started="2026-11-30T00:00:00+00:00")
    copy = tmp_path / "copy" / folders[0].name
    shutil.copytree(folders[0], copy)
    assert main([*map(str, folders), str(copy), "--out", str(tmp_path / "page.html")]) == 2
    assert "is a copy of" in capsys.readouterr().err
