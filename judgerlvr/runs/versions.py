"""Versions of the packages that decide a run's numbers."""

from __future__ import annotations

import importlib.metadata

PACKAGES = ("judgerlvr", "torch", "verl", "vllm", "ray", "transformers", "tensordict", "math-verify")


def version(package: str) -> str:
    """Version of an installed package, else ``missing``."""
    try:
        # Metadata is read without an import, which for vLLM and torch takes seconds.
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def versions() -> dict[str, str]:
    """Version of each package, ``missing`` where a package is not installed."""
    return {name: version(name) for name in PACKAGES}
