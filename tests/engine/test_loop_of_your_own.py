"""The key ``agent_loop``: a class that extends the product's loop, or one line before data is read."""

import pytest

from judgerlvr.engine.loop_of_your_own import OURS, check_agent_loop
from judgerlvr.pipeline import checks
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError

MODULE = """
from judgerlvr.engine.in_training.agent_loop import SeededSingleTurn


class Tool(SeededSingleTurn):
    pass


class Other:
    pass


def function():
    pass
"""


@pytest.fixture
def loops(tmp_path, monkeypatch):
    (tmp_path / "my_loops.py").write_text(MODULE)
    (tmp_path / "my_script.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "my_fault.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def stage_with(make_stage, path, kind="generate", *more):
    return make_stage(kind, overrides=[f"{kind}.agent_loop={path}", *more])


@pytest.mark.parametrize("kind", ["judge", "generate"])
@pytest.mark.parametrize("path", ["", "my_loops:Tool", OURS])
def test_loops_that_run(loops, make_stage, kind, path):
    check_agent_loop(stage_with(make_stage, path, kind))


FAULTY = {
    "nowhere:Tool": "module 'nowhere' cannot be imported",
    "my_fault:Tool": "module 'my_fault' cannot be imported",
    "my_script:Tool": "ends the process",
    "my_loops:Missing": "has no class 'Missing'",
    "my_loops:Other": "does not extend SeededSingleTurn",
    "my_loops:function": "does not extend SeededSingleTurn",
}


@pytest.mark.parametrize("kind", ["judge", "generate"])
@pytest.mark.parametrize("path", FAULTY)
def test_loops_that_cannot_run(loops, make_stage, kind, path):
    with pytest.raises(InputError, match=FAULTY[path]) as refused:
        checks.check_keys(stage_with(make_stage, path, kind))
    assert refused.value.field == f"{kind}.agent_loop"
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", ["my_loops.Tool", "my_loops:", ":Tool", "a b:Tool"])
def test_paths_of_another_form_are_refused_with_the_configuration(make_stage, path):
    with pytest.raises(InputError, match=r"package\.module:Class"):
        stage_with(make_stage, f'"{path}"')


def test_the_loop_of_the_other_stage_is_not_looked_at(make_stage):
    check_agent_loop(make_stage("judge", overrides=["generate.agent_loop=nowhere:Tool"]))


@pytest.mark.parametrize("reason", ["flows", "chooses_blocks", "replays_experts"])
def test_responses_of_one_request_are_refused(loops, make_stage, monkeypatch, reason):
    more = []
    if reason == "flows":
        more = ["cluster.trainer_mode=colocate_async"]
    else:
        monkeypatch.setattr(Stage, reason, property(lambda _: True))
    with pytest.raises(InputError, match="does not go with"):
        check_agent_loop(stage_with(make_stage, "my_loops:Tool", "generate", *more))
