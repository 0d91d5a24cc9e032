"""The keys of solving while judging: ours, and not the paper's."""

from __future__ import annotations

from dataclasses import dataclass

from judgerlvr.config.documented import doc
from judgerlvr.config.domains import COUNT, COUNT_OR_OFF, SHARE


@dataclass
class Solving:
    problems: int = doc(
        0,
        "Held-out problems that the judge's policy solves too, at each validation and before the first step; 0: none. "
        "Ours, not the paper's.",
        COUNT_OR_OFF,
    )
    samples: int = doc(1, "Solutions sampled for each of them.", COUNT)
    stop_gain: float = doc(
        0.0,
        "Stop once the accuracy of solving lies so far above the starting policy's, at most 1; 0: off. Ours, not the "
        "paper's.",
        SHARE,
    )
