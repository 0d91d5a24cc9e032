"""Gradient checkpointing that keeps activations which are dear to compute again and small to hold."""

from __future__ import annotations

from typing import Any

from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts


def keeps_attention(_context: Any, operation: Any, *_args: Any, **_kwargs: Any) -> CheckpointPolicy:
    """Keep the output of attention. Attention is most of a forward pass at 64k tokens, and its output is small."""
    name = operation.name().lower() if hasattr(operation, "name") else str(operation)
    attends = "attention" in name or "attn" in name
    return CheckpointPolicy.MUST_SAVE if attends else CheckpointPolicy.PREFER_RECOMPUTE


def kept_attention() -> Any:
    """``context_fn`` of torch's checkpoint."""
    return create_selective_checkpoint_contexts(keeps_attention)
