"""The tables of results: all arms, JudgeRLVR against vanilla at equal budgets, lengths, verdicts, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judgerlvr.evaluation import metrics
from judgerlvr.evaluation.summary import OUTCOMES, TRANSITION_WORDS
from judgerlvr.reporting.arms import JUDGE, JUDGERLVR, ORDER, VANILLA, Arm
from judgerlvr.reporting.html import NOT_RUN, Markup, count, estimate, number, table, text

Row = Mapping[str, Any]

RESULT_HEAD = ["arm", "run", "decoding", "entropy", "steps", "generated tokens", "problems", "accuracy"]
RESULT_HEAD += ["mean tokens", "median", "truncated", "judge balanced accuracy", "judge prompts"]
# Label by verdict, as the keys of ``metrics.Confusion``.
CELLS = ("yes_yes", "yes_no", "yes_none", "no_yes", "no_no", "no_none")
NEAR = 0.1  # budgets of generated tokens this close count as equal; the table prints both


def results_table(arms: Sequence[Arm]) -> Markup:
    """Each arm sampled and greedy; a part that is absent has a row that says so."""
    rows: list[list[object]] = [_result(arm, greedy) for arm in arms for greedy in (False, True)]
    present = {arm.name for arm in arms}
    rows += [[part, *[NOT_RUN] * (len(RESULT_HEAD) - 1)] for part in ORDER if part not in present]
    note = "[low, high]: 95 % bootstrap over problems. Steps and tokens count from the base model, judging included."
    return table(RESULT_HEAD, rows, note)


def _result(arm: Arm, greedy: bool) -> list[object]:
    solving, judging = arm.measured.row("generate", greedy), arm.measured.row("judge", greedy)
    known = solving or judging
    lengths = None if solving is None else solving.get("tokens")
    return [
        arm.name,
        arm.run.name,
        _decoding(known) if known else ("greedy" if greedy else "sampled"),
        NOT_RUN if known is None else number(known["entropy"]) if not greedy else "-",
        count(arm.steps),
        count(arm.tokens),
        NOT_RUN if solving is None else count(solving["problems"]),
        estimate(solving and solving["accuracy"]),
        estimate(lengths and lengths["all"]["mean"], 1),
        NOT_RUN if lengths is None else f"{lengths['all']['median']:g}",
        NOT_RUN if solving is None else f"{solving['truncated']} of {solving['samples']}",
        estimate(judging and judging["judge"]["balanced_accuracy"]),
        NOT_RUN if judging is None else count(judging["samples"] // judging["decoding"]["n"]),
    ]


def _decoding(row: Row) -> Markup:
    decoding = row["decoding"]
    setting = f"{decoding['name']}, n={decoding['n']}"
    limits = f"up to {decoding['max_tokens']} tokens, seed {decoding['seed']}"
    return Markup(f"{text(setting)} <small>{text(limits)}</small>")


def matched_table(arms: Sequence[Arm]) -> Markup:
    """JudgeRLVR minus vanilla at equal steps and at equal generated tokens, paired over problems."""
    head = ("matching", "", "steps", "generated tokens", "accuracy", "mean tokens")
    rows: list[list[object]] = []
    for title, pair in (("equal steps", equal_steps(arms)), ("equal tokens", equal_tokens(arms))):
        rows += [[title, *[NOT_RUN] * (len(head) - 1)]] if pair is None else _pair_rows(title, *pair)
    note = f"Equal tokens: within {NEAR:.0%}. Difference: sampled rows, paired by problem, 95 % bootstrap."
    return table(head, rows, note)


def equal_steps(arms: Sequence[Arm]) -> tuple[Arm, Arm] | None:
    """The (JudgeRLVR, vanilla) pair with the most steps, the same in both."""
    pairs = [(a, b) for a, b in _pairs(arms) if a.steps is not None and a.steps == b.steps]
    return max(pairs, key=lambda pair: pair[0].steps or 0, default=None)


def equal_tokens(arms: Sequence[Arm]) -> tuple[Arm, Arm] | None:
    """The (JudgeRLVR, vanilla) pair whose generated tokens are nearest, if they are near."""
    pairs = [pair for pair in _pairs(arms) if _gap(*pair) <= NEAR]
    return min(pairs, key=lambda pair: _gap(*pair), default=None)


def _pairs(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    judged = [arm for arm in arms if arm.name.startswith(JUDGERLVR)]
    return [(a, b) for a in judged for b in arms if b.name.startswith(VANILLA)]


def _gap(a: Arm, b: Arm) -> float:
    return abs(a.tokens - b.tokens) / max(a.tokens, b.tokens) if a.tokens and b.tokens else float("inf")


def _pair_rows(title: str, judged: Arm, vanilla: Arm) -> list[list[object]]:
    rows: list[list[object]] = []
    for arm in (judged, vanilla):
        row = arm.measured.row("generate")
        lengths = row and row.get("tokens")
        means = estimate(row and row["accuracy"]), estimate(lengths and lengths["all"]["mean"], 1)
        rows.append([title, f"{arm.name} ({arm.run.name})", count(arm.steps), count(arm.tokens), *means])
    return [*rows, [title, Markup("<b>difference</b>"), "", "", *_differences(judged, vanilla)]]


def _differences(judged: Arm, vanilla: Arm) -> list[object]:
    """Accuracy difference in points and relative change of mean tokens, over the problems of both arms."""
    ours, theirs = _sums(judged), _sums(vanilla)
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return [NOT_RUN, NOT_RUN]
    sums = np.array([[*ours[problem], *theirs[problem]] for problem in shared])
    points = metrics.bootstrap(sums[:, [0, 2, 3, 5]], lambda t: metrics.ratio(t[..., :2]) - metrics.ratio(t[..., 2:]))
    change = metrics.bootstrap(
        sums[:, [1, 2, 4, 5]], lambda t: metrics.ratio(t[..., :2]) / metrics.ratio(t[..., 2:]) - 1
    )
    return [text(f"{_signed(points, 100)} points"), text(f"{_signed(change, 100)} %")]


def _signed(value: metrics.Estimate, scale: float) -> str:
    return f"{value.value * scale:+.1f} [{value.low * scale:+.1f}, {value.high * scale:+.1f}]"


def _sums(arm: Arm) -> dict[str, tuple[float, float, float]]:
    """Per problem: score, tokens and number of the sampled generate records."""
    sums: dict[str, tuple[float, float, float]] = {}
    for record in arm.measured.samples:
        if record.kind == "generate" and record.decoding != "greedy" and record.tokens is not None:
            score, tokens, samples = sums.get(record.problem_id, (0.0, 0.0, 0.0))
            sums[record.problem_id] = (score + record.score, tokens + record.tokens, samples + 1)
    return sums


def length_table(arms: Sequence[Arm]) -> Markup:
    """Mean tokens by outcome and by part; a shorter mean can be wrong long answers vanishing."""
    head = [
        "arm",
        *(f"{name} (mean / median)" for name in OUTCOMES),
        "thinking part",
        "solution part",
        "area under caps",
    ]
    rows: list[list[object]] = []
    for arm in arms:
        row = arm.measured.row("generate")
        if row is not None and "tokens" in row:
            by_outcome = [_mean_and_median(row["tokens"][name]) for name in OUTCOMES]
            parts = [_mean_and_median(row[part]["all"]) for part in ("thinking_tokens", "solution_tokens")]
            rows.append([arm.name, *by_outcome, *parts, number(row["at_caps"]["area"])])
    return table(head, rows)


def _mean_and_median(length: Row) -> str:
    if length["mean"] is None:
        return "none"
    return f"{length['mean']['value']:.1f} / {length['median']:g} ({length['count']})"


def words_table(arms: Sequence[Arm]) -> Markup:
    """Transition words per 1,000 tokens of the sampled generate rows."""
    rows: list[list[object]] = []
    for arm in arms:
        rates = (arm.measured.row("generate") or {}).get("transition_words_per_1000_tokens")
        if rates is not None:
            rows.append([arm.name, *(f"{rates[word]:.2f}" for word in TRANSITION_WORDS), f"{rates['all']:.2f}"])
    return table(("arm", *TRANSITION_WORDS, "all"), rows)


def verdict_table(arms: Sequence[Arm]) -> Markup:
    """Label by verdict, precision and recall, and the traces that really check."""
    sides = [f"{label}: {said}" for label in ("right", "wrong") for said in ("Yes", "No", "none")]
    head = ["arm", *sides, "precision", "recall", "traces that check", "balanced accuracy on those"]
    rows: list[list[object]] = []
    for arm in arms:
        row = arm.measured.row("judge")
        if row is not None:
            judge = row["judge"]
            cells = [str(judge["confusion"][cell]) for cell in CELLS]
            scores = [estimate(judge[name]) for name in ("precision", "recall")]
            checking = judge["checking"]
            rows.append([arm.name, *cells, *scores, number(checking["share"]), estimate(checking["balanced_accuracy"])])
    return table(head, rows, "right / wrong: the label of the shown solution. Sampled rows.")


def seeds_table(arms: Sequence[Arm]) -> Markup:
    """Mean over the seeds of each part with its range; "" unless a part has been run more than once."""
    rows: list[list[object]] = []
    for part in (JUDGE, JUDGERLVR, VANILLA):
        found = [row for arm in arms if arm.name == part and (row := arm.measured.row("generate"))]
        if len(found) > 1:
            accuracy = [row["accuracy"]["value"] for row in found]
            lengths = [row["tokens"]["all"]["mean"]["value"] for row in found if "tokens" in row]
            rows.append([part, len(found), _range(accuracy, 3), _range(lengths, 1)])
    return table(("arm", "runs", "accuracy: mean (lowest to highest)", "mean tokens"), rows)


def _range(values: Sequence[float], digits: int) -> str:
    if not values:
        return NOT_RUN
    low, high = min(values), max(values)
    return f"{sum(values) / len(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
