"""What an export takes from the base: configuration, tokenizer, chat template, generation settings and code."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from judgerlvr.hysparse.conversion.derived_files import copy_files
from judgerlvr.hysparse.model.remote_code import AUTO_MAP, write_code

# Choices of the process that trained. A reader has its own device, and its own attention.
RUN_TIME = ("attn_implementation", "experts_implementation", "torch_dtype", "use_cache")


def carry(base: Path, export: Path, dtype: torch.dtype) -> None:
    """Fill ``export`` with the base's files other than weights; config.json names ``dtype`` and no run-time setting."""
    copy_files(base, export)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config = {key: value for key, value in config.items() if not any(name in key for name in RUN_TIME)}
    config["dtype"] = str(dtype).removeprefix("torch.")
    # transformers has no HySparse, so the export carries the code and names the code's classes.
    if config.get("model_type") == "hysparse":
        config["auto_map"] = AUTO_MAP
        write_code(export)
    (export / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
