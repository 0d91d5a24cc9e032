"""Numbers of a diagnosis from graded records. Intervals are 95 % over problems, as in every evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from judgerlvr.diagnosis.draws import EVERY_STEP, NO_RECHECKS, Drawn
from judgerlvr.diagnosis.world_traces import CheckMix, holding_rechecks, judging_mix, rechecked_steps, solving_mix
from judgerlvr.evaluation import metrics
from judgerlvr.evaluation.intervals import Estimate, Shares, difference_interval, share_interval
from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.summary import is_checking, mean_surprisal
from judgerlvr.sampling.samples import CUT, OVERSIZE


@dataclass(frozen=True)
class Solving:
    """Solutions at temperature 1 and greedy. ``mixed`` is by size of a group, in samples.

    ``greedy_gain`` is greedy accuracy less accuracy at temperature 1, paired by problem. ``tokens`` is by outcome:
    all, correct, wrong, and truncated.
    """

    problems: int
    samples: int
    pass_at_1: Estimate
    mixed: dict[int, Estimate]
    greedy: Estimate
    greedy_gain: Estimate
    tokens: dict[str, Estimate]
    greedy_tokens: Estimate
    cut: int
    too_long: int
    entropy: float | None


@dataclass(frozen=True)
class Judging:
    """Verdicts on a balanced set of the model's own solutions, at temperature 1 and, where so named, greedy.

    ``false_yes`` is the share of wrong solutions that are accepted. ``false_no`` is the share of right solutions that
    are refused. A missing verdict counts in neither, and is a miss of the balanced accuracy.
    """

    prompts: int
    problems: int
    balanced_accuracy: Estimate
    greedy_balanced_accuracy: Estimate
    false_yes: Estimate
    false_no: Estimate
    tokens: Estimate
    greedy_tokens: Estimate
    no_verdict: int
    checking: float
    shortcuts: dict[str, float]


@dataclass(frozen=True)
class Traces:
    """What parsed traces say. ``premium`` is natural accuracy less accuracy without rechecks, paired by problem.

    ``forced_premium`` is accuracy with a recheck at every step less accuracy without rechecks, paired by problem.
    ``rechecked`` is the share of steps that are rechecked in the former.
    """

    premium: Estimate
    forced_premium: Estimate
    every_step: Estimate
    tokens_every_step: Estimate
    rechecked: float
    without_rechecks: Estimate
    tokens_without: Estimate
    rechecking: float
    kept_out: float
    solving: CheckMix
    judging: CheckMix | None


@dataclass(frozen=True)
class Measures:
    solving: Solving
    judging: Judging | None
    traces: Traces | None


def measure(drawn: Drawn, min_check_tokens: int = 1) -> Measures:
    """All numbers. A part that was not drawn is None."""
    solutions = drawn.records("generate")
    judging = traces = None
    if verdicts := drawn.records("judge"):
        judging = judging_of(verdicts, drawn.records("judge", greedy=True), drawn.shortcuts, min_check_tokens)
    if drawn.reader:
        mix = judging_mix(verdicts, drawn.reader, drawn.shown) if verdicts else None
        without, every = (drawn.records("generate", forced=name) for name in (NO_RECHECKS, EVERY_STEP))
        traces = traces_of(solutions, without, every, solving_mix(solutions, drawn.reader), mix)
    return Measures(solving_of(solutions, drawn.records("generate", greedy=True)), judging, traces)


def solving_of(sampled: Sequence[Record], greedy: Sequence[Record]) -> Solving:
    shares = shares_of(sampled)
    lengths, clusters = lengths_of(sampled)
    outcomes = np.array([record.outcome for record in sampled if record.finish_reason != OVERSIZE])
    tokens = {"all": metrics.mean_length(lengths, clusters)}
    tokens |= {
        name: metrics.mean_length(lengths, clusters, outcomes == name) for name in ("correct", "wrong", "truncated")
    }
    return Solving(
        problems=len(shares.values),
        samples=len(sampled),
        pass_at_1=share_interval(shares),
        mixed={size: mixed_groups(shares, size) for size in group_sizes(int(shares.samples.min()))},
        greedy=share_interval(shares_of(greedy)),
        greedy_gain=difference_interval(shares_of(greedy), shares),
        tokens=tokens,
        greedy_tokens=metrics.mean_length(*lengths_of(greedy)),
        cut=sum(record.finish_reason == CUT for record in sampled),
        too_long=sum(record.finish_reason == OVERSIZE for record in sampled),
        entropy=mean_surprisal(sampled),
    )


def judging_of(
    verdicts: Sequence[Record], greedy: Sequence[Record], shortcuts: Mapping[str, float], min_check_tokens: int
) -> Judging:
    return Judging(
        prompts=len(verdicts),
        problems=len({record.problem_id for record in verdicts}),
        balanced_accuracy=balanced(verdicts),
        greedy_balanced_accuracy=balanced(greedy),
        false_yes=verdict_share(verdicts, label=False, verdict=True),
        false_no=verdict_share(verdicts, label=True, verdict=False),
        tokens=metrics.mean_length(*lengths_of(verdicts)),
        greedy_tokens=metrics.mean_length(*lengths_of(greedy)),
        no_verdict=sum(record.verdict is None for record in verdicts),
        checking=float(np.mean([is_checking(record, min_check_tokens) for record in verdicts])),
        shortcuts=dict(shortcuts),
    )


def traces_of(
    natural: Sequence[Record],
    without: Sequence[Record],
    every: Sequence[Record],
    solving: CheckMix,
    judging: CheckMix | None,
) -> Traces:
    return Traces(
        premium=difference_interval(shares_of(natural), shares_of(without)),
        forced_premium=difference_interval(shares_of(every), shares_of(without)),
        every_step=share_interval(shares_of(every)),
        tokens_every_step=metrics.mean_length(*lengths_of(every)),
        rechecked=rechecked_steps(every),
        without_rechecks=share_interval(shares_of(without)),
        tokens_without=metrics.mean_length(*lengths_of(without)),
        rechecking=holding_rechecks(natural) / len(natural),
        kept_out=1 - holding_rechecks(without) / len(without),
        solving=solving,
        judging=judging,
    )


def group_sizes(samples: int) -> list[int]:
    """Powers of two from 4 up to the samples of a problem."""
    return [1 << power for power in range(2, samples.bit_length())]


def mixed_groups(shares: Shares, size: int) -> Estimate:
    """Chance that a group of ``size`` samples of a problem holds right and wrong ones, averaged over problems.

    The chance is exact from n samples, drawn without replacement: one less the chances of all wrong and of all right.
    """
    counts = np.rint(shares.samples).astype(int)
    right = np.rint(shares.values * shares.samples).astype(int)
    uniform = [(comb(n - c, size) + comb(c, size)) / comb(n, size) for n, c in zip(counts, right, strict=True)]
    # n samples hold n / size independent groups.
    return share_interval(Shares(1 - np.array(uniform), shares.samples / size))


def shares_of(records: Sequence[Record]) -> Shares:
    scores = np.array([record.score for record in records], dtype=np.float64)
    return metrics.shares_of(scores, [record.problem_id for record in records])


def lengths_of(records: Sequence[Record]) -> tuple[np.ndarray, list[str]]:
    """(tokens of each response, problem of each response), without prompts that were too long."""
    kept = [record for record in records if record.finish_reason != OVERSIZE]
    return np.array([record.tokens or 0 for record in kept], dtype=np.float64), [record.problem_id for record in kept]


def balanced(verdicts: Sequence[Record]) -> Estimate:
    columns = metrics.verdict_columns([bool(r.label) for r in verdicts], [r.verdict for r in verdicts])
    return metrics.balanced_accuracy_interval(metrics.cluster_sums(columns, [r.problem_id for r in verdicts]))


def verdict_share(verdicts: Sequence[Record], label: bool, verdict: bool) -> Estimate:
    """Share of one verdict among the solutions of one label."""
    rows = [(r.label is label and r.verdict is verdict, r.label is label) for r in verdicts]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 2)
    return metrics.recall_interval(metrics.cluster_sums(columns, [r.problem_id for r in verdicts]))
