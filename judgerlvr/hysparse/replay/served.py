"""Configurations that vLLM and training by RL cannot serve, refused before a weight is read. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgerlvr.hysparse.model.layout import beyond_kernels, unserved
from rewards.errors import InputError


def check_served(fields: Mapping[str, Any], file: Path | str) -> None:
    """Raise InputError if the fields of a config.json ask for layers that vLLM does not serve on any device.

    ``file`` is where the fields come from.
    """
    found = unserved(fields) if fields.get("model_type") == "hysparse" else None
    if found is not None:
        field, reason = found
        raise InputError(
            reason, "give another HySparse model, or run this one with transformers", file=file, field=field
        )


def check_kernels(fields: Mapping[str, Any], file: Path | str, device: str) -> None:
    """Raise InputError if the fields ask for layers of HySparse2 on a ``device`` other than cpu.

    ``file`` is where the fields come from.
    """
    asked = beyond_kernels(fields) if fields.get("model_type") == "hysparse" and device != "cpu" else []
    if asked:
        remedy = "set cluster.device=cpu, or give a HySparse or Qwen3 model"
        raise InputError("HySparse2 asked for: no kernel takes its layers", remedy, file=file, field=asked[0])
