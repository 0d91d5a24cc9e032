"""Each key of verl that this product does not set is open or closed, with a reason that names keys which exist."""

import math
import re
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from judgerlvr.config.load import engine_keys, flat, keys
from judgerlvr.engine.engine_decisions import BUCKET, CLOSED, OPEN, UNTRIED, closed
from judgerlvr.engine.engine_section import check_engine_keys, unlike
from judgerlvr.engine.verl_config import all_settings, compose
from rewards.errors import InputError

DEFAULTS = dict(flat(OmegaConf.to_container(compose())))
OPEN_DEFAULTS = {key: default for key, default in DEFAULTS.items() if not closed(key, default)}
# An example of each reason, and the keys that reviewers found open.
EXAMPLES = {why: next(key for key in DEFAULTS if closed(key, DEFAULTS[key]) == why) for why in CLOSED.values()}
FOUND = [
    *(f"actor_rollout_ref.rollout.{name}" for name in ("top_p", "top_k", "load_format", "calculate_log_probs")),
    *(f"actor_rollout_ref.actor.fsdp_config.{name}" for name in ("fsdp_size", "model_dtype")),
    "actor_rollout_ref.model.lora_rank",
    "trainer.max_actor_ckpt_to_keep",
    "critic.enable",
]
WRONG_NUMBERS = [0, -1, 0.0, math.inf, math.nan, "abc", True, None, [1]]


def asking(stage, asked):
    return replace(stage, config=replace(stage.config, engine=asked))


def dotted(settings):
    return {key.removeprefix("+") for key in settings}


def within(key, names):
    return any(f"{key}.".startswith(f"{name}.") for name in names)


def test_every_leaf_of_verl_is_decided(make_stage):
    cpu, gpu = (dotted(all_settings(make_stage("generate", device))) for device in ("cpu", "gpu"))
    left = [key for key in DEFAULTS if not within(key, cpu & gpu)]
    undecided = [key for key in left if closed(key, DEFAULTS[key]) == UNTRIED]
    assert not undecided


def test_every_decision_is_about_a_key_of_verl():
    assert [name for name in (*OPEN, *CLOSED) if not any(within(key, [name]) for key in DEFAULTS)] == []
    assert not set(OPEN) & set(CLOSED)


def test_a_new_key_in_an_open_room_is_closed():
    assert closed("actor_rollout_ref.actor.brand_new", 1) == UNTRIED


def test_remedies_name_keys_that_exist():
    known = {name for name, _ in keys()}
    for why in CLOSED.values():
        named = re.findall(r"[a-z_]+(?:\.[a-z_]+)+", why.remedy.format(kind="generate"))
        missing = [name for name in named if name not in known and not name.startswith(("engine.", "judgerlvr."))]
        assert not missing, why


@pytest.mark.parametrize("key", [*EXAMPLES.values(), *FOUND])
def test_a_closed_key_is_refused_with_its_reason(make_stage, key):
    with pytest.raises(InputError) as refused:
        check_engine_keys(asking(make_stage("generate", "gpu"), {key: 1}))
    assert f"engine.{key}" in str(refused.value)
    assert "{" not in str(refused.value) or "${" in str(refused.value)


def wrong(default):
    """Values of other kinds than ``default``."""
    if isinstance(default, list):
        return [default[:-1], [*default, default[0]], ["abc"] * len(default), default[0], None]
    if isinstance(default, bool):
        return [3, "abc", None, [True]]
    if isinstance(default, int | float):
        fractions = [1.5] if isinstance(default, int) else []
        return [*WRONG_NUMBERS, *fractions] if default > 0 else WRONG_NUMBERS[3:]
    return [3, True, None, ["abc"]] if isinstance(default, str) else []


@pytest.mark.parametrize("key", OPEN_DEFAULTS)
def test_values_of_another_kind_are_refused(make_stage, key):
    default = OPEN_DEFAULTS[key]
    assert unlike(default, default) is None or default is None
    bad = wrong(default)
    assert all(unlike(value, default) for value in bad)
    for value in bad[:1]:
        with pytest.raises(InputError, match=re.escape(f"engine.{key}")):
            check_engine_keys(asking(make_stage("generate", "gpu"), {key: value}))


def test_a_bucket_below_that_of_verl_is_refused(make_stage):
    with pytest.raises(InputError, match="too small for a tensor"):
        check_engine_keys(asking(make_stage("generate", "gpu"), {BUCKET: 1}))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_defaults_of_verl_pass_together(make_stage, device):
    stage = make_stage("generate", device)
    ours = dotted(all_settings(stage))
    asked = {key: value for key, value in OPEN_DEFAULTS.items() if value is not None and not within(key, ours)}
    check_engine_keys(asking(stage, asked))
    assert engine_keys(asked) == asked
