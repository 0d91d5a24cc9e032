"""The reward of a stage, as the engine takes it: a function of the rewards package and its keyword arguments."""

from __future__ import annotations

from typing import Any

from judgerlvr.config.load import ROOT
from judgerlvr.config.schema import Config
from judgerlvr.engine.stage import Kind

ADAPTER = ROOT / "rewards" / "verl_adapter.py"
FUNCTIONS = {"judge": "judge_score", "generate": "generate_score"}


def reward_settings(kind: Kind, config: Config) -> dict[str, Any]:
    """``reward_function`` and ``reward_kwargs`` of a Stage."""
    kwargs: dict[str, Any] = {"workers": config.reward.workers}
    if kind == "judge":
        kwargs["words"] = list(config.judge.data.verdicts)
    else:
        kwargs |= {"verifier": config.reward.verifier, "extraction": str(config.reward.extraction)}
    return {"reward_function": f"{ADAPTER}:{FUNCTIONS[kind]}", "reward_kwargs": kwargs}
