"""The door to verl's keys: what passes reaches verl's configuration, and what does not is refused in one line."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from judgerlvr.config.load import ROOT, engine_keys, load_config
from judgerlvr.engine.engine_section import check_engine_keys, rollout_arguments
from judgerlvr.engine.verl_config import all_settings, render
from judgerlvr.pipeline.engine_keys import check_rollout
from judgerlvr.runs.manifest import make_manifest
from rewards.errors import InputError

CLIP = "actor_rollout_ref.actor.clip_ratio_c"


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_key_of_verl_reaches_its_configuration(make_stage, device):
    stage = make_stage("generate", device, overrides=[f"engine.{CLIP}=5.0"])
    check_engine_keys(stage)
    assert render(stage).actor_rollout_ref.actor.clip_ratio_c == 5.0


def example_of_the_docs():
    """The indented lines of the section of the docs, as a file of configuration."""
    section = (ROOT / "docs" / "planning.md").read_text().split("## Settings of verl")[1].split("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def test_the_example_of_the_docs_rejects_beside_weights_by_our_key(make_stage, tmp_path):
    (tmp_path / "c.yaml").write_text(example_of_the_docs())
    asked = engine_keys(load_config(tmp_path / "c.yaml").engine)
    overrides = ["generate.algorithm.importance_cap=2", "generate.algorithm.importance_level=sequence"]
    stage = make_stage(overrides=[*overrides, *(f"engine.{key}={value}" for key, value in asked.items())])
    check_engine_keys(stage)
    correction = render(stage).algorithm.rollout_correction
    assert (correction.rollout_rs, correction.rollout_is) == ("seq_mean_k1", "sequence")
    assert correction.rollout_rs_threshold == "0.5_2.0"


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
    "actor_rollout_ref.actor.calculate_entropy=3": "give bool",
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


ROLLOUT_KEYS = ["engine.actor_rollout_ref.rollout.max_num_seqs=16", "cluster.rollout_engine.dtype=float16"]


def test_arguments_of_vllm_are_those_that_verl_will_give(make_stage):
    given = rollout_arguments(make_stage("generate", "gpu", overrides=ROLLOUT_KEYS))
    assert (given["max_num_seqs"], given["dtype"], given["max_num_batched_tokens"]) == (16, "float16", 8192)
    sizes = rollout_arguments(make_stage(overrides=["engine.actor_rollout_ref.rollout.cudagraph_capture_sizes=[1,2]"]))
    assert sizes["compilation_config"] == {"cudagraph_capture_sizes": [1, 2]}


def test_without_a_key_of_the_rollout_vllm_is_not_asked(make_stage):
    assert rollout_arguments(make_stage(overrides=[f"engine.{CLIP}=5.0", ROLLOUT_KEYS[1]])) == {}


# Each imports vLLM in a process of its own, which takes many seconds.
@pytest.mark.slow
@pytest.mark.parametrize(("policy", "refused"), [("priority", False), ("nonsense", True)])
def test_vllm_judges_the_arguments(make_stage, policy, refused):
    base = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
    stage = make_stage(overrides=[f"engine.actor_rollout_ref.rollout.scheduling_policy={policy}"], init=base)
    with pytest.raises(InputError, match=r"scheduling_policy.*vLLM refuses") if refused else nullcontext():
        check_rollout(stage)
