"""The reward of a stage, as the engine takes it: a function of the rewards package and its keyword arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judgerlvr.config.schema import Reward
from judgerlvr.models.prompt_tokens import template_opens_thinking
from judgerlvr.runs.request import Request
from judgerlvr.runs.resume_state import DISPUTED
from judgerlvr.runs.stage import reward_function
from rewards.grading.settings import GradingSettings


def reward_settings(request: Request, tokenizer: Any, run_dir: Path) -> dict[str, Any]:
    """``reward_function`` and ``reward_kwargs`` of a Stage. Slow and disputed gradings go to ``run_dir/disputed``."""
    grading = grading_settings(request.config.reward, tokenizer)
    kwargs: dict[str, Any] = {"thinking_open": grading.thinking_open}
    solves = request.config.solves(request.kind)
    if request.kind == "judge":
        kwargs["words"] = list(request.config.judge.data.verdicts)
    if request.kind == "generate" or solves:
        kwargs |= {"verifier": grading.verifier, "extraction": grading.mode, "workers": grading.workers}
        # Judging compares words and has nothing slow or disputed to keep.
        kwargs["dump_dir"] = str(run_dir / DISPUTED)
    return {"reward_function": reward_function(request.kind, solves), "reward_kwargs": kwargs}


def grading_settings(reward: Reward, tokenizer: Any) -> GradingSettings:
    """The grader of a run: labels of candidates, golds, canary and the stage-2 reward all use it."""
    return GradingSettings(reward.verifier, reward.extraction.value, reward.workers, template_opens_thinking(tokenizer))
