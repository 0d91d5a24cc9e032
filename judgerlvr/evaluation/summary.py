"""The numbers of one row (a set, a kind and a decoding) from graded records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgerlvr.evaluation import metrics
from judgerlvr.evaluation.caps import cap_curve
from judgerlvr.evaluation.intervals import Floats, Shares, share_interval
from judgerlvr.evaluation.records import Record, thinking_text
from judgerlvr.evaluation.voting import answer_of, majority_at_k
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import CUT, OVERSIZE

TRANSITION_WORDS = ("wait", "but", "however", "alternatively", "hmm", "check", "again")
OUTCOMES = ("correct", "wrong", "truncated")


def summarise(records: Sequence[Record], decoding: Decoding, min_check_tokens: int = 1) -> dict[str, Any]:
    """Numbers of records that share set, kind and decoding, as plain data for ``summary.json``.

    A judge trace counts as checking if its thinking part is not empty and has at least ``min_check_tokens`` tokens.
    Lengths are in the policy's tokens, and absent if the records carry none.
    """
    clusters = [record.problem_id for record in records]
    scores = np.array([record.score for record in records], dtype=np.float64)
    numbers: dict[str, Any] = {
        "set": records[0].set,
        "kind": records[0].kind,
        "decoding": decoding.as_dict(),
        "problems": len(set(clusters)),
        "samples": len(records),
        "accuracy": metrics.accuracy(scores, clusters).as_dict(),
        "reasons": dict(Counter(record.reason for record in records).most_common()),
        "truncated": sum(record.finish_reason == CUT for record in records),
        "prompts_too_long": sum(record.finish_reason == OVERSIZE for record in records),
        # Greedy tokens are the likeliest, so their surprisal is no estimate of entropy.
        "entropy": None if decoding.greedy else mean_surprisal(records),
    }
    if records[0].kind == "judge":
        numbers["judge"] = judge_numbers(records, min_check_tokens)
    else:
        numbers["pass_at_k"] = _pass_curve(scores, clusters, decoding.n)
        numbers["maj_at_k"] = _majority_curve(records, decoding.n)
    # A prompt that was too long got no response, and a length of 0 would lower the means.
    sampled = [record for record in records if record.finish_reason != OVERSIZE]
    if sampled and all(record.tokens is not None for record in sampled):
        numbers |= length_numbers(sampled, decoding.max_tokens)
    return numbers


def mean_surprisal(records: Sequence[Record]) -> float | None:
    """Mean -log p of the sampled tokens in nats, an unbiased estimate of the sampled distribution's entropy.

    None if no record carries log-probabilities.
    """
    known = [(r.mean_logprob * r.tokens, r.tokens) for r in records if r.mean_logprob is not None and r.tokens]
    return -sum(total for total, _ in known) / sum(count for _, count in known) if known else None


def _pass_curve(scores: Floats, clusters: Sequence[str], samples: int) -> dict[str, dict[str, float]]:
    """pass@k at the powers of two up to the number of samples, and at the number of samples."""
    return {str(k): metrics.pass_at_k(scores, clusters, k).as_dict() for k in _ks(samples)}


def _ks(samples: int) -> list[int]:
    """Powers of two from 2 up to the number of samples, and this number."""
    return sorted(k for k in {1 << power for power in range(samples.bit_length())} | {samples} if k > 1)


def _majority_curve(records: Sequence[Record], samples: int) -> dict[str, dict[str, float]]:
    """maj@k at the same k, over the problems with at least k samples."""
    answers: dict[str, list[str | None]] = {}
    for record in records:
        answers.setdefault(record.problem_id, []).append(answer_of(record))
    curve = {}
    for k in _ks(samples):
        # Fewer than k samples say nothing of a vote of k.
        groups = [group for group in answers.values() if len(group) >= k]
        # n samples hold n / k independent votes of k.
        counts = np.array([len(group) / k for group in groups])
        shares = Shares(np.array([majority_at_k(group, k) for group in groups]), counts)
        curve[str(k)] = share_interval(shares).as_dict()
    return curve


def length_numbers(records: Sequence[Record], limit: int) -> dict[str, Any]:
    """Lengths by outcome and part, accuracy at token caps, and transition words per 1,000 tokens."""
    total = np.array([record.tokens for record in records], dtype=np.float64)
    thinking = np.array([record.thinking_tokens or 0 for record in records], dtype=np.float64)
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.problem_id, []).append(record)
    return {
        "tokens": _by_outcome(total, records),
        "thinking_tokens": _by_outcome(thinking, records),
        "solution_tokens": _by_outcome(total - thinking, records),
        "at_caps": cap_curve(list(groups.values()), limit).as_dict(),
        "transition_words_per_1000_tokens": transition_rates([r.response for r in records], float(total.sum())),
    }


def _by_outcome(values: Floats, records: Sequence[Record]) -> dict[str, Any]:
    outcomes = np.array([record.outcome for record in records])
    clusters = [record.problem_id for record in records]
    masks = {"all": np.ones(len(values), dtype=bool)} | {name: outcomes == name for name in OUTCOMES}
    return {name: _length(values, clusters, mask) for name, mask in masks.items()}


def _length(values: Floats, clusters: Sequence[str], keep: NDArray[np.bool_]) -> dict[str, Any]:
    if not keep.any():
        return {"count": 0, "mean": None, "median": None}
    mean = metrics.mean_length(values, clusters, keep)
    return {"count": int(keep.sum()), "mean": mean.as_dict(), "median": float(np.median(values[keep]))}


def transition_rates(responses: Sequence[str], tokens: float) -> dict[str, float]:
    """Occurrences per 1,000 tokens of each transition word, whole words in any case, and of all together."""
    pattern = re.compile(rf"\b({'|'.join(TRANSITION_WORDS)})\b", re.IGNORECASE)
    found = Counter(word.lower() for response in responses for word in pattern.findall(response))
    scale = 1000 / tokens if tokens else 0.0
    return {word: found[word] * scale for word in TRANSITION_WORDS} | {"all": found.total() * scale}


def judge_numbers(records: Sequence[Record], min_check_tokens: int) -> dict[str, Any]:
    """Balanced accuracy, precision and recall of "the solution is correct", and the traces that really check."""
    labels = [bool(record.label) for record in records]
    verdicts = [record.verdict for record in records]
    columns = metrics.verdict_columns(labels, verdicts)
    clusters = np.array([record.problem_id for record in records])
    checking = np.array([is_checking(record, min_check_tokens) for record in records], dtype=bool)
    sums = metrics.cluster_sums(columns, clusters.tolist())
    return {
        "balanced_accuracy": metrics.balanced_accuracy_interval(sums).as_dict(),
        "precision": metrics.recall_interval(sums[:, [0, 4]]).as_dict(),
        "recall": metrics.recall_interval(sums[:, [0, 1]]).as_dict(),
        "confusion": metrics.confusion(labels, verdicts).as_dict(),
        "checking": {
            "min_tokens": min_check_tokens,
            "share": float(checking.mean()),
            "balanced_accuracy": metrics.balanced_accuracy_interval(
                metrics.cluster_sums(columns[checking], clusters[checking].tolist())
            ).as_dict(),
        },
    }


def is_checking(record: Record, min_tokens: int) -> bool:
    """Whether the trace does some work before its verdict."""
    return bool(thinking_text(record.response)) and (record.thinking_tokens or 0) >= min_tokens
