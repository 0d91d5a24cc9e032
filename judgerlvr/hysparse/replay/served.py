"""Configurations that vLLM and training by RL cannot serve, refused before a weight is read. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgerlvr.hysparse.model.layout import ALONE, beyond_kernels
from rewards.errors import InputError


def check_served(fields: Mapping[str, Any], file: Path | str) -> None:
    """Raise InputError if the fields of a config.json ask for layers of HySparse2. ``file`` is where they come from."""
    asked = beyond_kernels(fields) if fields.get("model_type") == "hysparse" else []
    if asked:
        remedy = "give a HySparse or Qwen3 model, or run this one with transformers"
        raise InputError(f"HySparse2 asked for: {ALONE}", remedy, file=file, field=asked[0])
