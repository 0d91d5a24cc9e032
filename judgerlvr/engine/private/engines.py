"""Imported by verl in each worker (``model.external_lib``): registers our engines and reading of other ranks' files."""

from judgerlvr.engine.private import block_engine, expert_engine, resharding, training_engine

__all__ = ["block_engine", "expert_engine", "resharding", "training_engine"]
