"""What a stage that failed says in one line."""

import json
from types import SimpleNamespace

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from judgerlvr.engine.preflight import PreflightError
from judgerlvr.engine.runner import StageFailed, _cause, noted_failures
from judgerlvr.runs.folder import FAILURE, read_failure

TRACEBACK = """ray::Worker.update() (pid=7)
  File "worker.py", line 3, in update
ValueError: too few rows
During handling of the above exception, another exception occurred:
RuntimeError: step 3 failed
Exception raised from check at CUDAException.cpp:44 (most recent call first):
frame #0: somewhere
"""
ADVICE = """
torch.utils.checkpoint: Recomputed values have different metadata.
Tip: to see more, enable checkpoint-debug mode globally.
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no room", "ValueError: no room"),
        (TRACEBACK, "ValueError: RuntimeError: step 3 failed"),
        (ADVICE, "ValueError: torch.utils.checkpoint: Recomputed values have different metadata."),
    ],
    ids=["message", "traceback", "advice"],
)
def test_cause_is_the_last_error_or_the_beginning_of_a_message(tmp_path, text, line):
    assert _cause(SimpleNamespace(run_dir=tmp_path), ValueError(text)) == line


def test_cause_is_the_watchdogs_if_it_left_one(tmp_path):
    (tmp_path / FAILURE).write_text(json.dumps({"cause": "no step finished"}))
    assert _cause(SimpleNamespace(run_dir=tmp_path), ValueError("killed")) == "no step finished"


def test_a_failed_stage_leaves_its_cause_in_the_run_folder(tmp_path):
    stage = SimpleNamespace(run_dir=tmp_path)
    with pytest.raises(StageFailed, match="PreflightError: no room"), noted_failures(stage):
        raise PreflightError("no room")
    assert read_failure(tmp_path) == "PreflightError: no room"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_end_by_hand_or_a_fault_of_the_code_is_no_noted_failure(tmp_path, error):
    with pytest.raises(error), noted_failures(SimpleNamespace(run_dir=tmp_path)):
        raise error
    assert read_failure(tmp_path) is None


def refuse(text):
    raise ValueError(text)


def nest(text):
    instantiate({"_target_": f"{__name__}.refuse", "text": text})


@pytest.mark.parametrize("target", ["refuse", "nest"])
@pytest.mark.parametrize("text", ["micro batch is 0", 'it\'s (not) "one" line\nbut two'])
def test_cause_of_a_wrapped_error_is_the_error_inside(tmp_path, target, text):
    with pytest.raises(InstantiationException) as caught:
        instantiate({"_target_": f"{__name__}.{target}", "text": text})
    assert _cause(SimpleNamespace(run_dir=tmp_path), caught.value) == f"ValueError: {' '.join(text.split())}"
