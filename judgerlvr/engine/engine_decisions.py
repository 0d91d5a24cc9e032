"""Keys of verl that this product does not set: open to the section ``engine``, or closed and why.

A decision covers the key and all keys under the key, and the longest name wins. A key without a decision is closed.
``tests/engine/test_engine_decisions.py`` walks verl's configuration and fails on such a key.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from judgerlvr.engine.devices import ACTOR, MODEL, ROLLOUT
from judgerlvr.engine.measured_steps import CORRECTION

OPTIMIZER, SHARDING = f"{ACTOR}.optim", f"{ACTOR}.fsdp_config"
BUCKET = f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes"
# verl's names of arguments that go to vLLM as they are.
TO_VLLM = (
    "max_num_seqs",
    "max_num_batched_tokens",
    "enable_prefix_caching",
    "enable_chunked_prefill",
    "scheduling_policy",
    "enforce_eager",
    "disable_log_stats",
)
# vLLM takes the sizes inside another argument.
CAPTURES = "cudagraph_capture_sizes"


def _under(section: str, *names: str) -> list[str]:
    return [f"{section}.{name}" for name in names]


OPEN = (
    *_under(ROLLOUT, *TO_VLLM, CAPTURES),
    BUCKET,
    *_under(ACTOR, "clip_ratio_c", "entropy_coeff", "calculate_entropy", "ppo_epochs"),
    *_under(OPTIMIZER, "betas", "lr_scheduler_type", "min_lr_ratio", "num_cycles", "zero_indexed_step"),
    *_under(SHARDING, "reshard_after_forward"),
    *_under(CORRECTION, "rollout_rs", "rollout_rs_threshold", "rollout_is_batch_normalize"),
    *_under("data", "custom_cls", "shuffle"),
    "actor_rollout_ref.nccl_timeout",
)


class Closed(NamedTuple):
    """Why a key is closed, and what to do. ``{kind}`` in a remedy stands for the stage."""

    problem: str
    remedy: str = "leave the key out"


CLASS = Closed("it names a class of verl")
UNTRIED = Closed("nobody has tried it here")

# What the product promises of samples.
DISTRIBUTION = Closed(
    "the trainer scores each token under the whole distribution, so samples must come from that distribution",
    "leave the key out, and set temperature",
)
ENDS = Closed("a response must be able to end, and be sampled", "set {kind}.max_response_tokens")
HELD_OUT = Closed("held-out figures are of the whole distribution", "set {kind}.validation.temperature")
SCORES = Closed("each step compares the rollout's log-probabilities with the trainer's")
LOOP = Closed("an agent loop of the product gives the samples", "set {kind}.agent_loop")
SYNCED = Closed("the rollout takes its weights from the trainer")
ROLLED = Closed("weights are published in the number format in which rollouts ran")
REPLAYED = Closed("the routes of experts follow a key of ours", "set model.replay_experts")
# What it promises of weights and checkpoints.
EXPORTED = Closed("the proof of an export knows whole weights in float32 alone", "leave the key out: all weights train")
SHARDED = Closed("checkpoints and exports are sharded over all ranks", "set cluster.gpus_per_node and cluster.nodes")
KEPT = Closed("the product keeps and removes checkpoints itself", "set {kind}.checkpoint.keep")
SAVED = Closed("the product reads each checkpoint as soon as verl has saved it")
UPDATES = Closed("an update has the same samples on any number of ranks")
SEEDED = Closed("runs repeat by their seed", "set seed")
POLICY = Closed("the directory of the starting policy decides it", "change the policy's files")
# What the plan and the checks count.
MEMORY = Closed("the plan of memory decides it", "set cluster.offload, cluster.recompute or cluster.rollout_gpu_share")
TOKENS = Closed("micro-batches are sized by tokens", "set cluster.micro_batch_tokens")
MESH = Closed("the plan and the checks split a rollout by tensors alone", "set cluster.tensor_parallel")
COUNTED = Closed("the check of CPUs counts the actors that verl starts here")
# Another key decides.
ADAM = Closed("plan and checkpoints are of AdamW", "set {kind}.optimizer.lr and {kind}.optimizer.weight_decay")
WARMUP = Closed("keys of ours decide the schedule's lengths", "set {kind}.optimizer.warmup_steps or {kind}.stop.steps")
SCHEDULE = Closed("verl has a newer name for it", f"set engine.{OPTIMIZER}.lr_scheduler_type")
CLIPPED = Closed("verl reads another key", "set {kind}.optimizer.grad_clip")
LOSSES = Closed("it belongs to a loss that this product does not choose", "set {kind}.algorithm.loss")
PREFIXES = Closed("our own engine shares prefixes", "set cluster.share_prefixes")
GROUPS = Closed("our own sampler decides about groups", "set {kind}.algorithm.dynamic_sampling")
AHEAD = Closed("keys of ours decide how far sampling runs ahead", "set cluster.max_off_policy_steps")
PREPARED = Closed("the product prepares the rows, and counts their tokens", "set data.train and data.heldout")
REWARDED = Closed("a function of the product gives the reward", "set reward.verifier")
LOGGED = Closed("the product writes responses itself", "set logging.rollouts_per_step")
PROFILED = Closed("nobody has run verl's profilers here", "use python -m judgerlvr.measure")
ARGUMENTS = Closed("no other engine than vLLM runs here", "set cluster.rollout_engine")
STORED = Closed("a run's folder holds its checkpoints", "set runs")
# Nothing would come of it.
NO_PART = Closed("this product runs no such part of verl")
NO_EFFECT = Closed("no part of verl that runs here reads it")
PACKED_ROWS = Closed("our engine's head and attention take packed rows, and compute entropies themselves")
OWN_FORWARD = Closed("our own engine replaces the model's forward pass")
REFERENCE = Closed("there is no reference policy, so there is no KL term")
CRITIC = Closed("there is no critic: advantages are of groups")
TRAINS = Closed("a stage trains in each step")

_CLOSED: tuple[tuple[Closed, list[str]], ...] = (
    (NO_PART, ["model_engine", "distillation", "skip", "ray_kwargs", "actor_rollout_ref.hybrid_engine"]),
    (CRITIC, ["critic", *_under("algorithm", "gamma", "lam")]),
    (COUNTED, ["transfer_queue", "reward.num_workers", f"{ROLLOUT}.agent.num_workers"]),
    (PROFILED, ["global_profiler", f"{ACTOR}.profiler", *_under(ROLLOUT, "profiler", "prometheus")]),
    (REWARDED, ["reward", "reward_model", "custom_reward_function", "sandbox_fusion"]),
    (REFERENCE, ["actor_rollout_ref.ref", *_under(ACTOR, "kl_loss_coef", "kl_loss_type")]),
    (REFERENCE, _under("algorithm", "use_kl_in_reward", "kl_penalty", "kl_ctrl")),
    # The actor.
    (TOKENS, _under(ACTOR, "ppo_micro_batch_size", "ppo_micro_batch_size_per_gpu")),
    (LOSSES, _under(ACTOR, "clip_ratio", "tau_pos", "tau_neg", "policy_loss", "loss_scale_factor")),
    (NO_PART, _under(ACTOR, "freeze_vision_tower")),
    (PACKED_ROWS, _under(ACTOR, "calculate_sum_pi_squared", "entropy_checkpointing", "pad_to_length")),
    (PACKED_ROWS, _under(ACTOR, "entropy_from_logits_with_chunking", "entropy_from_logits_chunk_size")),
    (PREFIXES, _under(ACTOR, "use_prefix_grouper")),
    (SAVED, _under(ACTOR, "checkpoint")),
    (EXPORTED, _under(ACTOR, "qat")),
    (CLIPPED, _under(ACTOR, "grad_clip")),
    (UPDATES, _under(ACTOR, "shuffle")),
    (ADAM, _under(OPTIMIZER, "optimizer", "optimizer_impl", "override_optimizer_config")),
    (WARMUP, _under(OPTIMIZER, "lr_warmup_steps_ratio", "total_training_steps")),
    (SCHEDULE, _under(OPTIMIZER, "warmup_style")),
    (SHARDED, _under(SHARDING, "wrap_policy", "fsdp_size")),
    (NO_PART, _under(SHARDING, "turbo_config", "strategy")),
    (MEMORY, _under(SHARDING, "param_offload", "optimizer_offload", "offload_policy")),
    (NO_EFFECT, _under(SHARDING, "forward_prefetch", "use_orig_params", "use_no_sync_for_gradient_accumulation")),
    (TRAINS, _under(SHARDING, "forward_only")),
    (EXPORTED, _under(SHARDING, "model_dtype", "qat")),
    (ROLLED, _under(SHARDING, "dtype")),
    (SEEDED, _under(SHARDING, "full_determinism")),
    (PACKED_ROWS, _under(SHARDING, "pad_to_length_bucket")),
    # The rollout.
    (NO_PART, _under(ROLLOUT, "mode", "nnodes", "disaggregation", "router_config_path")),
    (DISTRIBUTION, _under(ROLLOUT, "top_k", "top_p")),
    (ENDS, _under(ROLLOUT, "ignore_eos", "do_sample")),
    (HELD_OUT, _under(ROLLOUT, "val_kwargs")),
    (SCORES, _under(ROLLOUT, "calculate_log_probs", "logprobs_mode")),
    (SYNCED, _under(ROLLOUT, "load_format", "layered_summon", "checkpoint_engine")),
    (ROLLED, _under(ROLLOUT, "dtype", "quantization", "quantization_config_file")),
    (MESH, _under(ROLLOUT, "data_parallel_size", "expert_parallel_size", "pipeline_model_parallel_size")),
    (MEMORY, _under(ROLLOUT, "gpu_memory_utilization", "free_cache_engine", "multi_stage_wake_up")),
    (TOKENS, _under(ROLLOUT, "log_prob_micro_batch_size", "log_prob_micro_batch_size_per_gpu")),
    (SEEDED, _under(ROLLOUT, "full_determinism")),
    (NO_EFFECT, _under(ROLLOUT, "over_sample_rate", "skip_tokenizer_init")),
    (ARGUMENTS, _under(ROLLOUT, "engine_kwargs")),
    (LOOP, _under(ROLLOUT, "multi_turn", "agent")),
    (LOGGED, _under(ROLLOUT, "trace")),
    (REPLAYED, _under(ROLLOUT, "enable_rollout_routing_replay", "moe_load_balance_metrics_interval")),
    # The model.
    (POLICY, _under(MODEL, "hf_config_path", "tokenizer_path", "custom_chat_template", "override_config", "use_shm")),
    (MEMORY, _under(MODEL, "enable_activation_offload")),
    (EXPORTED, _under(MODEL, "lora", "lora_rank", "lora_alpha", "lora_adapter_path")),
    (EXPORTED, _under(MODEL, "target_modules", "exclude_modules")),
    (OWN_FORWARD, _under(MODEL, "use_liger", "fused_kernel_options", "tiled_mlp", "mtp")),
    # The rows.
    (PREPARED, _under("data", "tokenizer", "use_shm", "train_max_samples", "val_batch_size", "validation_shuffle")),
    (PREPARED, _under("data", "prompt_key", "reward_fn_key", "image_key", "video_key", "audio_key")),
    (PREPARED, _under("data", "return_raw_input_ids", "return_raw_chat", "return_full_prompt")),
    (PREPARED, _under("data", "return_multi_modal_inputs", "mm_processor_kwargs", "image_patch_size")),
    (PREPARED, _under("data", "filter_overlong_prompts", "filter_overlong_prompts_workers", "truncation")),
    (PREPARED, _under("data", "apply_chat_template_kwargs")),
    # The algorithm.
    (NO_EFFECT, [f"{CORRECTION}.loss_type", *_under("algorithm", "use_pf_ppo", "pf_ppo")]),
    (GROUPS, _under("algorithm", "filter_groups")),
    # The trainer.
    (LOGGED, _under("trainer", "log_val_generations", "rollout_data_dir", "validation_data_dir")),
    (KEPT, _under("trainer", "max_actor_ckpt_to_keep", "max_critic_ckpt_to_keep", "del_local_ckpt_after_load")),
    (KEPT, _under("trainer", "esi_redundant_time")),
    (STORED, _under("trainer", "default_hdfs_dir")),
    (TRAINS, _under("trainer", "val_only", "critic_warmup")),
    (NO_EFFECT, _under("trainer", "balance_batch", "ray_wait_register_center_timeout")),
    (NO_PART, _under("trainer", "use_v1")),
    (AHEAD, _under("trainer", "v1")),
)
CLOSED = {name: why for why, names in _CLOSED for name in names}


def closed(key: str, default: Any) -> Closed | None:
    """Why a key of this name and this default in verl is closed, or None for an open key."""
    if key.endswith("._target_"):
        return CLASS
    named = [name for name in (*OPEN, *CLOSED) if f"{key}.".startswith(f"{name}.")]
    if named:
        return CLOSED.get(max(named, key=len))
    # verl computes such a value from other keys.
    return Closed(f"verl takes it from {default}") if str(default).startswith("${") else UNTRIED
