"""The section ``engine`` of a configuration: settings of verl by verl's own names, checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from judgerlvr.config.load import engine_keys, flat
from judgerlvr.engine.devices import stage_environment
from judgerlvr.engine.verl_config import all_settings, compose, render
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError


def check_engine_keys(stage: Stage) -> None:
    """Check the section ``engine``. verl is imported only where the section holds a key.

    Raises:
        InputError: a key that this product sets, one that verl does not know, or a value that verl refuses.
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
        _check_kind(key, value, known[key])
    try:
        render(stage)
    # verl checks its configuration by assertions as well as by these.
    except (OmegaConfBaseException, AssertionError, TypeError, ValueError) as error:
        problem = f"verl refuses {asked}: {' '.join(str(error).split())[:200]}"
        raise InputError(problem, "mend the value, or leave the key out", field="engine") from error


def _check_name(key: str, ours: Sequence[str], known: dict[str, Any]) -> None:
    field = f"engine.{key}"
    taken = [name for name in ours if f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}.")]
    if taken:
        remedy = "leave the key out, and set the key of the section that --help names"
        raise InputError(f"{taken[0]} is set by other configuration keys", remedy, field=field)
    if key not in known:
        near = get_close_matches(key, list(known), n=1, cutoff=0.0)[0]
        raise InputError("verl knows no such key", f"did you mean {near}?", field=field)


def _check_kind(key: str, value: Any, default: Any) -> None:
    """Refuse a value of another kind than verl's default: verl itself would find out in a step, or never."""
    if default is None or value is None:
        return
    number = isinstance(default, int | float) and not isinstance(default, bool)
    given = isinstance(value, int | float) and not isinstance(value, bool)
    if given if number else isinstance(value, type(default)):
        return
    wanted = "a number" if number else type(default).__name__
    raise InputError(f"{value!r}, where verl's default is {default!r}", f"give {wanted}", field=f"engine.{key}")
