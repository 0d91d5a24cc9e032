"""Prose stays plain: every page and every room keeps within the goals, or within its row of ``prose_limits.json``.

A row is a ratchet. It holds the figures of a room that does not reach the goals yet. A row may fall and never rise, and
a room that reaches the goals loses its row.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.house.prose import Figures, figures, rooms

DOCS = Figures(words=18, long=8, semicolons=0.5, back=4.5)
CODE = Figures(words=18, long=4, semicolons=0.5, back=3)
LIMITS = json.loads((Path(__file__).parent / "prose_limits.json").read_text())
# Figures of fewer sentences swing with each of them.
FEWEST_WORDS = 150
TEXTS = {name: texts for name, texts in rooms().items() if sum(len(text.split()) for text in texts) >= FEWEST_WORDS}


def goal(room: str) -> dict[str, float]:
    return asdict(DOCS if room.endswith(".md") else CODE)


@pytest.mark.parametrize("room", TEXTS)
def test_prose_is_within_the_limits_of_its_room(room):
    limits = LIMITS.get(room, goal(room))
    over = {key: value for key, value in asdict(figures(TEXTS[room])).items() if value > limits[key]}
    assert not over, f"{room}: {over} over {limits}; shorten sentences, repeat nouns, drop semicolons"


@pytest.mark.parametrize("room", LIMITS)
def test_a_row_of_the_ratchet_is_still_needed(room):
    reached = asdict(figures(TEXTS.get(room, [])))
    assert any(value > goal(room)[key] for key, value in reached.items()), f"{room} reaches the goals: drop its row"


def test_counted_by_hand():
    """Seven words with one back-reference and one semicolon. A sentence of two words does not count."""
    assert figures(["The pool kills its worker; `x` ends. Next comes"]) == Figures(7.0, 0.0, 14.29, 14.29)
    assert figures(["A b c d e. F g h"]) == Figures(4.0, 0.0, 0.0, 0.0)
    assert figures([" ".join(["word"] * 31)]).long == 100.0
