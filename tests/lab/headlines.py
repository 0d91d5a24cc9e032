"""Figures of the lab's records as the prose writes them. ``filled`` puts figures into a sentence with named places.

A place ``{i12 points}`` names a comparison of ``LINES`` and a figure of ``FIGURES``. A place of a single word is a
figure of ``ALONE``, which belongs to no comparison.
"""

import math
import re
from functools import cache
from statistics import mean

from benchmarks.lab import between_bases, contrasts, coverage, dose, equal_tokens, sign_flips
from benchmarks.lab.cells import DEMO_SHARPENS
from benchmarks.lab.checks import FEWEST, end_of_judging
from benchmarks.lab.ends import log_ratio, tokens_that_end
from benchmarks.lab.map import failed_checks_of_base, percent, rows_of
from benchmarks.lab.map import points as in_points
from benchmarks.lab.page import POOL, labels, results, table
from benchmarks.lab.pairs import at_rate, best_rate, end, paired_curves
from benchmarks.lab.statistics import estimate, holm

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "thirteen", "sixteen")
LIMIT = 144  # tokens of a response in the chain
GOAL = 42  # percent fewer tokens
# Name in a sentence: record, cell, arm.
LINES = {
    "i12": ("2026-11-30-h200-tenth", "chain-92-05-fresh-12", "judge-most"),
    "i10": ("2026-11-30-h200-ninth", "chain-92-05-fresh-10", "judge-most"),
    "i21": ("2026-12-01-h200-eleventh", "chain-92-05-recipes", "judge-most"),
    "i8": ("2026-11-30-h200-eighth", "chain-92-05-fresh-8", "judge-until"),
    "i6": ("2026-11-30-h200-seventh", "chain-92-05-fresh-6", "judge-20"),
    "i1+2": (POOL, "chain-92-05-fresh-2", "judge-20"),
    "c15": ("2026-11-30-h200-eighth", "chain-92-15", "judge-20"),
    "c15-again": ("2026-11-30-h200-tenth", "chain-92-15", "judge-20"),
    "c15-low": ("2026-11-30-h200-tenth", "chain-92-15", "penalty-low"),
    "c95": ("2026-11-30-h200-sixth", "chain-95-05", "judge-20"),
    "twin": ("2026-11-30-h200-sixth", "twin-92-05-fresh-4", "judge-20"),
    "twin-high": ("2026-11-30-h200-sixth", "twin-92-05-fresh-4", "penalty-high"),
    "twin-low": ("2026-11-30-h200-sixth", "twin-92-05-fresh-4", "penalty-low"),
    "gate": ("2026-11-30-h200-ninth", "gate-a-05", "judge-20"),
    "shuffled": ("2026-11-29-h200-third", "chain-92-05", "shuffled-labels"),
}


def word(count):
    return WORDS[count] if count <= 10 else str(count)


def plain(text, unit=""):
    """As the prose writes an interval: the unit before the bounds, which have no plus sign."""
    mean, bounds = text.split(" [")
    return f"{mean}{unit} [{bounds.replace('+', '')}"


@cache
def lines():
    """Each cell with its row and its curves by record, cell and arm."""
    found = {}
    for record, cell in results():
        for row in rows_of(cell):
            pairs = paired_curves(cell.octets[row.arm], cell.octets["vanilla"])
            found[(*labels(record, cell), row.arm)] = cell, row, pairs
    return found


@cache
def outcomes():
    """The column of the table of all comparisons."""
    rows = [line.strip("| ").split(" | ") for line in table()[2:]]
    return {tuple(row[:3]): row[-2] for row in rows}


@cache
def by_two_tests():
    """Two-sided p by t and by sign changes, alone and by Holm, in the order of the page."""
    every = sign_flips.tested()
    adjusted = [holm([one.t for one in every]), holm([one.flip for one in every])]
    return {(*one.label, one.arm): (one.t, t, one.flip, f) for one, t, f in zip(every, *adjusted, strict=True)}


class Line:
    """One comparison, and its figures as texts."""

    def __init__(self, name):
        self.at = LINES[name]
        self.cell, self.row, self.pairs = lines()[self.at]
        self.octet = self.cell.octets[self.at[2]]
        self.vanilla = self.cell.octets["vanilla"]

    def ratio(self, tokens):
        return log_ratio(self.pairs, tokens)

    def everyone(self):
        return self.ratio(lambda curve: end(curve, "tokens"))

    def ended(self):
        return self.ratio(lambda curve: tokens_that_end(curve, LIMIT))

    def left(self):
        """Runs that stopped rechecking, at the best rate."""
        return [run for run in self.best() if end(run["curve"], "rechecks") < FEWEST]

    def best(self):
        return [run for run in self.octet["runs"] if run["rate"] == best_rate(self.octet)]

    def figure(self, name):
        return FIGURES[name](self)


def change(estimate, digits=0):
    """In percent, without an interval."""
    return f"{100 * math.expm1(-estimate.mean):+.{digits}f} %"


def missed(estimate):
    return f"{100 * math.expm1(-estimate.mean) + GOAL:.1f}"


def span(runs):
    ends = sorted(end(run["curve"], "accuracy") for run in runs)
    return f"{ends[0]:.2f} to {ends[-1]:.2f}".replace("0.", ".")


def whole(at):
    """Points at equal tokens, all candidates counted."""
    (row,) = [row for row in equally_long() if tuple(row[:3]) == at]
    return plain(row[-1], " points")


@cache
def equally_long():
    return [line.strip("| ").split(" | ") for line in equal_tokens.table()]


def lost_form(line):
    """Runs that were well formed ten steps before the hand-over, and at the hand-over not."""
    curves = [run["curve"] for run in line.best()]
    return sum(
        curve[end_of_judging(curve)]["well_formed"] < 0.95 <= curve[end_of_judging(curve) - 1]["well_formed"]
        for curve in curves
    )


def saved_a_third(pairs):
    """Runs that need .28 to .39 fewer tokens than vanilla."""
    return sum(0.28 < 1 - end(mine, "tokens") / end(theirs, "tokens") < 0.39 for mine, theirs in pairs)


def vanilla_left(octet):
    runs = at_rate(octet, 1e-4)
    return f"{word(sum(end(run['curve'], 'rechecks') < FEWEST for run in runs))} of {word(len(runs))}"


def p_value(index):
    return lambda line: f"{by_two_tests()[line.at][index]:.3f}"


FIGURES = {
    "points": lambda line: plain(in_points(line.row.comparison.accuracy), " points"),
    "points-alone": lambda line: plain(in_points(line.row.comparison.accuracy)),
    "tokens": lambda line: plain(percent(line.everyone()), " tokens"),
    "tokens-alone": lambda line: plain(percent(line.everyone())),
    "ended": lambda line: plain(percent(line.ended())),
    "ended-tokens": lambda line: plain(percent(line.ended()), " tokens"),
    "matched": lambda line: plain(percent(line.row.comparison.shortening)),
    "matched-tokens": lambda line: plain(percent(line.row.comparison.shortening), " tokens"),
    "greedy": lambda line: plain(percent(line.row.greedy[1])),
    "end": lambda line: f"{line.row.comparison.arm_tokens:.1f} against {line.row.vanilla[1]:.1f}",
    "ratio": lambda line: f"{100 * (line.row.comparison.arm_tokens / line.row.vanilla[1] - 1):+.1f} %",
    "change": lambda line: change(line.everyone()),
    "ended-change": lambda line: change(line.ended()),
    "missed": lambda line: missed(line.ended()),
    "missed-all": lambda line: missed(line.everyone()),
    "pairs": lambda line: f"{len(line.pairs)} pairs",
    "bare-pairs": lambda line: str(len(line.pairs)),
    "outcome": lambda line: outcomes()[line.at],
    "none": lambda line: "no outcome" if outcomes()[line.at].startswith("none") else "an outcome",
    "failed": lambda line: word(len(line.row.failed_checks)),
    "Failed": lambda line: word(len(line.row.failed_checks)).capitalize(),
    "zero": lambda line: "holds zero" if line.everyone().low < 0 < line.everyone().high else "is off zero",
    "cut": lambda line: f"{100 * sum(end(theirs, 'truncated') for _, theirs in line.pairs) / len(line.pairs):.0f} %",
    "front": lambda line: "no" if math.isinf(line.row.comparison.front) else "a",
    "Front": lambda line: "No" if math.isinf(line.row.comparison.front) else "A",
    "runs": lambda line: word(len(line.octet["runs"])),
    "of-best": lambda line: word(len(line.best())),
    "left": lambda line: word(len(line.left())),
    "whole": lambda line: whole(line.at),
    "ends": lambda line: span(line.best()),
    "left-ends": lambda line: f"{end(line.left()[0]['curve'], 'tokens'):.0f} tokens and {span(line.left())}",
    "lost-form": lambda line: word(lost_form(line)),
    "saved-a-third": lambda line: word(saved_a_third(line.pairs)).capitalize(),
    "penalty": lambda line: str(line.octet["arm"]["penalty"]),
    "vanilla-left": lambda line: vanilla_left(line.vanilla),
    "all-steps": lambda line: str(line.pairs[0][0][-1]["step"]),
    "arms": lambda line: word(len(line.cell.octets)),
    "steps": lambda line: str(line.pairs[0][0][end_of_judging(line.pairs[0][0])]["step"]),
    "right": lambda line: f"{100 * line.octet['settings']['world']['check_right']:.0f} %",
    "p-t": p_value(0),
    "p-t-holm": p_value(1),
    "p-flip": p_value(2),
    "p-flip-holm": p_value(3),
}


@cache
def gate_at(step, rate):
    """Points of judge-20 less vanilla in gate world A at a step, over seeds, both at one rate."""
    octets = lines()[LINES["gate"]][0].octets
    mine, theirs = (
        {run["seed"]: next(p["accuracy"] for p in run["curve"] if p["step"] == step) for run in at_rate(octet, rate)}
        for octet in (octets["judge-20"], octets["vanilla"])
    )
    return estimate([mine[seed] - theirs[seed] for seed in mine])


def gate_worst():
    """The step at which judge-first is furthest behind at the lower rate."""
    steps = [point["step"] for point in lines()[LINES["gate"]][2][0][0]]
    return min(steps, key=lambda step: gate_at(step, 5e-5).mean)


def gate_ends():
    row = lines()[LINES["gate"]][1]
    return f"{row.comparison.arm_accuracy:.3f} with vanilla at {row.vanilla[0]:.3f}".replace("0.", ".")


def failed_range():
    """Points of the arms that gained and failed a check."""
    means = [100 * Line(name).row.comparison.accuracy.mean for name in ("i1+2", "i8", "c15", "c15-again")]
    return f"{min(means):.0f} to {max(means):.0f} points"


def labels_each():
    each = sorted(float(value) for value in contrast("shuffled-labels")[6].split(", "))
    return (
        f"{word(len(each) - 1).capitalize()} pairs differ by {each[1]:.0f} points or more, and the fourth by {each[0]}"
    )


@cache
def ends_at(arm, rate):
    """End accuracies of an arm on instance 0 at a rate, over all records."""
    found = [
        cell.octets[arm]
        for record, cell in results()
        if record != POOL and cell.name == dose.CELL and arm in cell.octets
    ]
    return [end(run["curve"], "accuracy") for octet in found for run in at_rate(octet, rate)]


def rates(arm):
    runs = [(ends_at(arm, rate), text) for rate, text in ((5e-5, " at 5e-5"), (1e-4, " at 1e-4"))]
    (slow, at_slow), (fast, at_fast) = [(f"{mean(ends):.3f} over {len(ends)}", at) for ends, at in runs]
    if arm != "vanilla":
        return f"{slow} and {fast}"
    return f"{slow} runs{at_slow} and at {fast}{at_fast}"


def rates_lost():
    return f"{100 * (mean(ends_at('vanilla', 5e-5)) - mean(ends_at('vanilla', 1e-4))):.1f} points"


def low_of_wins():
    runs = [run for name in ("i10", "i12") for run in lines()[LINES[name]][0].octets["penalty-low"]["runs"]]
    left = sum(end(run["curve"], "rechecks") < FEWEST for run in runs)
    return f"{left or 'none'} of {len(runs)}"


@cache
def base_steps():
    """Steps of the bases of later instances and of the gate world, and of all others."""
    cells = [cell for record, cell in results() if record != POOL]
    later = {*(f"{dose.CELL}-fresh-{number}" for number in (6, 8, 10, 12)), LINES["i21"][1], "gate-a-05"}
    kinds = [
        {c.octets["vanilla"]["settings"]["sft"]["steps"] for c in cells if (c.name in later) is kind}
        for kind in (True, False)
    ]
    (long,), (short,) = kinds
    return f"{long:,} steps, and the others have {short:,}"


@cache
def over_bases(arm, registered=False):
    group = [one for one in between_bases.differences()[dose.CELL, arm] if one.fresh or not registered]
    return group, between_bases.over_bases(group, "accuracy")


def bases(arm, registered=False):
    return len({one.base for one in over_bases(arm, registered)[0]})


def needed():
    """How many runs of how many end the judging of judge-most."""
    octet = lines()[LINES["i12"]][0].octets["judge-most"]
    count = len(octet["runs"])
    return f"{word(round(octet['arm']['stages'][0]['share_of_runs'] * count))} of {word(count)}"


@cache
def cells_run():
    return sum(bool(coverage.arms_run(cell)) for cell in coverage.planned())


def both_won():
    return "both" if {outcomes()[LINES[name]] for name in ("i10", "i12")} == {"win"} else "not both"


@cache
def contrast(control):
    """Points and tokens of judge-20 less a control."""
    (row,) = [line.strip("| ").split(" | ") for line in contrasts.table() if f"less {control} " in line]
    return row


ALONE = {
    "rule": needed,
    "won": both_won,
    "cells": lambda: word(cells_run()),
    "lines": lambda: word(len(by_two_tests())),
    "over-bases": lambda: plain(in_points(over_bases("judge-most")[1])),
    "over-bases-points": lambda: plain(in_points(over_bases("judge-most")[1]), " points"),
    "over-bases-20": lambda: plain(in_points(over_bases("judge-20")[1])),
    "registered-bases": lambda: plain(in_points(over_bases("judge-most", registered=True)[1])),
    "registered-bases-20": lambda: plain(in_points(over_bases("judge-20", registered=True)[1])),
    "registered-bases-bounds": lambda: ALONE["registered-bases"]().partition(" ")[2],
    "rates-vanilla": lambda: rates("vanilla"),
    "rates-judge": lambda: rates("judge-20"),
    "rates-lost": rates_lost,
    "registered": lambda: word(bases("judge-most", registered=True)),
    "registered-20": lambda: word(bases("judge-20", registered=True)),
    "bases": lambda: word(bases("judge-most")),
    "bases-20": lambda: word(bases("judge-20")),
    "taught-95": lambda: word(sum(run.learnt >= 0.25 for run in dose.doses("chain-95-05"))),
    "order-points": lambda: plain(contrast("generate-first")[4], " points"),
    "order-tokens": lambda: plain(contrast("generate-first")[5], " tokens"),
    "labels-points": lambda: plain(contrast("shuffled-labels")[4], " points"),
    "order-pairs": lambda: contrast("generate-first")[3],
    "labels-pairs": lambda: contrast("shuffled-labels")[3],
    "labels-each": labels_each,
    "failed-range": failed_range,
    "failed-40": lambda: word(base_failures("chain-92-40")).capitalize(),
    "gate-worst": lambda: plain(in_points(gate_at(gate_worst(), 5e-5)), " points"),
    "gate-worst-step": lambda: str(gate_worst()),
    "gate-behind": lambda: f"{-100 * gate_at(gate_worst(), 5e-5).mean:.1f} points",
    "gate-ends": gate_ends,
    "low-of-wins": low_of_wins,
    "base-steps": base_steps,
    "demo-checks": lambda: word(len(DEMO_SHARPENS)).capitalize(),
    "cells-run": lambda: str(cells_run()),
}


def base_failures(cell):
    """Bases of a cell that failed a check each."""
    files = [file for file in coverage.RESULTS.rglob("checks.json") if f'"{cell}"' in file.read_text()]
    return sum(bool(failed_checks_of_base(file)) for file in files)


@cache
def filled(sentence):
    def value(match):
        name, _, figure = match.group(1).partition(" ")
        return Line(name).figure(figure) if figure else ALONE[name]()

    return re.sub(r"\{([^}]+)\}", value, sentence)
