"""Faults of a plan by class: each number, path and name of a plan with each kind of bad value.

A fault is told in one line before a command is given and before a folder is made.
"""

import copy

import pytest
import yaml

from judgerlvr import experiment
from judgerlvr.experiments.plan_values import TAKEN
from rewards.errors import BAD_INPUT

PLAN = {
    "seeds": [3],
    "evaluation": {"problems": 20, "samples": 2, "data": []},
    "arms": {
        "both": {"stages": [{"stage": "judge", "name": "judge"}, {"stage": "generate", "name": "generate"}]},
        "plain": {"stages": [{"stage": "generate", "name": "plain"}], "match": "both", "most_steps": 2},
    },
}
NUMBERS = {
    "seed": ("seeds", 0),
    "problems": ("evaluation", "problems"),
    "samples": ("evaluation", "samples"),
    "most_steps": ("arms", "plain", "most_steps"),
}
NO_NUMBERS = {
    **{"nan": float("nan"), "inf": float("inf"), "minus_inf": float("-inf"), "negative": -3, "huge": 10**30},
    **{"bool": True, "text": "many", "list": [2], "nothing": None, "zero": 0, "below_one": 0.5},
}
NAMES = {"stage": ("arms", "plain", "stages", 0, "name"), "first_stage": ("arms", "both", "stages", 0, "name")}
NO_NAMES = {
    **{"up": "../escape", "here": ".", "above": "..", "inside": "x/y", "backslash": "x\\y", "absolute": "/x"},
    **{"empty": "", "long": "x" * 300, "option": "-x", "space": " x", "control": "x\ny", "nothing": None},
    **{f"own_{name}": name for name in TAKEN},
    "own_capitals": "PLAN.yaml",
}
WORDS = {
    "overrides": ("overrides",),
    "arm": ("arms", "plain", "overrides"),
    "stage": ("arms", "plain", "stages", 0, "overrides"),
    "data": ("evaluation", "data"),
}
# What YAML makes of `- seed: 5`, of a list in a list, and of bare words.
NO_WORDS = {"mapping": {"seed": 5}, "list": ["seed=5"], "number": 5, "truth": True, "nothing": None}
# Budgets of arms in which a key would be read by nothing.
UNREAD = {
    "by steps": {"by": "steps"},
    "by hours": {"by": "hours"},
    "most_steps": {"most_steps": 2},
}
# Paths of the plan, and paths that only the last arm has.
PATHS = ("config", "evaluation.data")
LAST = ("data.train", "data.heldout", "judge.data.responses", "data.prompt", "judge.data.prompt", "model.path")


def changed(place, value):
    plan = copy.deepcopy(PLAN)
    *outer, last = place
    holder = plan
    for key in outer:
        holder = holder[key]
    holder[last] = value
    return plan


@pytest.fixture
def refused(tmp_path, commands, capsys):
    """The line with which a plan is refused, after a look at what the refusal left."""

    def refuse(plan):
        path, out = tmp_path / "plan.yaml", tmp_path / "out"
        path.write_text(yaml.safe_dump(plan, sort_keys=False))
        assert experiment.main([str(path), "--out", str(out)]) == BAD_INPUT
        line = capsys.readouterr().err
        assert line.startswith("error: ") and line.count("\n") == 1 and len(line) < 520
        assert not out.exists() and not commands.seen
        return line

    return refuse


@pytest.mark.parametrize("kind", NO_NUMBERS)
@pytest.mark.parametrize("field", NUMBERS)
def test_no_number(refused, field, kind):
    if (field, kind) == ("seed", "zero"):
        pytest.skip("0 is a seed")
    line = refused(changed(NUMBERS[field], NO_NUMBERS[kind]))
    assert field.rstrip("s") in line or kind == "list"


@pytest.mark.parametrize("kind", NO_NAMES)
@pytest.mark.parametrize("field", NAMES)
def test_no_name_of_a_stage(refused, field, kind):
    assert "name" in refused(changed(NAMES[field], NO_NAMES[kind]))


@pytest.mark.parametrize("kind", NO_NAMES)
def test_no_name_of_an_arm(refused, kind):
    plan = copy.deepcopy(PLAN)
    plan["arms"][NO_NAMES[kind]] = plan["arms"].pop("plain")
    assert "arms" in refused(plan) or kind == "nothing"


@pytest.mark.parametrize("kind", NO_WORDS)
@pytest.mark.parametrize("field", WORDS)
def test_no_words(refused, field, kind):
    refused(changed(WORDS[field], [NO_WORDS[kind]]))


@pytest.mark.parametrize("budget", UNREAD)
def test_a_key_of_a_budget_that_nothing_reads(refused, budget):
    stages = PLAN["arms"]["plain"]["stages"]
    assert "most_steps" in refused(changed(("arms", "plain"), {"stages": stages, **UNREAD[budget]}))


@pytest.mark.parametrize("word", ["seed=5", "name=foo"])
@pytest.mark.parametrize("where", ["plan", "command"])
def test_a_key_that_the_plan_itself_decides(tmp_path, commands, capsys, where, word):
    path, out = tmp_path / "plan.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump({**PLAN, "overrides": [word] * (where == "plan")}))
    assert experiment.main([str(path), "--out", str(out), *[word] * (where == "command")]) == BAD_INPUT
    assert word in capsys.readouterr().err and not out.exists() and not commands.seen


@pytest.mark.parametrize("name", ["base", "Base", "after judge", "BOTH"])
def test_an_arm_that_the_report_would_mix_with_another(refused, name):
    plan = copy.deepcopy(PLAN)
    plan["arms"][name] = plan["arms"].pop("plain")
    assert f"two arms are named {name}" in refused(plan)


def bad_path(tmp_path, kind):
    path = tmp_path / ("x.jsonl" if kind != "directory" else "folder")
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"empty": b"", "binary": b"\xff\xfe\x00", "no_rows": b"[1, 2"}[kind])
    return str(path)


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "binary", "no_rows"])
@pytest.mark.parametrize("field", PATHS)
def test_no_usable_path(refused, tmp_path, field, kind):
    path = bad_path(tmp_path, kind)
    place = tuple(field.split("."))
    line = refused(changed(place, [path] if field == "evaluation.data" else path))
    assert path in line


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "binary"])
@pytest.mark.parametrize("key", LAST)
def test_a_path_of_the_last_arm_is_tried_before_the_first_arm_trains(refused, tmp_path, key, kind):
    path, plan = bad_path(tmp_path, kind), copy.deepcopy(PLAN)
    value = f"[{path}]" if key.endswith(("train", "heldout", "responses")) else path
    stages = [{"stage": "judge", "name": "last-judge"}, {"stage": "generate", "name": "last"}]
    (tmp_path / "sound.jsonl").write_text('{"problem": "1+1", "gold": "2"}\n')
    # Held-out problems of one's own need training problems of one's own.
    beside = [f"data.train=[{tmp_path}/sound.jsonl]"] if key == "data.heldout" else []
    plan["arms"]["last"] = {"stages": stages, "overrides": [*beside, f"{key}={value}"]}
    assert path in refused(plan)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("name=other", "take name out of the overrides"),
        ("runs=elsewhere", "take runs out of the overrides"),
        ("seed=4", "take seed out of the overrides"),
        ("generate.batch.updates_per_step=7", "updates_per_step"),
        ("generate.max_response_tokens=100000", "context"),
        ("reward.verifier=nosuch.module:verify", "nosuch"),
        ("generate.optimizer.lr=nan", "generate.optimizer.lr"),
    ],
)
def test_an_override_of_the_last_arm(refused, override, says):
    plan = copy.deepcopy(PLAN)
    plan["arms"]["last"] = {"stages": [{"stage": "generate", "name": "last"}], "overrides": [override]}
    assert says in refused(plan)


def test_more_steps_than_a_stage_can_take(refused):
    plan = changed(("arms", "plain", "most_steps"), 900)
    plan["arms"]["both"]["overrides"] = ["generate.stop.steps=900000000"]
    assert "most_steps" in refused(plan)


def test_training_problems_without_held_out_problems(refused, tmp_path):
    (tmp_path / "train.jsonl").write_text('{"problem": "1+1", "gold": "2"}\n')
    plan = {**PLAN, "overrides": [f"data.train=[{tmp_path}/train.jsonl]", "generate.validation.every=0"]}
    assert "no held-out problems to evaluate on" in refused(plan)


def test_a_sound_plan_is_carried_out(tmp_path, commands):
    """Else each refusal above might have another cause."""
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN, sort_keys=False))
    assert experiment.main([str(path), "--out", str(tmp_path / "out")]) == 0
    assert commands.seen[-1][0] == "report"
