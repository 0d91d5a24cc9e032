"""What a model takes: token ids of its vocabulary, and texts within its context."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PretrainedConfig

from judgerlvr.hysparse.conversion.texts import Text
from judgerlvr.hysparse.model.config import HySparseConfig
from rewards.errors import InputError


def context_of(config: PretrainedConfig) -> int:
    """Tokens up to which the model's positions are trained, rotary scaling included.

    ``factor`` stretches ``original_max_position_embeddings``, or the context itself where that length is not given.
    """
    context: int = config.max_position_embeddings
    rope = config.rope_parameters or {}
    stretched = rope.get("factor") or 1
    return max(context, int(stretched * (rope.get("original_max_position_embeddings") or context)))


def check_texts(texts: Sequence[Text], config: PretrainedConfig, file: Path, directory: Path) -> None:
    """Check texts of ``file`` against the model of ``directory``, whose tokenizer made the ids.

    Raises InputError for an id beyond the vocabulary, and for a text that is longer than the context.
    """
    highest = max((max(text.ids) for text in texts if text.ids), default=0)
    if highest >= config.vocab_size:
        problem = f"the tokenizer makes token id {highest}, and the model has {config.vocab_size} tokens"
        raise InputError(problem, "use the tokenizer that the model was trained with", file=directory)
    longest, context = max((len(text.ids) for text in texts), default=0), context_of(config)
    if longest > context:
        problem = f"the longest text has {longest} tokens, and the model's context is {context}"
        raise InputError(problem, f"give shorter texts, or --length {context}", file=file)


def reach_notes(config: HySparseConfig) -> list[str]:
    """A line for each branch that reads the whole context, so that the sparse layers save nothing by this branch."""
    context = context_of(config)
    reaches = {"--window": config.sliding_window or 0, "--select-tokens": config.select_tokens}
    return [
        f"note: {flag} {reach} covers the model's context of {context} tokens, so that branch reads every token"
        for flag, reach in reaches.items()
        if reach >= context
    ]
