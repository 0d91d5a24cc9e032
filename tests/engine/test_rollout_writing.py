"""Rollouts of a step reach the run folder's log as they were sampled."""

import pytest

pytest.importorskip("transfer_queue")

from judgerlvr.engine.in_training.rollouts import Rollout, write_rollouts
from judgerlvr.runs.rollout_log import LoggedRollout, read_steps


def test_a_logged_rollout_holds_the_facts_of_the_sampled_rollout(tmp_path):
    sampled = [
        Rollout(f"p{group}", sample, [1, 2], [3, 4, 5], 0.5, True, "correct", 0.1, sample == 1, None if group else True)
        for group in range(2)
        for sample in range(2)
    ]
    write_rollouts(tmp_path / "rollouts", 7, [sampled[:2], sampled[2:]], str)
    assert list(read_steps(tmp_path / "rollouts")) == [
        LoggedRollout(7, r.prompt_id, r.sample, "[1, 2]", "[3, 4, 5]", 0.5, "correct", 3, r.truncated, r.label)
        for r in sampled
    ]
