"""How much of a rollout's choices travels with a sample. Carrier, metric and planner ask here. No torch is imported.

Row ``t`` of a sequence sees t // block + 1 blocks. A row that sees no more blocks than it may select chooses all of
them, so the trainer fills such a row in. Only crowded rows travel. Experts travel for every row.
"""

from __future__ import annotations

from dataclasses import dataclass

# A choice is carried as an int16.
CHOICE_BYTES = 2
# Values before the choices: the number of computed rows, in two parts that fit an int16.
HEADER = 2
PART = 2**15


@dataclass(frozen=True)
class CarriedSizes:
    """``blocks`` values of a crowded row and ``experts`` values of every row.

    The first ``uncrowded`` rows of a sequence see no more blocks than they may select.
    """

    blocks: int
    experts: int
    uncrowded: int

    def crowded(self, computed: int) -> int:
        """Crowded rows among the first ``computed`` rows of a sequence."""
        return max(0, computed - self.uncrowded)

    def values(self, tokens: int) -> int:
        """Values that a sample of ``tokens`` tokens carries. The last token was sampled and never computed."""
        computed = tokens - 1
        return HEADER + computed * self.experts + self.crowded(computed) * self.blocks

    def bytes(self, tokens: int) -> int:
        """Bytes that a sample of ``tokens`` tokens carries."""
        return self.values(tokens) * CHOICE_BYTES
