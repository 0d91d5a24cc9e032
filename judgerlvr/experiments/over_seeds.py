"""The summary over seeds: each arm against vanilla, with the pair of runs as the unit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.evaluation.metrics import Estimate
from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.experiments.pairs import Differences, Numbers, Pair, differences, plain
from judgerlvr.experiments.plan import Budget, Plan, at_equal_steps, seed_folders
from judgerlvr.experiments.plan_values import OVER_SEEDS
from judgerlvr.reporting.answer import DECODINGS, tokens_of
from judgerlvr.reporting.arms import VANILLA
from judgerlvr.reporting.evaluations import Measured, read_evaluation
from judgerlvr.runs.files import write_atomically
from rewards.wording import counted

HEAD = ("arm", "against", "set", "decoding", "pairs", "accuracy, points", "tokens", "tokens, %")
NOTE = (
    "The unit is a pair: two runs of one seed, evaluated on the same problems. In brackets: 95 % interval over pairs "
    "by Student's t, without correction for several tests. The intervals in the report are over problems of one seed. "
    "One pair has no interval, and neither have differences that are all equal."
)


@dataclass(frozen=True)
class Policy:
    """An evaluated policy of an arm: its name here, its run, and a pattern of the evaluation's folder."""

    name: str
    run: str
    label: str = "final"


@dataclass(frozen=True)
class Row:
    """Two policies on one set with one decoding, over all seeds that have both.

    ``alike`` says that both were evaluated with the same settings.
    """

    ours: str
    theirs: str
    set: str
    decoding: str
    pairs: list[Pair]
    alike: bool = True

    @property
    def found(self) -> Differences:
        return differences(self.pairs)


def write_over_seeds(plan: Plan, out: Path) -> None:
    """Write the summary over the seeds that are evaluated so far, and print its first lines.

    Raises:
        InputError: an evaluation is damaged.
    """
    rows = list(rows_of(plan, out))
    if not rows:
        return
    page, data = (out / name for name in OVER_SEEDS)
    write_atomically(data, json.dumps({"unit": "pair of runs of one seed", "rows": list(map(_plain, rows))}, indent=1))
    write_atomically(page, to_markdown(rows))
    for row in rows:
        if row.decoding == DECODINGS[0][0] and row.set == rows[0].set:
            print(f"over seeds: {sentence(row)}", flush=True)
    print(f"written: {page}, {data}", flush=True)


def rows_of(plan: Plan, out: Path) -> Iterator[Row]:
    """All comparisons of the plan, a row for each set and decoding of which a pair is evaluated."""
    policies = {policy.name: policy for policy in policies_of(plan)}
    places = seed_folders(plan, out)
    measured = {
        name: {seed: found for seed, place in places if (found := _evaluated(place, policy))}
        for name, policy in policies.items()
    }
    for ours, theirs in compared(plan):
        yield from _rows(ours, theirs, measured[ours], measured[theirs])


def policies_of(plan: Plan) -> Iterator[Policy]:
    """The end of each arm, and the checkpoint at equal steps of an arm with another budget."""
    for name, arm in plan.arms.items():
        yield Policy(name, arm.stages[-1].name)
        if arm.match and arm.by is not Budget.steps:
            yield Policy(at_equal_steps(name), arm.stages[-1].name, "step_*")


def compared(plan: Plan) -> list[tuple[str, str]]:
    """Pairs of policies: each against the reference, and each matched arm's match against that arm."""
    names = [policy.name for policy in policies_of(plan)]
    reference = VANILLA if VANILLA in plan.arms else names[0]
    pairs = [(name, reference) for name in names if name not in (reference, at_equal_steps(reference))]
    matched = [(arm.match, end) for name, arm in plan.arms.items() for end in (name, at_equal_steps(name))]
    pairs += [(ours, theirs) for ours, theirs in matched if ours and theirs in names and (theirs, ours) not in pairs]
    return list(dict.fromkeys(pairs))


def _evaluated(place: Path, policy: Policy) -> Measured | None:
    folders = [path for path in sorted((place / policy.run / "eval").glob(policy.label)) if (path / SUMMARY).is_file()]
    return read_evaluation(folders[-1], with_samples=False) if folders else None


Seeds = dict[int | None, Measured]


def _rows(ours: str, theirs: str, one: Seeds, two: Seeds) -> Iterator[Row]:
    shared = [seed for seed in one if seed in two]
    alike = all(one[seed].settings == two[seed].settings for seed in shared)
    for decoding, greedy in DECODINGS:
        sets = [_numbers(one[seed], greedy).keys() & _numbers(two[seed], greedy).keys() for seed in shared]
        for place, name in sorted(set().union(*sets)):
            pairs = [
                Pair(seed, _numbers(one[seed], greedy)[place, name], _numbers(two[seed], greedy)[place, name])
                for seed, known in zip(shared, sets, strict=True)
                if (place, name) in known
            ]
            yield Row(ours, theirs, name, decoding, pairs, alike)


def _numbers(measured: Measured, greedy: bool) -> dict[tuple[int, str], Numbers]:
    """Numbers by place and name of the set. The files of held-out problems lie elsewhere for each seed."""
    return {
        (place, row.set_name): Numbers(row.accuracy.value, mean.value if (mean := tokens_of(row)) else math.nan)
        for place, row in enumerate(measured.rows("generate", greedy))
    }


def sentence(row: Row) -> str:
    """One row in words."""
    accuracy, tokens, share = _changes(row)
    told = f"accuracy {accuracy} points, tokens {tokens} ({share} %), {_count(row)}"
    return f"{row.ours} against {row.theirs}, {row.set}, {_decoding(row)}: {told}"


def _changes(row: Row) -> tuple[str, str, str]:
    found = row.found
    return _shown(found.accuracy, 100), _shown(found.tokens, 1), _shown(found.tokens_share, 100)


def _decoding(row: Row) -> str:
    return row.decoding if row.alike else f"{row.decoding}, DIFFERENT SETTINGS"


def _count(row: Row) -> str:
    return "n = 1, no interval" if len(row.pairs) == 1 else f"n = {counted(len(row.pairs), 'pair')}"


def _shown(value: Estimate, scale: float) -> str:
    if math.isnan(value.value):
        return "not known"
    ends = "" if math.isnan(value.low) else f" [{value.low * scale:+.1f}, {value.high * scale:+.1f}]"
    return f"{value.value * scale:+.1f}{ends}"


def to_markdown(rows: Sequence[Row]) -> str:
    """The page: a table of all rows."""
    lines = ["# Arms over seeds", "", NOTE, "", _line(HEAD), _line(["---"] * len(HEAD))]
    lines += [_line(_cells(row)) for row in rows]
    return "\n".join([*lines, ""])


def _cells(row: Row) -> list[str]:
    count = "n = 1, no interval" if len(row.pairs) == 1 else str(len(row.pairs))
    return [row.ours, row.theirs, row.set, _decoding(row), count, *_changes(row)]


def _line(cells: Sequence[str]) -> str:
    # A bar would end the cell.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(row: Row) -> dict[str, object]:
    return {
        **{"arm": row.ours, "against": row.theirs, "set": row.set, "decoding": row.decoding, "alike": row.alike},
        **{"pairs": [plain(pair) for pair in row.pairs], "differences": plain(row.found)},
    }
