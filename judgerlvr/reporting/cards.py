"""How each run's policy was asked and graded, from the card of the run."""

from __future__ import annotations

from collections.abc import Sequence

from judgerlvr.reporting.html import NOT_RUN, Markup, table
from judgerlvr.reporting.runs import Run

HEAD = ("run", "generation prompt", "judge prompt", "verdicts", "extraction", "verifier", "longest response")
UNUSED = "not used"


def cards_table(runs: Sequence[Run]) -> Markup:
    """A row for each run. A fact that neither the run nor the runs before used is named as such."""
    return table(HEAD, [_row(run) for run in runs])


def _row(run: Run) -> list[object]:
    card = run.card
    if card is None:
        return [run.name, *[NOT_RUN] * (len(HEAD) - 1)]
    return [
        run.name,
        card.generation_prompt or UNUSED,
        card.judge_prompt or UNUSED,
        ", ".join(card.verdicts) if card.verdicts else UNUSED,
        card.extraction,
        card.verifier,
        f"{card.max_response_tokens} tokens",
    ]
