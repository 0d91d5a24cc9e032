"""The section ``engine`` of a stage, judged by verl and by vLLM before anything is loaded."""

from __future__ import annotations

from judgerlvr.engine.engine_section import check_engine_keys, rollout_arguments, rollout_keys
from judgerlvr.engine.private.engine_arguments import check_engine_values
from judgerlvr.planning.machine import visible_cards
from judgerlvr.runs.stage import Stage


def check_section(stage: Stage) -> None:
    """Check the keys of the section, and let vLLM judge the keys that become its arguments.

    Raises:
        InputError: naming the key.
    """
    check_engine_keys(stage)
    check_rollout(stage)


def check_rollout(stage: Stage) -> None:
    """Let vLLM judge the keys of the section ``engine`` that become arguments of vLLM.

    Raises:
        InputError: naming these keys.
    """
    arguments = rollout_arguments(stage)
    if arguments and (stage.device == "cpu" or visible_cards()):
        where = ", ".join(f"engine.{key}" for key in rollout_keys(stage.config.engine))
        check_engine_values(stage.init, arguments, where)
