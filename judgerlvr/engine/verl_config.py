"""Stage -> verl's configuration. Each verl key that this product sets is set here or in ``devices``.

Further keys come through the section ``engine`` of a run's configuration, in verl's own names.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from judgerlvr.config.choices import Loss, Overlong
from judgerlvr.config.load import engine_keys
from judgerlvr.engine.devices import ACTOR, GLOO, MODEL, NCCL, ROLLOUT, attention, profile, ray_init, shares_prefixes
from judgerlvr.engine.flowing import flows, separates
from judgerlvr.engine.loop_of_your_own import LOOP, SOLVING_LOOP, loop_target
from judgerlvr.engine.measured_steps import BYPASS, bypasses
from judgerlvr.engine.rollout_experts.rows import TRANSFER as CHOSEN_EXPERTS
from judgerlvr.hysparse.replay.rollout_choices import TRANSFER
from judgerlvr.runs.stage import Stage


def render(stage: Stage) -> DictConfig:
    """The composed and checked verl configuration of a stage.

    Raises:
        omegaconf.errors.ConfigKeyError: a key set here no longer exists in verl.
    """
    config = compose()
    for key, value in all_settings(stage).items():
        OmegaConf.update(config, key.removeprefix("+"), value, force_add=key.startswith("+"))
    for key, value in engine_keys(stage.config.engine).items():
        OmegaConf.update(config, key, value)
    _validate(config)
    return config


def agent_loops_file(stage: Stage) -> Path:
    return stage.run_dir / "agent_loops.yaml"


def write_agent_loops(stage: Stage) -> None:
    """The agent-loop registry that verl's workers read (verl's public way to name one's own loop)."""
    loop = {
        "name": LOOP,
        "_target_": loop_target(stage.settings),
        "mask_truncated": stage.settings.algorithm.overlong is Overlong.mask,
        "block_indices": stage.chooses_blocks,
        "experts": expert_count(stage) if stage.replays_experts else 0,
        "parts": flows(stage),
    }
    loops = [loop]
    if stage.solves:
        generate = stage.config.generate
        solving = {"name": SOLVING_LOOP, "_target_": loop_target(generate), "longest": generate.max_response_tokens}
        loops = [loop | {"longest": stage.settings.max_response_tokens}, loop | solving]
    agent_loops_file(stage).write_text(OmegaConf.to_yaml(loops), encoding="utf-8")


def compose() -> DictConfig:
    """verl's own configuration, closed to names that it does not hold. The caller may change the copy."""
    return deepcopy(_composed())


@cache
def _composed() -> DictConfig:
    """Hydra takes 0.3 processor seconds, and a copy a tenth of that."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer")
    OmegaConf.set_struct(config, True)
    return config


def _validate(config: DictConfig) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    with open_dict(config):
        validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))


def all_settings(stage: Stage) -> dict[str, Any]:
    """verl's keys that this product decides, with their values; ``+`` marks those outside verl's tree."""
    return (
        _data(stage)
        | _policy(stage)
        | _algorithm(stage)
        | _rollout(stage)
        | _reward(stage)
        | _trainer(stage)
        | _sampler(stage)
        | _flow(stage)
        | _separate(stage)
        | _blocks(stage)
        | _experts(stage)
        | profile(stage)
        | ray_init(stage)
    )


def _data(stage: Stage) -> dict[str, Any]:
    return {
        "data.train_files": str(stage.train),
        "data.val_files": str(stage.validated),
        "data.train_batch_size": stage.prompts_per_step,
        # Replacements of uniform groups are drawn one by one. verl fetches whole loader batches.
        "data.gen_batch_size": 1 if stage.settings.algorithm.dynamic_sampling else None,
        "data.max_prompt_length": stage.config.max_prompt_tokens,
        "data.max_response_length": stage.settings.max_response_tokens,
        # verl reads -1 as all rows. Where solving is measured, the rows were chosen as the file was written.
        "data.val_max_samples": -1 if stage.solves else stage.settings.validation.prompts or -1,
        "data.seed": stage.config.seed,
        "data.dataloader_num_workers": 0,
        "data.trust_remote_code": stage.config.model.trust_remote_code,
    }


def _policy(stage: Stage) -> dict[str, Any]:
    optimizer, cluster = stage.settings.optimizer, stage.config.cluster
    updates = stage.settings.batch.updates_per_step
    return {
        f"{MODEL}.path": str(stage.init),
        f"{MODEL}.trust_remote_code": stage.config.model.trust_remote_code,
        # Imported before a process reads the model's configuration: registers model type "hysparse" and our engines.
        f"{MODEL}.external_lib": ["judgerlvr.hysparse.model.registration", "judgerlvr.engine.private.engines"],
        # Our engine computes log-probabilities inside the head. verl would replace the model's forward.
        f"{MODEL}.use_fused_kernels": False,
        f"+{MODEL}.override_config.attn_implementation": attention(cluster, stage.device),
        f"{ACTOR}.strategy": "fsdp2",
        f"{ACTOR}.ppo_mini_batch_size": stage.prompts_per_step // updates,
        f"{ACTOR}.use_dynamic_bsz": True,
        f"{ACTOR}.ppo_max_token_len_per_gpu": cluster.micro_batch_tokens,
        f"{ACTOR}.use_torch_compile": False,
        f"{ACTOR}.fsdp_config.use_torch_compile": False,
        f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size": cluster.sequence_parallel,
        # verl lets this older name overrule the one before.
        f"{ACTOR}.ulysses_sequence_parallel_size": cluster.sequence_parallel,
        f"{ACTOR}.fsdp_config.seed": stage.config.seed,
        f"{ACTOR}.data_loader_seed": stage.config.seed,
        f"{ACTOR}.optim.lr": optimizer.lr,
        f"{ACTOR}.optim.lr_warmup_steps": optimizer.warmup_steps,
        f"{ACTOR}.optim.weight_decay": optimizer.weight_decay,
        f"{ACTOR}.optim.clip_grad": optimizer.grad_clip,
        f"{ACTOR}.checkpoint.save_contents": ["model", "optimizer", "extra"],
        f"{ACTOR}.checkpoint.load_contents": ["model", "optimizer", "extra"],
    }


def _algorithm(stage: Stage) -> dict[str, Any]:
    algorithm = stage.settings.algorithm
    cap = algorithm.importance_cap
    return {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": algorithm.divide_by_std,
        # The trainer sets the key anew in each step.
        BYPASS: bypasses(stage),
        "algorithm.rollout_correction.rollout_is": str(algorithm.importance_level) if cap else None,
        "algorithm.rollout_correction.rollout_is_threshold": cap or None,
        f"{ACTOR}.policy_loss.loss_mode": "gspo" if algorithm.loss is Loss.gspo else "vanilla",
        # GSPO's ratio is of a whole sequence, so sequences are averaged, not tokens.
        f"{ACTOR}.loss_agg_mode": "seq-mean-token-mean" if algorithm.loss is Loss.gspo else "token-mean",
        f"{ACTOR}.clip_ratio_low": algorithm.clip_low,
        f"{ACTOR}.clip_ratio_high": algorithm.clip_high,
        f"{ACTOR}.use_kl_loss": False,
    }


# A pass without gradients keeps no states of layers, and finds more prefixes in common where it holds more samples.
WIDER = 4


def _rollout(stage: Stage) -> dict[str, Any]:
    validation, cluster = stage.settings.validation, stage.config.cluster
    width = cluster.micro_batch_tokens * (WIDER if shares_prefixes(stage) else 1)
    longest = stage.config.max_prompt_tokens + stage.config.longest_sampled(stage.kind)
    return _solving(stage) | {
        f"{ROLLOUT}.name": "vllm",
        f"{ROLLOUT}.n": stage.settings.batch.samples_per_prompt,
        f"{ROLLOUT}.temperature": stage.config.temperature,
        f"{ROLLOUT}.max_model_len": longest,
        f"{ROLLOUT}.seed": stage.config.seed,
        f"{ROLLOUT}.log_prob_max_token_len_per_gpu": width,
        f"{ROLLOUT}.tensor_model_parallel_size": 1,
        f"{ROLLOUT}.agent.default_agent_loop": LOOP,
        f"{ROLLOUT}.agent.agent_loop_config_path": str(agent_loops_file(stage)),
        f"{ROLLOUT}.val_kwargs.n": validation.samples,
        f"{ROLLOUT}.val_kwargs.temperature": validation.temperature,
        f"{ROLLOUT}.val_kwargs.do_sample": validation.temperature > 0,
    }


def _solving(stage: Stage) -> dict[str, Any]:
    """Room for the solutions of a judge that also solves. Each agent loop holds its responses to a limit of its own."""
    return {f"{ROLLOUT}.response_length": stage.config.longest_sampled(stage.kind)} if stage.solves else {}


def _flow(stage: Stage) -> dict[str, Any]:
    """A response that an update may interrupt: vLLM hands over its first token, and the rest at its end."""
    longest = stage.config.longest_sampled(stage.kind)
    return {f"+{ROLLOUT}.engine_kwargs.vllm.stream_interval": longest + 1} if flows(stage) else {}


def _separate(stage: Stage) -> dict[str, Any]:
    """A rollout with devices of its own, and none on the trainer's. Its weights change once a step."""
    if not separates(stage):
        return {}
    cluster = stage.config.cluster
    return {
        "actor_rollout_ref.hybrid_engine": False,
        f"{ROLLOUT}.nnodes": cluster.nodes,
        f"{ROLLOUT}.n_gpus_per_node": cluster.rollout_gpus_per_node,
        f"{ROLLOUT}.checkpoint_engine.backend": GLOO if stage.device == "cpu" else NCCL,
        f"{ROLLOUT}.checkpoint_engine.custom_backend_module": "judgerlvr.engine.private.separate_weights",
        "trainer.v1.separate_async.parameter_sync_step": 1,
    }


def _blocks(stage: Stage) -> dict[str, Any]:
    """A HySparse policy: vLLM returns the rollout's blocks, and the trainer's engine uses or compares the blocks."""
    if not stage.chooses_blocks:
        return {}
    return {
        f"+{ROLLOUT}.engine_kwargs.vllm.kv_transfer_config": TRANSFER,
        # vLLM 0.24 would free a preempted request's blocks while its last step runs.
        f"+{ROLLOUT}.engine_kwargs.vllm.async_scheduling": False,
    }


def _experts(stage: Stage) -> dict[str, Any]:
    """Router replay: vLLM returns the rollout's experts, and the trainer's engine uses the experts."""
    if not stage.replays_experts:
        return {}
    if stage.device == "gpu":
        return {f"{ROLLOUT}.enable_rollout_routing_replay": True}
    return {
        f"+{ROLLOUT}.engine_kwargs.vllm.kv_transfer_config": CHOSEN_EXPERTS,
        f"+{ROLLOUT}.engine_kwargs.vllm.async_scheduling": False,
    }


def expert_count(stage: Stage) -> int:
    """Experts of a layer. Configurations have several names for the number, and transformers knows all."""
    from transformers import AutoConfig

    return int(AutoConfig.from_pretrained(stage.init).num_experts)


def _reward(stage: Stage) -> dict[str, Any]:
    path, _, name = stage.reward_function.partition(":")
    settings: dict[str, Any] = {
        "reward.custom_reward_function.path": path,
        "reward.custom_reward_function.name": name,
        "+reward.custom_reward_function.reward_kwargs": stage.reward_kwargs,
    }
    algorithm = stage.settings.algorithm
    if algorithm.overlong is not Overlong.penalty:
        return settings
    buffer = {"enable": True, "len": algorithm.overlong_buffer, "penalty_factor": 1.0, "log": True}
    return settings | {
        "reward.reward_manager.name": "dapo",
        "+reward.reward_kwargs.overlong_buffer_cfg": buffer,
        "+reward.reward_kwargs.max_resp_len": stage.settings.max_response_tokens,
    }


def _trainer(stage: Stage) -> dict[str, Any]:
    settings, logging = stage.settings, stage.config.logging
    loggers = [name for name in ("tensorboard", "wandb", "mlflow") if getattr(logging, name)]
    return {
        "trainer.nnodes": stage.config.cluster.nodes,
        "trainer.n_gpus_per_node": stage.config.cluster.gpus_per_node,
        # verl's console logger prints every metric of a step in one line. Our log prints a few.
        "trainer.logger": loggers,
        "trainer.project_name": "judgerlvr",
        "trainer.experiment_name": stage.run_dir.name,
        "trainer.default_local_dir": str(stage.checkpoints),
        # Longer than any run. ``steps`` ends the run, and the data may be smaller than one pass.
        "trainer.total_epochs": 10**9,
        "trainer.total_training_steps": settings.stop.steps,
        "trainer.save_freq": settings.checkpoint.every or settings.stop.steps,
        # verl never validates where the frequency is negative.
        "trainer.test_freq": settings.validation.every or -1,
        # A resumed run has validated this step, and trackers would show the step twice.
        "trainer.val_before_train": bool(settings.validation.every) and not stage.resume_from,
        "trainer.checkpoint_callback_class": "judgerlvr.engine.in_training.checkpoint_hook.CheckSaved",
        "trainer.resume_mode": "resume_path" if stage.resume_from else "disable",
        "trainer.resume_from_path": str(stage.resume_from) if stage.resume_from else None,
    }


def _sampler(stage: Stage) -> dict[str, Any]:
    algorithm = stage.settings.algorithm
    return {
        "trainer.v1.sampler.custom_sampler.path": "pkg://judgerlvr.engine.in_training.sampler",
        "trainer.v1.sampler.custom_sampler.name": "StreamingSampler" if flows(stage) else "BoundedSampler",
        "trainer.v1.trainer_mode": str(stage.config.cluster.trainer_mode),
        "trainer.v1.sampler.max_off_policy_threshold": stage.config.cluster.max_off_policy_steps,
        "trainer.v1.sampler.max_off_policy_strategy": "wait",
        "+trainer.v1.sampler.sampler_kwargs.replace_uniform": algorithm.dynamic_sampling,
        "+trainer.v1.sampler.sampler_kwargs.max_extra_rounds": algorithm.max_extra_rounds,
        "+trainer.v1.sampler.sampler_kwargs.run_dir": str(stage.run_dir),
        "+trainer.v1.sampler.sampler_kwargs.kind": stage.kind,
        "+trainer.v1.sampler.sampler_kwargs.logged_prompts": stage.config.logging.rollouts_per_step,
    }
