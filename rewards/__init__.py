"""Rewards: extraction, comparison, verdicts and their isolation (no torch, no verl outside the adapter)."""
