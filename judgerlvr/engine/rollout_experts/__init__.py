"""Router replay for Qwen3-MoE: the rollout's experts travel with the sample to the trainer."""
