"""Versions of the packages that decide a run's numbers."""

from __future__ import annotations

import importlib.metadata

PACKAGES = ("judgerlvr", "torch", "verl", "vllm", "ray", "transformers", "tensordict", "math-verify")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def versions() -> dict[str, str]:
    """Version of each package, ``missing`` where a package is not installed."""
    return {name: _version(name) for name in PACKAGES}
