"""Asynchronous against synchronous rollouts: stages that step in turn, and what the plan had predicted."""
