"""The error of an export that is not what was trained."""

from __future__ import annotations

from rewards.errors import CommandFailed


class ExportMismatch(CommandFailed):
    """Shards or an export are damaged, or they do not hold the same weights."""
