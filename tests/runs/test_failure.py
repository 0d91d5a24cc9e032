"""The note of a failure, the note in the lock, and the training time of a resumed run."""

import json
import socket

import pytest

from judgerlvr.runs.folder import FAILURE, read_failure, write_failure
from judgerlvr.runs.lock import LOCK, held, seems_held
from judgerlvr.runs.metrics import training_seconds
from rewards.errors import InputError
from tests.helpers.run_folders import step_row


def test_the_cause_of_a_failure_is_read_as_it_was_written(tmp_path):
    assert read_failure(tmp_path) is None
    write_failure(tmp_path, "guard mismatch: 0.3 > 0.02")
    assert read_failure(tmp_path) == "guard mismatch: 0.3 > 0.02"


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '"x"'])
def test_a_damaged_note_is_named(tmp_path, text):
    (tmp_path / FAILURE).write_text(text)
    with pytest.raises(InputError, match=FAILURE):
        read_failure(tmp_path)


def test_a_lock_seems_held_while_it_is_held(tmp_path):
    before = seems_held(tmp_path)
    with held(tmp_path):
        within = seems_held(tmp_path)
    assert (before, within, seems_held(tmp_path)) == (False, True, False)


@pytest.mark.parametrize(
    ("note", "wanted"),
    [
        ("{", False),
        ("[1]", False),
        (json.dumps({"host": "elsewhere", "pid": 1}), True),
        (json.dumps({"host": socket.gethostname(), "pid": 2**22 + 5}), False),
    ],
)
def test_a_note_counts_if_its_process_may_live(tmp_path, note, wanted):
    (tmp_path / LOCK).write_text(note)
    assert seems_held(tmp_path) is wanted


@pytest.mark.parametrize(("seconds", "total"), [([], 0), ([30, 60], 60), ([30, 60, 20, 50], 110), ([5, 5], 5)])
def test_training_time_goes_on_where_seconds_begin_again(seconds, total):
    rows = [step_row(step, seconds=float(value)) for step, value in enumerate(seconds, start=1)]
    assert training_seconds(rows) == total
