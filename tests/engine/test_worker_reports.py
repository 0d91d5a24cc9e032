"""Workers whose engine is not the wanted one stop the run."""

import json

import pytest

from judgerlvr.engine.devices import REPORTS, TRAINING, reports_folder
from judgerlvr.engine.preflight import PreflightError
from judgerlvr.engine.worker_reports import SUMMARY, check_reports, forget_reports, report


@pytest.fixture
def workers(tmp_path, monkeypatch):
    """Reports of two ranks in ``tmp_path``, with changes to the second's."""
    monkeypatch.setenv(REPORTS, str(reports_folder(tmp_path)))

    def write(**changes):
        report(0, {"name": TRAINING, "attention": "sdpa"})
        report(1, {"name": TRAINING, "attention": "sdpa"} | changes)
        return tmp_path

    return write


def test_equal_reports_become_the_runs_summary(workers):
    run_dir = workers()
    summary = check_reports(run_dir, TRAINING, 2)
    assert summary == {"name": TRAINING, "attention": "sdpa", "ranks": 2}
    assert json.loads((run_dir / SUMMARY).read_text()) == summary


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "another"}, "rank 1 trains with the engine another, not judgerlvr; unset VERL_ENGINE_VENDOR"),
        ({"attention": "eager"}, "rank 1 trains with attention eager, rank 0 with sdpa"),
    ],
)
def test_another_engine_is_named(workers, changes, said):
    with pytest.raises(PreflightError, match=said):
        check_reports(workers(**changes), TRAINING, 2)


def test_a_worker_without_report_has_verls_own_engine(workers):
    with pytest.raises(PreflightError, match="rank 2 trains with the engine verl's own"):
        check_reports(workers(), TRAINING, 3)


def test_reports_of_an_earlier_start_count_no_more(workers):
    run_dir = workers()
    forget_reports(run_dir)
    with pytest.raises(PreflightError, match="rank 0"):
        check_reports(run_dir, TRAINING, 2)


def test_a_process_that_no_driver_asked_reports_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv(REPORTS, raising=False)
    monkeypatch.chdir(tmp_path)
    report(0, {"name": TRAINING})
    assert not list(tmp_path.iterdir())
