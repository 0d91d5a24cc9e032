"""The training engine as it was before log-probabilities came from the head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def whole_logits(engine: Any) -> Iterator[None]:
    """Inside, ``engine`` makes verl's own passes over all logits."""
    from judgerlvr.engine.private.training_engine import HeadEngine

    head = engine.module.get_output_embeddings()
    forward = head.__dict__.pop("forward")
    passes = {name: HeadEngine.__dict__[name] for name in ("prepare_model_inputs", "prepare_model_outputs")}
    for name in passes:
        delattr(HeadEngine, name)
    try:
        yield
    finally:
        head.forward = forward
        for name, method in passes.items():
            setattr(HeadEngine, name, method)
