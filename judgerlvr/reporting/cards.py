"""How each run's policy was asked and graded, from the card of the run."""

from __future__ import annotations

from collections.abc import Sequence

from judgerlvr.reporting.parts import ABSENT, Cell, Table
from judgerlvr.reporting.runs import Run

HEAD = ("run", "generation prompt", "judge prompt", "verdicts", "extraction", "verifier", "longest response (tokens)")
UNUSED = "not in training"


def cards_table(runs: Sequence[Run]) -> Table:
    """A row for each run. A fact that neither the run nor the runs before used is named as such."""
    return Table("How the policies were asked and graded in training", HEAD, [_row(run) for run in runs])


def _row(run: Run) -> list[Cell]:
    card = run.card
    if card is None:
        return [Cell(run.name), *[ABSENT] * (len(HEAD) - 1)]
    verdicts = ", ".join(card.verdicts) if card.verdicts else UNUSED
    prompts = [card.generation_prompt or UNUSED, card.judge_prompt or UNUSED]
    return [Cell(text) for text in (run.name, *prompts, verdicts, card.extraction, card.verifier)] + [
        Cell(str(card.max_response_tokens))
    ]
