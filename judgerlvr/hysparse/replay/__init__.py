"""The choices of a rollout on their way to the trainer."""
