"""Configuration keys and the values of verl's configuration that they set."""

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
SAMPLER = "trainer.v1.sampler.sampler_kwargs"
# Keys of both stages: override, verl's key, verl's value.
OF_A_STAGE = {
    "batch.samples_per_prompt": ("4", f"{ROLLOUT}.n", 4),
    "batch.updates_per_step": ("2", f"{ACTOR}.ppo_mini_batch_size", 16),
    "stop.steps": ("7", "trainer.total_training_steps", 7),
    "algorithm.loss": ("gspo", f"{ACTOR}.policy_loss.loss_mode", "gspo"),
    "algorithm.clip_low": ("0.1", f"{ACTOR}.clip_ratio_low", 0.1),
    "algorithm.clip_high": ("0.5", f"{ACTOR}.clip_ratio_high", 0.5),
    "algorithm.divide_by_std": ("false", "algorithm.norm_adv_by_std_in_grpo", False),
    "algorithm.dynamic_sampling": ("false", f"{SAMPLER}.replace_uniform", False),
    "algorithm.max_extra_rounds": ("5", f"{SAMPLER}.max_extra_rounds", 5),
    "algorithm.old_log_probs_every": ("3", "algorithm.rollout_correction.bypass_mode", True),
    "algorithm.importance_cap": ("3", "algorithm.rollout_correction.rollout_is_threshold", 3.0),
    "optimizer.lr": ("0.5", f"{ACTOR}.optim.lr", 0.5),
    "optimizer.warmup_steps": ("9", f"{ACTOR}.optim.lr_warmup_steps", 9),
    "optimizer.weight_decay": ("0.25", f"{ACTOR}.optim.weight_decay", 0.25),
    "optimizer.grad_clip": ("0.75", f"{ACTOR}.optim.clip_grad", 0.75),
    "validation.every": ("3", "trainer.test_freq", 3),
    "validation.prompts": ("9", "data.val_max_samples", 9),
    "validation.samples": ("6", f"{ROLLOUT}.val_kwargs.n", 6),
    "validation.temperature": ("0.5", f"{ROLLOUT}.val_kwargs.temperature", 0.5),
    "checkpoint.every": ("4", "trainer.save_freq", 4),
    "max_response_tokens": ("77", "data.max_response_length", 77),
}
# Keys of a run, by device.
OF_A_RUN = {
    "seed": ("cpu", "3", "data.seed", 3),
    "max_prompt_tokens": ("cpu", "55", "data.max_prompt_length", 55),
    "temperature": ("cpu", "0.7", f"{ROLLOUT}.temperature", 0.7),
    "model.trust_remote_code": ("cpu", "true", "data.trust_remote_code", True),
    "cluster.nodes": ("gpu", "2", "trainer.nnodes", 2),
    "cluster.gpus_per_node": ("gpu", "4", "trainer.n_gpus_per_node", 4),
    "cluster.tensor_parallel": ("gpu", "2", f"{ROLLOUT}.tensor_model_parallel_size", 2),
    "cluster.rollout_gpu_share": ("gpu", "0.3", f"{ROLLOUT}.gpu_memory_utilization", 0.3),
    "cluster.rollout_cpu_gib": ("cpu", "3", "ray_kwargs.ray_init.runtime_env.env_vars.VLLM_CPU_KVCACHE_SPACE", "3"),
    "cluster.rollout_engine": ("cpu", "{block_size: 64}", f"{ROLLOUT}.engine_kwargs.vllm.block_size", 64),
    "cluster.trainer_mode": ("cpu", "colocate_async", "trainer.v1.trainer_mode", "colocate_async"),
    "cluster.max_off_policy_steps": ("cpu", "2", "trainer.v1.sampler.max_off_policy_threshold", 2),
    "cluster.micro_batch_tokens": ("cpu", "123", f"{ACTOR}.ppo_max_token_len_per_gpu", 123),
    "cluster.offload": ("gpu", "true", f"{ACTOR}.fsdp_config.param_offload", True),
    "cluster.attention": ("cpu", "eager", "actor_rollout_ref.model.override_config.attn_implementation", "eager"),
    "logging.tensorboard": ("cpu", "false", "trainer.logger", []),
    "logging.wandb": ("cpu", "true", "trainer.logger", ["tensorboard", "wandb"]),
    "logging.mlflow": ("cpu", "true", "trainer.logger", ["tensorboard", "mlflow"]),
    "logging.rollouts_per_step": ("cpu", "8", f"{SAMPLER}.logged_prompts", 8),
}
