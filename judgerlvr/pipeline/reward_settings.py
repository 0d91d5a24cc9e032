"""The reward of a stage, as the engine takes it: a function of the rewards package and its keyword arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from data.prompts import as_chat
from judgerlvr.config.load import ROOT
from judgerlvr.config.schema import Config
from judgerlvr.runs.stage import Kind
from rewards.extraction.extract import Mode
from rewards.extraction.thinking import prompt_opens_thinking
from rewards.grading.pool import GraderPool

ADAPTER = ROOT / "rewards" / "verl_adapter.py"
FUNCTIONS = {"judge": "judge_score", "generate": "generate_score"}


def template_opens_thinking(tokenizer: Any) -> bool:
    """Whether the model's chat template itself opens the thinking part, as Qwen3-style templates may."""
    prompt = tokenizer.apply_chat_template(as_chat("1+1?"), add_generation_prompt=True, tokenize=False)
    return prompt_opens_thinking(prompt)


def reward_settings(kind: Kind, config: Config, tokenizer: Any, run_dir: Path) -> dict[str, Any]:
    """``reward_function`` and ``reward_kwargs`` of a Stage; slow and disputed gradings go to ``run_dir/disputed``."""
    kwargs: dict[str, Any] = {"thinking_open": template_opens_thinking(tokenizer)}
    if kind == "judge":
        kwargs["words"] = list(config.judge.data.verdicts)
    else:
        reward = config.reward
        kwargs |= {"verifier": reward.verifier, "extraction": str(reward.extraction), "workers": reward.workers}
        kwargs["dump_dir"] = str(run_dir / "disputed")
    return {"reward_function": f"{ADAPTER}:{FUNCTIONS[kind]}", "reward_kwargs": kwargs}


def grader_pool(config: Config, tokenizer: Any, workers: int | None = None) -> GraderPool:
    """The pool that labels candidates and grades the canary: the same settings as the stage-2 reward."""
    return GraderPool(
        config.reward.verifier,
        workers=workers or config.reward.workers,
        mode=cast(Mode, str(config.reward.extraction)),
        thinking_open=template_opens_thinking(tokenizer),
    )
