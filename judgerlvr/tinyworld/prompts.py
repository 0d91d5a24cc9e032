"""The two prompts of the world, read from the templates that every stage uses."""

from __future__ import annotations

from pathlib import Path

from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template

_FOLDER = Path(__file__).resolve().parents[2] / "configs" / "prompts"
GENERATE = load_template(_FOLDER / "tiny_generate.txt", GENERATE_FIELDS)
JUDGE = load_template(_FOLDER / "tiny_judge.txt", JUDGE_FIELDS)


def general_prompts() -> list[str]:
    """The templates for real data, as text."""
    return [(_FOLDER / name).read_text(encoding="utf-8") for name in ("generate.txt", "judge.txt")]
