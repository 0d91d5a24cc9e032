"""Imported by verl in each worker (``model.external_lib``): registers our engines."""

from judgerlvr.engine.private import block_engine, expert_engine, training_engine

__all__ = ["block_engine", "expert_engine", "training_engine"]
