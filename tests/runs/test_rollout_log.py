"""Logged rollouts are read as they were written."""

import pytest

from judgerlvr.runs.rollout_log import LoggedRollout, read_steps, write_step
from rewards.errors import InputError


def rollout(step, text="a"):
    return LoggedRollout(step, "p", 0, "ask", text, 1.0, "correct", 3, False, True)


def test_rollouts_come_back_in_the_order_of_steps(tmp_path):
    for step in (10, 9, 200):
        write_step(tmp_path, step, [rollout(step), rollout(step, "b\u2028<")])
    assert list(read_steps(tmp_path)) == [rollout(step, text) for step in (9, 10, 200) for text in ("a", "b\u2028<")]


@pytest.mark.parametrize(("last", "steps"), [(1, [3]), (2, [2, 3]), (9, [1, 2, 3])])
def test_the_last_steps_alone(tmp_path, last, steps):
    for step in (1, 2, 3):
        write_step(tmp_path, step, [rollout(step)])
    assert [one.step for one in read_steps(tmp_path, last)] == steps


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert list(read_steps(tmp_path / "rollouts")) == []


def test_a_row_that_is_no_rollout_is_named(tmp_path):
    (tmp_path / "step_000001.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(InputError, match="not a rollout"):
        list(read_steps(tmp_path))
