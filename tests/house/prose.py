"""How compressed the prose of each room is: ``python -m tests.house.prose``.

The figures are words a sentence, the share of sentences over 30 words, and semicolons and back-references (it, they,
those, one ...) per 100 words. Code blocks, tables, headings and lists of links do not count.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.house.texts import ROOT, code_texts, pages, python_files

BACK = re.compile(r"\b(it|its|they|them|those|these|this|that of|those of|one|ones|the other|the others|such)\b", re.I)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(*])")
LONG = 30
CODE_ROOTS = ("judgerlvr/", "rewards/", "data/", "benchmarks/", "scripts/", "tests/", "examples/")


@dataclass(frozen=True)
class Figures:
    words: float
    long: float
    semicolons: float
    back: float


def sentences(texts: Sequence[str]) -> list[str]:
    """Sentences of at least three words. A code span or an address counts as one word."""
    found: list[str] = []
    for text in texts:
        plain = re.sub(r"https?://\S+", "URL", re.sub(r"`+[^`]*`+", "CODE", " ".join(text.split())))
        found += [sentence for sentence in SENTENCE_END.split(plain) if len(sentence.split()) > 2]
    return found


def figures(texts: Sequence[str]) -> Figures:
    found = sentences(texts)
    words = [len(sentence.split()) for sentence in found] or [0]
    total, whole = sum(words) or 1, " ".join(found)
    return Figures(
        words=round(total / len(words), 2),
        long=round(100 * sum(count > LONG for count in words) / len(words), 2),
        semicolons=round(100 * whole.count(";") / total, 2),
        back=round(100 * len(BACK.findall(whole)) / total, 2),
    )


def paragraphs(page: Path) -> list[str]:
    body = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    lines = [line for line in body.splitlines() if not line.startswith(("|", "#", "    ", "- [", "!["))]
    return [part for part in re.split(r"\n\s*\n|\n(?=[-*] |\d+\. )", "\n".join(lines)) if part.strip()]


def prose_of(path: Path) -> list[str]:
    """Docstrings without their sections of arguments and errors, and comments."""
    return [re.split(r"\n\s*(?:Raises|Args|Returns):", text)[0] for text in code_texts(path)]


def room_of(path: Path) -> str:
    """``judgerlvr/hysparse`` of a file in it or below it. Modules directly under a package are the package's."""
    parts = path.relative_to(ROOT).parts[:-1]
    return "/".join(parts[:2] if parts[0] in ("judgerlvr", "tests", "benchmarks") else parts[:1])


def rooms() -> dict[str, list[str]]:
    """All texts, by page and by room of the code."""
    texts = {str(page.relative_to(ROOT)): paragraphs(page) for page in pages()}
    for path in python_files(*CODE_ROOTS):
        texts.setdefault(room_of(path), []).extend(prose_of(path))
    return texts


def main() -> int:
    for name, texts in rooms().items():
        print(f"{name:40}", "  ".join(f"{key} {value:5.2f}" for key, value in asdict(figures(texts)).items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
