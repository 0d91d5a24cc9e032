"""The script of kills knows the processes of Ray by the names of their classes."""

import re

import pytest

from benchmarks.stages.killing.plan import VICTIMS
from judgerlvr.engine.private.agent_workers import LeanWorker
from judgerlvr.engine.private.interrupting_server import InterruptingServer
from judgerlvr.engine.private.rollout_server import ManyServer
from judgerlvr.engine.runner import StageRunner


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("engine", ManyServer.__name__),
        ("engine", InterruptingServer.__name__),
        ("worker", LeanWorker.__name__),
        ("runner", StageRunner.__ray_metadata__.class_name),
    ],
)
def test_a_pattern_meets_the_class_that_the_process_is_named_by(kind, name):
    """An engine of another name was waited for until the run was over."""
    assert re.search(VICTIMS[kind], f"ray::{name}")
