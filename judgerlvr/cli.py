"""The command line that both stages share: options and the list of configuration keys."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from judgerlvr.config.documents import TooLarge, load_yaml
from judgerlvr.config.effective import TINY
from judgerlvr.config.reference import key_facts
from rewards.command_line import OneLineParser
from rewards.errors import InputError

CONFIG_HELP = f"YAML file (default: {TINY} while neither model nor data is given, else the defaults below)"

# The command of each stage.
MODULES = {"judge": "stage1_judge", "generate": "stage2_generate"}


def key_table() -> str:
    """Every configuration key with its default, its documentation and its domain."""
    return "\n".join(f"  {fact.name} = {fact.default}\n      {fact.meaning} [{fact.allowed}]" for fact in key_facts())


def stage_parser(program: str, summary: str) -> argparse.ArgumentParser:
    """Options common to both stages; the stage adds its own."""
    parser = OneLineParser(
        prog=f"python -m {program}",
        description=summary,
        epilog=f"configuration keys (key=value, or in --config):\n{key_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, help=CONFIG_HELP)
    parser.add_argument("--out", type=Path, help="name of the finished policy (default ckpt/STAGE)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="continue this run folder: weights, optimiser, data")
    parser.add_argument("--new", action="store_true", help="begin another run where one of this name exists")
    parser.add_argument("--override-card", action="store_true", help="ask and grade otherwise than the policy's card")
    parser.add_argument("--dry-run", action="store_true", help="check everything, print what would run, and stop")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override a configuration key")
    return parser


def parse_engine_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``--engine``'s ``KEY=VALUE`` pairs, arguments of ``vllm.LLM``, whose names are not checked here.

    Raises:
        InputError: a pair without a value.
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--engine {pair!r} has no value", "write KEY=VALUE")
        arguments[key] = _value(value)
    return arguments


def _value(text: str) -> Any:
    """JSON where it parses (YAML would take 2e9 for text), else YAML (True, {mode: 0}), else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # YAML refuses what is nested too deeply
        pass
    try:
        return load_yaml(text) if text else text
    except TooLarge as error:
        raise InputError(f"--engine: {error}", "write a flatter value") from error
    except yaml.YAMLError:
        return text
