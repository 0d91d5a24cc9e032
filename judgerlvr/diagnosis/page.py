"""The page of a diagnosis: measurements with their conditions, then the prediction with the cases behind the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from judgerlvr.diagnosis.cases import Bounds, Case
from judgerlvr.diagnosis.measures import Judging, Measures, Solving, Traces
from judgerlvr.diagnosis.prediction import NO_PREDICTION, Prediction
from judgerlvr.diagnosis.world_traces import CheckMix
from judgerlvr.evaluation.documents import Block
from judgerlvr.evaluation.intervals import Estimate
from judgerlvr.evaluation.table import MISSING, number
from judgerlvr.evaluation.table import interval as interval_of
from rewards.wording import counted

NOTE = (
    "[low, high]: 95 % over problems, clustered Wilson for shares and bootstrap for tokens. Balanced accuracy: a "
    "missing verdict is a miss. Shortcuts judge without reading, and near 0.5 is good. A case is decided by the rule "
    "of docs/diagnosis.md. Distances are in half widths of a diagnosis of 100 problems with 16 samples."
)
HEAD = ["measure", "value", "of"]
EVERY = "wait written behind each step"
SHOWN = 8  # nearest cases


def page(
    summary: Mapping[str, Any],
    measures: Measures,
    absent: Mapping[str, str],
    prediction: Prediction,
    unscored: str | None,
) -> list[Block]:
    blocks = [Block(heading="Diagnosis"), *(Block(line=line) for line in _conditions(summary))]
    blocks += [Block(heading="Solving"), Block(rows=[HEAD, *_solving(measures.solving)])]
    blocks.append(Block(heading="Judging its own solutions"))
    blocks += _part(_judging(measures.judging) if measures.judging else None, absent.get("judging"))
    blocks.append(Block(heading="Checks in the traces"))
    blocks += _part(_traces(measures.traces) if measures.traces else None, absent.get("traces"))
    return [*blocks, *_prediction(prediction, unscored), Block(line=NOTE)]


def _part(rows: list[list[str]] | None, why: str | None) -> list[Block]:
    return [Block(rows=[HEAD, *rows])] if rows else [Block(line=f"not measured: {why}")]


def _conditions(summary: Mapping[str, Any]) -> list[str]:
    model, decoding = summary["model"], summary["settings"]["decoding"]
    files = ", ".join(f"{row['file']} ({row['used']} of {row['rows']} rows)" for row in summary["data"])
    return [
        f"model {model['path']} (sha256 {model['hash'][:12]}); problems {files}",
        f"{counted(decoding['n'], 'solution')} a problem at temperature 1, "
        f"responses of at most {decoding['max_tokens']} tokens, "
        f"seed {decoding['seed']}; {summary['generated_tokens']} tokens sampled in {summary['seconds']:.0f} s, "
        "nothing trained",
    ]


def _solving(found: Solving) -> list[list[str]]:
    sampled, greedy = (
        f"{counted(found.samples, 'sample')} of {counted(found.problems, 'problem')}",
        f"{found.problems} greedy responses",
    )
    rows = [["pass@1", interval_text(found.pass_at_1), sampled]]
    rows += [
        [f"groups of {size} with both outcomes", interval_text(value), sampled] for size, value in found.mixed.items()
    ]
    rows += [
        ["greedy accuracy", interval_text(found.greedy), greedy],
        ["greedy less temperature 1", signed_text(found.greedy_gain), "both, paired by problem"],
    ]
    rows += [[f"tokens a solution, {name}", interval_text(value, 1), sampled] for name, value in found.tokens.items()]
    return [
        *rows,
        ["tokens a solution, greedy", interval_text(found.greedy_tokens, 1), greedy],
        ["cut at the limit; prompts too long", f"{found.cut}; {found.too_long}", sampled],
        ["entropy, nats a token", number(found.entropy), sampled],
    ]


def _judging(found: Judging) -> list[list[str]]:
    of = f"{counted(found.prompts, 'verdict')} on {counted(found.problems, 'problem')}, half of the solutions right"
    return [
        ["balanced accuracy", interval_text(found.balanced_accuracy), of],
        ["balanced accuracy, greedy", interval_text(found.greedy_balanced_accuracy), "the same prompts"],
        ["false yes", interval_text(found.false_yes), "wrong solutions"],
        ["false no", interval_text(found.false_no), "right solutions"],
        ["tokens a verdict", interval_text(found.tokens, 1), of],
        ["tokens a verdict, greedy", interval_text(found.greedy_tokens, 1), "the same prompts"],
        ["without a verdict", str(found.no_verdict), of],
        ["thinks before the verdict", number(found.checking), of],
        *(
            [f"shortcut: {name}", number(value), "balanced accuracy, the same solutions"]
            for name, value in found.shortcuts.items()
        ),
    ]


def _traces(found: Traces) -> list[list[str]]:
    rows = [
        ["natural less no rechecks", signed_text(found.premium), "accuracy, paired by problem"],
        ["every step rechecked less no rechecks", signed_text(found.forced_premium), "accuracy, paired by problem"],
        ["accuracy, every step rechecked", interval_text(found.every_step), EVERY],
        ["tokens a solution, every step rechecked", interval_text(found.tokens_every_step, 1), EVERY],
        ["steps that were rechecked", number(found.rechecked), EVERY],
        ["accuracy without rechecks", interval_text(found.without_rechecks), "wait, hmm and check kept out"],
        ["tokens a solution without rechecks", interval_text(found.tokens_without, 1), "wait, hmm and check kept out"],
        ["responses that recheck", number(found.rechecking), "natural samples"],
        ["responses that kept to no recheck", number(found.kept_out), "samples without rechecks"],
    ]
    return [*rows, *_mix("solving", found.solving), *(_mix("judging", found.judging) if found.judging else [])]


def _mix(name: str, found: CheckMix) -> list[list[str]]:
    of = f"{counted(found.checks, 'check')}, {number(found.a_sample, 2)} a sample"
    return [
        [f"{name}: wrong values among the checked", interval_text(found.wrong), of],
        [f"{name}: wrong values accepted", interval_text(found.false_yes), of],
        [f"{name}: right values refused", interval_text(found.false_no), of],
    ]


def _prediction(found: Prediction, unscored: str | None) -> list[Block]:
    if found.outcome is None or found.chances is None:
        line = f"{NO_PREDICTION}: {'; '.join(found.reasons)}"
    else:
        chances = ", ".join(f"{outcome} {chance:.2f}" for outcome, chance in found.chances.items())
        line = f"{found.outcome} (chances: {chances})"
    scored = f"Predictions are not scored: {unscored}." if unscored else "docs/diagnosis.md has the score."
    heading = "Judge-first against vanilla, predicted"
    return [Block(heading=heading), Block(line=line), Block(line=scored), Block(rows=_cases(found.nearest))]


def _cases(nearest: Sequence[tuple[Case, float | None]]) -> list[list[str]]:
    head = ["measured case", "distance", "outcome", "points", "tokens", "pairs", "condition"]
    rows = [
        [
            case.name,
            number(away, 1),
            f"{case.outcome} ({case.open_because})" if case.open_because else str(case.outcome),
            _points(case.accuracy),
            _percent(case.shortening),
            str(case.pairs),
            case.condition,
        ]
        for case, away in nearest[:SHOWN]
    ]
    return [head, *rows]


def interval_text(value: Estimate, digits: int = 3) -> str:
    return interval_of(value.as_dict(), digits)


def signed_text(value: Estimate) -> str:
    numbers = (value.value, value.low, value.high)
    if math.isnan(value.value):
        return MISSING
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*numbers)


def _points(value: Bounds) -> str:
    return _with_bounds(100 * value.mean, 100 * value.low, 100 * value.high)


def _percent(value: Bounds) -> str:
    """Tokens of judge-first less vanilla's in percent. Below 0 is shorter."""
    low, high = (100 * math.expm1(-bound) if math.isfinite(bound) else bound for bound in (value.high, value.low))
    return _with_bounds(100 * math.expm1(-value.mean), low, high) + " %"


def _with_bounds(mean: float, low: float, high: float) -> str:
    bounds = f" [{low:+.1f}, {high:+.1f}]" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{mean:+.1f}{bounds}"
