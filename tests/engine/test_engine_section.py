"""The door to verl's keys: what passes reaches verl's configuration, and what does not is refused in one line."""

from dataclasses import replace

import pytest

from judgerlvr.config.load import engine_keys, load_config
from judgerlvr.engine.engine_section import check_engine_keys
from judgerlvr.engine.verl_config import all_settings, render
from judgerlvr.runs.manifest import make_manifest
from rewards.errors import InputError

CLIP = "actor_rollout_ref.actor.clip_ratio_c"


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_key_of_verl_reaches_its_configuration(make_stage, device):
    stage = make_stage("generate", device, overrides=[f"engine.{CLIP}=5.0"])
    check_engine_keys(stage)
    assert render(stage).actor_rollout_ref.actor.clip_ratio_c == 5.0


def test_sequence_level_rejection_by_the_door_and_weights_by_our_key(make_stage):
    overrides = [
        "engine.algorithm.rollout_correction.rollout_rs=seq_mean_k1",
        "generate.algorithm.importance_cap=2",
        "generate.algorithm.importance_level=sequence",
    ]
    stage = make_stage(overrides=overrides)
    check_engine_keys(stage)
    correction = render(stage).algorithm.rollout_correction
    assert (correction.rollout_rs, correction.rollout_is) == ("seq_mean_k1", "sequence")


@pytest.mark.parametrize(
    "text", [f"engine: {{{CLIP}: 5.0}}", "engine: {actor_rollout_ref: {actor: {clip_ratio_c: 5.0}}}"]
)
def test_names_may_be_dotted_or_nested_in_a_file(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    assert engine_keys(load_config(tmp_path / "c.yaml").engine) == {CLIP: 5.0}


REFUSED = {
    "actor_rollout_ref.actor.clip_ratio_x=1": "did you mean actor_rollout_ref.actor.clip_ratio",
    "actor_rollout_ref.rollout.nope.x=1": "verl knows no such key",
    "reward.custom_reward_function=x": "set by other configuration keys",
    f"{CLIP}=abc": "give a number",
    f"{CLIP}=true": "give a number",
    "actor_rollout_ref.actor.entropy_from_logits_with_chunking=3": "give bool",
    "actor_rollout_ref.actor.loss_scale_factor.deeper=3": "verl knows no such key",
}


@pytest.mark.parametrize("override", REFUSED)
def test_refusals(make_stage, override):
    with pytest.raises(InputError, match=REFUSED[override]):
        check_engine_keys(make_stage(overrides=[f"engine.{override}"]))


def test_every_key_of_ours_is_refused(make_stage):
    names = [key.removeprefix("+") for key in all_settings(make_stage("generate", "gpu"))]
    for name in names:
        with pytest.raises(InputError, match="set by other configuration keys"):
            check_engine_keys(make_stage("generate", "gpu", overrides=[f"engine.{name}=1"]))


def test_the_manifest_names_the_keys(make_stage, tmp_path):
    stage = replace(make_stage(overrides=[f"engine.{CLIP}=5.0"]), init=tmp_path)
    for file in (stage.train, stage.heldout):
        file.write_text("")
    assert make_manifest(stage, {}).engine_keys == {CLIP: 5.0}
