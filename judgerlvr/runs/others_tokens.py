"""Tokens that other runs have sampled, as a budget. The other runs may still be going on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.runs.checkpoints import read_seal
from judgerlvr.runs.folder import end_of
from judgerlvr.runs.manifest import MANIFEST, read_manifest
from judgerlvr.runs.metrics import GENERATED_TOKENS, METRICS, read_metrics


@dataclass(frozen=True)
class OthersTokens:
    """``tokens`` sampled so far, candidates included. ``final`` once every run is over."""

    tokens: int
    final: bool

    def allows(self, tokens: int) -> bool | None:
        """Whether a run that has sampled ``tokens`` may go on. None as long as nobody can know."""
        if tokens < self.tokens:
            return True
        return False if self.final else None


def tokens_of(run_dirs: Iterable[Path]) -> OthersTokens:
    """The tokens of several runs together. A folder that is not there yet counts as a run without tokens."""
    found = [_tokens_of(run_dir) for run_dir in run_dirs]
    return OthersTokens(sum(one.tokens for one in found), all(one.final for one in found))


def _tokens_of(run_dir: Path) -> OthersTokens:
    if not (run_dir / MANIFEST).is_file():
        return OthersTokens(0, False)
    if ended := end_of(run_dir, read_manifest(run_dir)):
        return OthersTokens(int(read_seal(ended)["generated_tokens"]), True)
    totals = [row.values[GENERATED_TOKENS.name] for row in read_metrics(run_dir / METRICS) if row.is_training]
    return OthersTokens(int(totals[-1]) if totals else 0, False)
