"""What a stage that failed leaves in its run folder."""

from types import SimpleNamespace

import pytest
import ray

from judgerlvr.cluster.session import Session
from judgerlvr.engine.preflight import PreflightError
from judgerlvr.engine.runner import StageFailed, noted_failures
from judgerlvr.engine.signals import Interrupted
from judgerlvr.runs.causes import Evidence
from judgerlvr.runs.folder import read_failure
from rewards.errors import InputError


def noted(run_dir, cause=None):
    return noted_failures(Evidence(run_dir, Session()), SimpleNamespace(cause=cause, ending=None))


def test_a_failed_stage_leaves_its_cause_in_the_run_folder(tmp_path):
    with pytest.raises(StageFailed, match="PreflightError: no room"), noted(tmp_path):
        raise PreflightError("no room")
    assert read_failure(tmp_path) == "PreflightError: no room"


def test_an_end_by_the_watch_leaves_its_cause(tmp_path):
    with pytest.raises(StageFailed, match="the raylet is dead"), noted(tmp_path, "the raylet is dead"):
        raise KeyboardInterrupt
    assert read_failure(tmp_path) == "the raylet is dead"


def test_our_own_remote_error_is_told_and_left_as_it_is(tmp_path):
    remote = ray.exceptions.RayTaskError("f", "Traceback", InputError("bad row", "mend it"), pid=1, ip="10.0.0.1")
    with pytest.raises(InputError, match="bad row; mend it"), noted(tmp_path):
        raise remote
    assert read_failure(tmp_path) == "bad row; mend it"


@pytest.mark.parametrize(("error", "told"), [(KeyboardInterrupt, Interrupted), (ValueError, ValueError)])
def test_an_end_by_hand_or_a_fault_of_the_code_is_no_noted_failure(tmp_path, error, told):
    with pytest.raises(told), noted(tmp_path):
        raise error
    assert read_failure(tmp_path) is None
