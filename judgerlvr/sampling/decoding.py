"""How samples are drawn, and the seed of each one."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any

SEED_BITS = 31  # within what every engine takes as a seed


@dataclass(frozen=True)
class Decoding:
    """Sampling settings; they are stored and printed beside every number they produced.

    ``temperature`` 0 is greedy and then ``n`` is 1. ``max_tokens`` limits the response alone.
    """

    n: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int = 0
    stored: bool = False  # responses were given, not sampled here: all settings but n are unknown

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0 and not self.stored

    @property
    def name(self) -> str:
        """Short label of this setting, such as ``T=1.0`` or ``greedy``."""
        if self.stored:
            return "stored"
        if self.greedy:
            return "greedy"
        return f"T={self.temperature:g}" + (f" top_p={self.top_p:g}" if self.top_p < 1 else "")

    def as_greedy(self) -> Decoding:
        """The greedy row that is shown beside these settings."""
        return replace(self, n=1, temperature=0.0, top_p=1.0)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}


def sample_seed(run_seed: int, problem_id: str, index: int) -> int:
    """Seed of one sample, the same on every machine and in every order of the problems."""
    key = f"{run_seed}\x1f{problem_id}\x1f{index}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") % (1 << SEED_BITS)
