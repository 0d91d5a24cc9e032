"""The section ``engine`` of a configuration: settings of verl by verl's own names, checked before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from difflib import get_close_matches
from io import StringIO
from typing import Any
from warnings import catch_warnings, simplefilter

from omegaconf import DictConfig, OmegaConf

from judgerlvr.config.load import engine_keys, flat
from judgerlvr.engine.devices import ROLLOUT, stage_environment
from judgerlvr.engine.engine_decisions import BUCKET, CAPTURES, TO_VLLM, closed
from judgerlvr.engine.private.early_refusals import TRIALS, errors, refusal, said_by
from judgerlvr.engine.verl_config import all_settings, compose, render
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError

MEND = "mend the value, or leave the key out"


def check_engine_keys(stage: Stage) -> None:
    """Check the section ``engine``. verl is imported only where the section holds a key.

    Raises:
        InputError: a key that this product sets or closes, one that verl does not know, or a value that verl refuses.
    """
    asked = engine_keys(stage.config.engine)
    if not asked:
        return
    # verl settles the platform at verl's first import, which is here and not in ``run_stage``.
    os.environ.update(stage_environment(stage))
    ours = [key.removeprefix("+") for key in all_settings(stage)]
    known = dict(flat(OmegaConf.to_container(compose())))
    for key, value in asked.items():
        _check_name(key, ours, known)
        _check_open(key, known[key], stage.kind)
        _check_value(key, value, known[key])
    _check_by_verl(stage, asked)


def rollout_arguments(stage: Stage) -> dict[str, Any]:
    """Arguments of vLLM as verl will give them, where the section ``engine`` names one of them, else none.

    Call ``check_engine_keys`` before.
    """
    if not rollout_keys(stage.config.engine):
        return {}
    rollout = _rendered(stage).actor_rollout_ref.rollout
    arguments = {name: rollout[name] for name in (*TO_VLLM, "max_model_len", "dtype")}
    if rollout[CAPTURES] is not None:
        sizes = OmegaConf.to_container(OmegaConf.create({CAPTURES: rollout[CAPTURES]}))
        arguments["compilation_config"] = sizes
    return arguments | stage.config.cluster.rollout_engine


def rollout_keys(engine: Mapping[str, Any]) -> list[str]:
    """Keys of the section ``engine`` that become arguments of vLLM."""
    names = [f"{ROLLOUT}.{name}" for name in (*TO_VLLM, CAPTURES)]
    return [key for key in engine_keys(engine) if key in names]


def _check_name(key: str, ours: Sequence[str], known: dict[str, Any]) -> None:
    field = f"engine.{key}"
    taken = [name for name in ours if f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}.")]
    if taken:
        remedy = "leave the key out, and set the key of the section that --help names"
        raise InputError(f"{taken[0]} is set by other configuration keys", remedy, field=field)
    if key not in known:
        near = get_close_matches(key, list(known), n=1, cutoff=0.0)[0]
        raise InputError("verl knows no such key", f"did you mean {near}?", field=field)


def _check_open(key: str, default: Any, kind: str) -> None:
    if why := closed(key, default):
        raise InputError(why.problem, why.remedy.format(kind=kind), field=f"engine.{key}")


def _check_value(key: str, value: Any, default: Any) -> None:
    """Refuse what verl itself would find out in a step, or never. verl's default shows what is wanted."""
    if default is None:
        return
    if wanted := unlike(value, default):
        raise InputError(f"{value!r}, where verl's default is {default!r}", f"give {wanted}", field=f"engine.{key}")
    # A smaller bucket may be smaller than a tensor.
    if key == BUCKET and value < default:
        raise InputError(f"{value!r} may be too small for a tensor", f"give {default} or more", field=f"engine.{key}")


def unlike(value: Any, default: Any) -> str | None:
    """What to give instead of a value that is of another kind than ``default``, or None."""
    if isinstance(default, list):
        return _unlike_list(value, default)
    if isinstance(default, bool) or not isinstance(default, int | float):
        return None if isinstance(value, type(default)) else type(default).__name__
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "a number"
    if default > 0 and value <= 0:
        return "a number above 0"
    # A default of 0 says nothing: verl writes 0 for fractions too.
    whole = isinstance(default, int) and default > 0
    return "a whole number" if whole and not isinstance(value, int) else None


def _unlike_list(value: Any, default: list[Any]) -> str | None:
    alike = isinstance(value, list) and len(value) == len(default)
    if alike and not any(unlike(one, wanted) for one, wanted in zip(value, default, strict=True)):
        return None
    return f"a list of {len(default)} such values"


def _check_by_verl(stage: Stage, asked: Mapping[str, Any]) -> None:
    """Let verl itself refuse, and name the key without which verl refuses nothing."""
    said = _said(stage, asked)
    if said is None:
        return
    rest = [(key, {name: value for name, value in asked.items() if name != key}) for key in asked]
    guilty = [key for key, others in rest if _said(stage, others) is None]
    # Of keys that work together alone, those that the error shows.
    mentioned = [key for key, value in asked.items() if str(value) in said]
    named = guilty[:1] or mentioned or list(asked)
    values = ", ".join(repr(asked[key]) for key in named)
    raise InputError(f"verl refuses {values}: {said}", MEND, field=", ".join(f"engine.{key}" for key in named))


def _said(stage: Stage, asked: Mapping[str, Any]) -> str | None:
    """What verl says against these settings, or None."""
    try:
        config = _rendered(replace(stage, config=replace(stage.config, engine=dict(asked))))
    except errors() as error:
        return said_by(error)
    tried = [section for section in TRIALS if any(key.startswith(f"{section}.") for key in asked)]
    with _quiet():
        return next((said for section in tried if (said := refusal(config, section))), None)


def _rendered(stage: Stage) -> DictConfig:
    with _quiet():
        return render(stage)


@contextmanager
def _quiet() -> Iterator[None]:
    """verl prints and warns about settings that are none of the user's."""
    with redirect_stdout(StringIO()), catch_warnings():
        simplefilter("ignore")
        yield
