"""The committed base models as directories that transformers and vLLM load as they lie."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from judgerlvr.hysparse.model.remote_code import remove_code

_BASES = Path(__file__).parents[1] / "base"


def base_path(architecture: str = "qwen3_moe") -> Path:
    """Directory of the committed base model of one architecture in ``model.SHAPES``."""
    return _BASES / architecture


def save_checkpoint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write bf16 weights under a bf16 config, tokenizer and end token. The parameters of ``model`` become bf16."""
    for parameter in model.parameters():  # Buffers stay fp32, because rotary frequencies need fp32.
        parameter.data = parameter.data.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out)
    remove_code(out)  # A base lies in the package, so a copy of the package's code beside the base is of no use.
    tokenizer.save_pretrained(out)
