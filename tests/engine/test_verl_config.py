"""Stage -> verl configuration: every key exists in the pinned verl, and means what the stage says."""

import json

import pytest

from judgerlvr.cluster.environment import CPU_PAGE
from judgerlvr.engine import devices
from judgerlvr.engine.devices import COMPARING, PACKED, REPLAYING, SHARE_PREFIXES, TRAINING, stage_environment
from judgerlvr.engine.verl_config import agent_loops_file, render, write_agent_loops
from judgerlvr.runs.stage import derived


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", ["judge", "generate"])
def test_renders_for_both_stages_and_devices(make_stage, kind, device):
    config = render(make_stage(kind, device))
    assert config.trainer.device == {"cpu": "cpu", "gpu": "cuda"}[device]


def test_three_batch_numbers_become_verls(make_stage):
    config = render(make_stage(overrides=["generate.batch.updates_per_step=4"]))
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert (config.data.train_batch_size, actor.ppo_mini_batch_size, rollout.n) == (32, 8, 8)


def test_no_length_term_by_default(make_stage):
    config = render(make_stage())
    assert config.reward.reward_manager.name == "naive"


def test_penalty_is_verls_dapo_manager(make_stage):
    overrides = ["generate.algorithm.overlong=penalty", "generate.algorithm.overlong_buffer=32"]
    config = render(make_stage(overrides=overrides))
    assert config.reward.reward_manager.name == "dapo"
    assert config.reward.reward_kwargs.overlong_buffer_cfg.len == 32


def test_no_kl_anywhere(make_stage):
    config = render(make_stage())
    assert not config.actor_rollout_ref.actor.use_kl_loss
    assert not config.algorithm.use_kl_in_reward


def test_gspo_is_sequence_level(make_stage):
    actor = render(make_stage(overrides=["generate.algorithm.loss=gspo"])).actor_rollout_ref.actor
    assert (actor.policy_loss.loss_mode, actor.loss_agg_mode) == ("gspo", "seq-mean-token-mean")


def test_running_cluster_is_joined_not_started(make_stage):
    init = render(make_stage(ray_address="auto")).ray_kwargs.ray_init
    assert init.address == "auto"
    assert init.num_cpus is None


def test_derived_numbers(make_stage):
    numbers = derived(make_stage())
    assert numbers["samples per step"] == 256
    assert numbers["samples per update"] == 64


def write_config(folder, **fields):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(fields))


@pytest.fixture
def hysparse_stage(make_stage, tmp_path):
    write_config(tmp_path / "init", model_type="hysparse")
    return make_stage


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_hysparse_rollout_returns_its_blocks(hysparse_stage, device):
    stage = hysparse_stage("generate", device)
    vllm = render(stage).actor_rollout_ref.rollout.engine_kwargs.vllm
    assert vllm.kv_transfer_config.kv_connector == "BlockIndexConnector"
    write_agent_loops(stage)
    assert "block_indices: true" in agent_loops_file(stage).read_text()


@pytest.mark.parametrize("fields", [{"model_type": "qwen3_moe"}, {"model_type": "hysparse", "branches": "window"}])
def test_policies_that_choose_no_blocks_get_neither_connector_nor_engine(make_stage, tmp_path, fields):
    write_config(tmp_path / "init", **fields)
    stage = make_stage()
    assert "kv_transfer_config" not in render(stage).actor_rollout_ref.rollout.engine_kwargs.vllm
    assert stage_environment(stage)["VERL_ENGINE_VENDOR"] == TRAINING


@pytest.mark.parametrize(
    ("model_type", "device", "page"),
    [("qwen3_moe", "cpu", CPU_PAGE), ("hysparse", "cpu", None), ("qwen3", "gpu", None)],
)
def test_pages_are_small_on_a_cpu_where_no_selection_block_could_be_cut(make_stage, tmp_path, model_type, device, page):
    write_config(tmp_path / "init", model_type=model_type)
    rollout = render(make_stage("generate", device)).actor_rollout_ref.rollout
    assert rollout.engine_kwargs.get("vllm", {}).get("block_size") == page


@pytest.mark.parametrize(("replay", "engine"), [("true", REPLAYING), ("false", COMPARING)])
def test_replay_is_the_engine_that_verl_picks(hysparse_stage, replay, engine):
    stage = hysparse_stage(overrides=[f"hysparse.replay={replay}"])
    assert render(stage).ray_kwargs.ray_init.runtime_env.env_vars["VERL_ENGINE_VENDOR"] == engine


@pytest.mark.parametrize("every", [0, 2])
def test_a_step_is_validated_once_through_a_resume(make_stage, tmp_path, every):
    """The checkpoint's own step was validated before the run ended."""
    overrides = [f"generate.validation.every={every}"]
    begun = render(make_stage(overrides=overrides))
    resumed = render(make_stage(overrides=overrides, resume_from=tmp_path / "global_step_2"))
    assert (begun.trainer.val_before_train, resumed.trainer.val_before_train) == (every > 0, False)


@pytest.mark.parametrize("dynamic", [True, False])
def test_samples_at_most_count_extra_rounds(make_stage, dynamic):
    overrides = [f"generate.algorithm.dynamic_sampling={str(dynamic).lower()}", "generate.algorithm.max_extra_rounds=3"]
    numbers = derived(make_stage(overrides=[*overrides, "generate.stop.steps=5"]))
    assert numbers["samples at most"] == 5 * numbers["samples per step"] * (4 if dynamic else 1)


@pytest.mark.parametrize(("size", "name"), [(1, "flash_attention_2"), (2, PACKED)])
def test_ranks_that_share_tokens_have_our_attention(make_stage, monkeypatch, size, name):
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda _: "installed")
    given = [f"cluster.sequence_parallel={size}", "cluster.share_prefixes=false"]
    policy = render(make_stage("generate", "gpu", overrides=given)).actor_rollout_ref
    assert policy.model.override_config.attn_implementation == name
    assert policy.actor.fsdp_config.ulysses_sequence_parallel_size == size


@pytest.mark.parametrize(("device", "shared"), [("cpu", True), ("gpu", False)])
def test_prefixes_are_shared_on_a_cpu_alone(make_stage, device, shared):
    stage = make_stage("generate", device)
    assert stage.config.cluster.share_prefixes
    assert stage_environment(stage)[SHARE_PREFIXES] == str(shared)
    width = render(stage).actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu
    assert width == stage.config.cluster.micro_batch_tokens * (4 if shared else 1)
