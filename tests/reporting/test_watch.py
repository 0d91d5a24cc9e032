"""The watch: a page for as long as a run goes on, and a last page at the end."""

import json
import shutil
from dataclasses import replace

import pytest

from judgerlvr.report import main, parse_arguments
from judgerlvr.reporting import command
from judgerlvr.runs.folder import write_failure
from judgerlvr.runs.lock import held
from judgerlvr.runs.manifest import read_manifest, write_manifest
from judgerlvr.runs.metrics import METRICS, append_row
from tests.helpers.report_runs import write_run
from tests.helpers.run_folders import step_row


@pytest.fixture
def pages(monkeypatch):
    """What each written page was made of: last steps and seconds between reloads."""
    seen = []

    def render(runs, reload_seconds=0):
        seen.append(([run.training[-1].step for run in runs], reload_seconds))
        return f"page {len(seen)}"

    monkeypatch.setattr(command, "render_page", render)
    return seen


def play(monkeypatch, *acts):
    """Do an act at each sleep. A watch that sleeps longer than the acts last is an error."""
    left = iter(acts)
    monkeypatch.setattr(command.time, "sleep", lambda seconds: next(left)())


def test_a_page_follows_a_run_until_the_run_ends(tmp_path, monkeypatch, pages):
    run, out = tmp_path / "judge", tmp_path / "r.html"
    write_run(run, "judge", 2, 0.5, 0.6, export=None)
    lock = held(run)
    lock.__enter__()

    def finish():
        write_manifest(run, replace(read_manifest(run), export="policy"))
        lock.__exit__(None, None, None)

    more = [lambda: append_row(run / METRICS, step_row(3)), lambda: None, finish]
    play(monkeypatch, *more)
    assert main([str(run), "--watch", "--every", "7", "--out", str(out)]) == 0
    assert pages == [([2], 7), ([3], 7), ([3], 0)]
    assert out.read_text() == "page 3"


def test_a_run_that_is_not_there_yet_is_waited_for(tmp_path, monkeypatch, pages):
    run = tmp_path / "judge"
    play(monkeypatch, lambda: write_run(run, "judge", 2, 0.5, 0.6))
    assert main([str(run), "--watch", "--out", str(tmp_path / "r.html")]) == 0
    assert pages == [([2], 0)]


def test_a_summary_that_is_being_written_is_waited_for(tmp_path, monkeypatch, pages, capsys):
    run = tmp_path / "judge"
    write_run(run, "judge", 2, 0.5, 0.6)
    summary = run / "eval" / "final" / "summary.json"
    summary.parent.mkdir(parents=True)
    summary.write_text('{"results": [')
    play(monkeypatch, lambda: summary.write_text(json.dumps({"results": []})))
    assert main([str(run), "--watch", "--out", str(tmp_path / "r.html")]) == 0
    assert "waiting: " in capsys.readouterr().out
    assert len(pages) == 1


def test_a_run_whose_process_dies_ends_the_watch(tmp_path, monkeypatch, pages):
    run = tmp_path / "judge"
    write_run(run, "judge", 2, 0.5, 0.6, export=None)
    lock = held(run)
    lock.__enter__()
    play(monkeypatch, lambda: None, lambda: lock.__exit__(None, None, None))
    assert main([str(run), "--watch", "--out", str(tmp_path / "r.html")]) == 0
    assert pages == [([2], 10), ([2], 0)]


def test_a_place_that_cannot_hold_a_page_is_refused_at_once(tmp_path, capsys):
    assert main([str(tmp_path), "--watch", "--out", str(tmp_path / "no" / "r.html")]) == 2
    assert "cannot write a page here" in capsys.readouterr().err


PLAN = """
arms:
  JudgeRLVR: {stages: [{stage: judge, name: judge}, {stage: generate, name: generate}]}
"""


@pytest.fixture
def experiment(tmp_path):
    """The folder of an experiment whose judge has ended and whose generate stage has not begun."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)
    write_run(folder / "judge", "judge", 2, 0.5, 0.6)
    return folder


def watch(experiment, out):
    return main([str(experiment), "--watch", "--out", str(out)])


def test_an_experiment_is_watched_between_its_stages_up_to_the_last(tmp_path, experiment, monkeypatch, pages):
    play(monkeypatch, lambda: write_run(experiment / "generate", "generate", 3, 0.5, 0.6))
    assert watch(experiment, tmp_path / "r.html") == 0
    assert pages == [([2], 10), ([2, 3], 0)]


def test_stages_that_are_to_come_are_named(tmp_path, experiment, monkeypatch, pages, capsys):
    play(monkeypatch, lambda: write_run(experiment / "generate", "generate", 3, 0.5, 0.6))
    watch(experiment, tmp_path / "r.html")
    assert "(judge: finished, generate: not begun)" in capsys.readouterr().out


def test_an_experiment_that_is_not_there_yet_is_waited_for(tmp_path, monkeypatch, pages):
    folder = tmp_path / "demo"

    def begin():
        write_run(folder / "judge", "judge", 2, 0.5, 0.6)
        (folder / "plan.yaml").write_text(PLAN)

    play(monkeypatch, begin, lambda: write_run(folder / "generate", "generate", 3, 0.5, 0.6))
    assert watch(folder, tmp_path / "r.html") == 0
    assert pages == [([2], 10), ([2, 3], 0)]


def test_an_experiment_whose_run_failed_ends_the_watch(tmp_path, experiment, monkeypatch, pages):
    write_failure(experiment / "judge", "guard")
    write_manifest(experiment / "judge", replace(read_manifest(experiment / "judge"), export=None))
    play(monkeypatch)
    assert watch(experiment, tmp_path / "r.html") == 0
    assert pages == [([2], 0)]


def test_the_page_of_the_experiment_itself_is_not_taken(experiment, monkeypatch, capsys):
    """``judgerlvr.demo --resume`` takes an experiment with a report for finished."""
    play(monkeypatch)
    assert watch(experiment, experiment / "report.html") == 2
    line = capsys.readouterr().err
    assert "give another --out" in line and line.count("\n") == 1


def test_a_page_of_an_experiment_shows_the_runs_that_have_begun(tmp_path, experiment, pages):
    assert main([str(experiment), "--out", str(tmp_path / "r.html")]) == 0
    assert pages == [([2], 0)]


def test_an_experiment_without_a_run_is_one_line(tmp_path, experiment, capsys):
    shutil.rmtree(experiment / "judge")
    assert main([str(experiment), "--out", str(tmp_path / "r.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5"])
def test_a_wrong_number_of_seconds_is_refused(given, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["run", "--every", given])
    assert ended.value.code == 2
