"""No training on evaluation problems: overlap by n-grams of normalised tokens, template text removed first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.identity import label_of
from data.importing.options import ReadOptions
from data.normalised_tokens import normalised_tokens
from data.problems import read_problems
from data.template_text import SAMPLE, Tokens, find_template
from rewards.errors import InputError
from rewards.types import Problem

# Fixed on MATH-500 with benchmarks/data/planted_duplicates.py and used unchanged on every other set.
NGRAM = 5
SHARE = 0.6
# Enough where both sides hold the same numbers, at least this many.
SHARE_OF_EQUAL_NUMBERS, NUMBERS = 0.3, 2
EXAMPLES = 3
Gram = tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """A training problem and the evaluation problem that the training problem repeats.

    ``share`` is the larger of the shares of n-grams that one of the two has in common with the other.
    """

    problem: Problem
    evaluation: Problem
    share: float

    def shown(self) -> str:
        return f"{_start(self.problem)} ~ {_start(self.evaluation)}"


def _start(problem: Problem) -> str:
    return repr(f"{label_of(problem)}: {' '.join(problem.text.split())}"[:70])


def ngrams(tokens: Tokens) -> set[Gram]:
    """5-grams of tokens. A shorter text is one n-gram of its own length."""
    return (
        {tuple(tokens[place : place + NGRAM]) for place in range(max(1, len(tokens) - NGRAM + 1))} if tokens else set()
    )


class EvaluationIndex:
    """Evaluation problems by their n-grams, for the comparison with any number of training problems."""

    def __init__(self, evaluation: Sequence[Problem]) -> None:
        self.evaluation = evaluation
        rows = [normalised_tokens(problem.text) for problem in evaluation]
        template = find_template(rows)
        self.sizes: list[int] = []
        self.numbers: list[list[str]] = []
        self.places: dict[Gram, list[int]] = defaultdict(list)
        for place, row in enumerate(map(template.strip, rows)):
            grams = ngrams(row)
            self.sizes.append(len(grams))
            self.numbers.append(numbers_of(row))
            for gram in grams:
                self.places[gram].append(place)

    def match(self, tokens: Tokens) -> tuple[int, float] | None:
        """(place of the evaluation problem, share) of the likest evaluation problem that the tokens repeat.

        The share counts n-grams of either side, so that a problem inside a longer prompt is found.
        A smaller share does where both hold the same numbers in the same order, since names may be changed.
        """
        grams = ngrams(tokens)
        hits = Counter(place for gram in grams for place in self.places.get(gram, ()))
        numbers = numbers_of(tokens)
        shares = {}
        for place, count in hits.items():
            share = max(count / len(grams), count / self.sizes[place])
            alike = len(numbers) >= NUMBERS and numbers == self.numbers[place]
            if share >= (SHARE_OF_EQUAL_NUMBERS if alike else SHARE):
                shares[place] = share
        if not shares:
            return None
        # Of equal shares the first evaluation problem wins, so that reports do not vary.
        best = max(shares, key=lambda place: (shares[place], -place))
        return best, shares[best]


def numbers_of(tokens: Tokens) -> list[str]:
    return [token for token in tokens if token.isdigit()]


def overlaps(problems: Sequence[Problem], evaluation: Sequence[Problem]) -> list[Overlap]:
    """Problems that repeat an evaluation problem, in order."""
    return [overlap for _, overlap in find_overlaps(problems, evaluation)]


def find_overlaps(problems: Sequence[Problem], evaluation: Sequence[Problem]) -> Iterator[tuple[int, Overlap]]:
    """(place, overlap) of every problem that repeats an evaluation problem. The problems may lie on disk."""
    index = EvaluationIndex(evaluation)
    # Rounded up, so that at most SAMPLE problems are read for the template.
    step = max(1, -(-len(problems) // SAMPLE))
    template = find_template([normalised_tokens(problem.text) for problem in problems[::step]], len(problems))
    for place, problem in enumerate(problems):
        if match := index.match(template.strip(normalised_tokens(problem.text))):
            yield place, Overlap(problem, evaluation[match[0]], match[1])


def read_evaluation(path: Path) -> list[Problem]:
    """Problems of an evaluation set. Their golds do not matter here."""
    return read_problems(path, ReadOptions(bad_rows="drop", need_gold=False))


def check_overlap(problems: Sequence[Problem], eval_files: Sequence[Path], action: str = "stop") -> list[Problem]:
    """Problems that may be trained on.

    Raises:
        InputError: some problem overlaps with an evaluation file and ``action`` is ``stop``, or no problem is left.
    """
    foul = contaminated_places(problems, eval_files, action)
    return [problem for place, problem in enumerate(problems) if place not in foul]


def contaminated_places(problems: Sequence[Problem], eval_files: Sequence[Path], action: str = "stop") -> set[int]:
    """Places of the problems that occur in an evaluation file. Raises as ``check_overlap``."""
    foul: set[int] = set()
    for path in eval_files:
        found = dict(find_overlaps(problems, read_evaluation(path)))
        if found and action == "stop":
            raise contaminated(list(found.values()), len(problems), path)
        foul |= found.keys()
    if len(problems) and len(foul) == len(problems):
        raise InputError("every training problem occurs in an evaluation set", "give other training data")
    return foul


def contaminated(found: Sequence[Overlap], total: int, path: Path) -> InputError:
    """The error that names the first pairs."""
    pairs = ", ".join(overlap.shown() for overlap in found[:EXAMPLES])
    text = f"{len(found)} of {total} training problems are contaminated: they occur in it ({pairs}, ...)"
    return InputError(text, "leave them out, or set data.contamination=drop", file=path)
