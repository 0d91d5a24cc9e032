"""Reward functions in the shape that verl calls (``reward.custom_reward_function.path`` and ``.name``).

verl loads this file by its path, perhaps several times in one process, and awaits the function for each sample
inside an actor's event loop. Everything else comes from the package, so that loading twice starts nothing twice.
Settings arrive through ``reward.custom_reward_function.reward_kwargs``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

_ROOT = str(Path(__file__).resolve().parents[1])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)  # a plain verl config may name this file without the package being installed

from rewards.auditing.audit import Audit  # noqa: E402
from rewards.errors import InputError  # noqa: E402
from rewards.extraction.extract import Mode  # noqa: E402
from rewards.grading.process_pools import shared_pool  # noqa: E402
from rewards.types import Problem, Result  # noqa: E402
from rewards.verdict import DEFAULT_WORDS, grade_verdict  # noqa: E402
from rewards.verifier import DEFAULT_VERIFIER  # noqa: E402

# Every sample of a batch must carry the same keys; -1 stands for "does not apply".
_PARTS = {"answered": 0.0, "symbolic": 0.0, "verdict": -1.0, "label": -1.0, "audited": 0.0, "disagrees": 0.0}


async def generate_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    verifier: str = DEFAULT_VERIFIER,
    workers: int = 2,
    extraction: Mode = "strict",
    thinking_open: bool = False,
    audit_share: float = 0.01,
    slow_seconds: float = 1.0,
    dump_dir: str | None = None,
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
) -> dict[str, float | str]:
    """Stage 2 and evaluation: grade the final answer of ``solution_str`` against ``ground_truth``.

    ``audit_share`` of the samples is graded again by the second grader; samples over ``slow_seconds`` and
    disagreements are appended to files in ``dump_dir``.
    """
    pool = shared_pool(verifier, workers, extraction, thinking_open)
    problem = _problem(ground_truth, extra_info or {})
    result = await pool.grade_async(problem, solution_str)
    audit = Audit(audit_share, slow_seconds, Path(dump_dir) if dump_dir else None, extraction, thinking_open)
    return _record(result) | audit.check(problem, solution_str, result)


async def judge_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    words: Sequence[str] = DEFAULT_WORDS,
    thinking_open: bool = False,
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
) -> dict[str, float | str]:
    """Stage 1: grade the verdict against the label ``ground_truth`` ("1": the shown solution is correct)."""
    started = perf_counter()
    result = grade_verdict(solution_str, _label(ground_truth), tuple(words), thinking_open=thinking_open)
    return _record(replace(result, seconds=perf_counter() - started))


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    words: Sequence[str] = DEFAULT_WORDS,
    thinking_open: bool = False,
    **settings: Any,
) -> dict[str, float | str]:
    """Both stages in one function: rows whose ``extra_info.kind`` is "judge" get the verdict's reward."""
    if (extra_info or {}).get("kind") == "judge":
        return await judge_score(
            data_source, solution_str, ground_truth, extra_info, words=words, thinking_open=thinking_open
        )
    return await generate_score(
        data_source, solution_str, ground_truth, extra_info, thinking_open=thinking_open, **settings
    )


def _problem(ground_truth: str | None, extra_info: Mapping[str, Any]) -> Problem:
    """verl's row as a Problem. Fields that verl adds for its own use stay behind, as do empty columns of other rows."""
    own = ("num_turns", "rollout_reward_scores")
    meta = {key: value for key, value in extra_info.items() if key not in own and value is not None}
    gold = None if ground_truth is None or ground_truth == "" else str(ground_truth)  # some verifiers need none
    return Problem(str(meta.get("id", "")), str(meta.get("problem", "")), gold, meta)


def _label(ground_truth: str) -> bool:
    if str(ground_truth) not in ("0", "1"):
        raise InputError(f"judge label is {ground_truth!r}", 'write "1" or "0"', field="reward_model.ground_truth")
    return str(ground_truth) == "1"


def _record(result: Result) -> dict[str, float | str]:
    return {
        "score": result.score,
        "acc": result.score,
        "reason": str(result.reason),
        "seconds": result.seconds,
        **_PARTS,
        **result.parts,
    }
