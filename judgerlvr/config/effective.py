"""The configuration of a command: the choice of the file, all checks, and a print of the values that are no default."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from judgerlvr.config.check import check_config
from judgerlvr.config.load import COMMAND_LINE, ROOT, Given, flat, load_stored, load_with_origins, parse_override
from judgerlvr.config.schema import Config

TINY = "configs/tiny.yaml"
TINY_BASES = ROOT / "judgerlvr" / "tinyworld" / "base"
# Keys that bring a user's data. The tiny world's settings do not hold beside a user's data.
OWN_DATA = ("data.train", "data.heldout", "data.evaluation", "judge.data.responses", "judge.data.sample_from")


@dataclass(frozen=True)
class Effective:
    """A checked configuration. ``origins`` holds the source of each given key. ``preset`` is a note."""

    config: Config
    origins: dict[str, str]
    preset: str = ""


def configure(path: str | Path | None, overrides: Sequence[str] = (), init: Path | None = None) -> Effective:
    """The configuration of a command line. Without a file the tiny preset holds for the tiny world only.

    ``init`` is a starting policy that stands in an option of its own.

    Raises:
        InputError: the first value that is wrong, with file, key and remedy.
    """
    given = [parse_override(text) for text in overrides]
    tiny = path is None and _all_tiny(given, init)
    loaded = load_with_origins(TINY if tiny else path, overrides)
    check_config(loaded.config)
    note = f"preset {TINY}: no model and no data were given" if tiny else ""
    return Effective(loaded.config, loaded.origins, note)


def _all_tiny(given: Sequence[Given], init: Path | None) -> bool:
    """Neither a model nor data of the user: shipped bases and descendants of bases belong to the tiny world."""
    if any(one.name in OWN_DATA and one.value not in ("", "[]") for one in given):
        return False
    models = [Path(str(one.value)) for one in given if one.name == "model.path"] + ([init] if init else [])
    return all(is_tiny(model) for model in models)


def is_tiny(model: Path) -> bool:
    """Whether a model directory is a shipped base, or the policy of a run that began with a base on tiny problems."""
    real = (model if model.exists() else ROOT / model).resolve()
    if TINY_BASES in real.parents:
        return True
    stored = next((folder / "config.yaml" for folder in real.parents if (folder / "manifest.json").is_file()), None)
    if stored is None or not stored.is_file():
        return False
    config = load_stored(stored, "cpu")
    return not config.data.train and TINY_BASES in Path(config.model.path).resolve().parents


def changed_values(effective: Effective) -> dict[str, dict[str, object]]:
    """Values that differ from the documented defaults, by where each was given."""
    defaults = dict(flat(asdict(_with_absolute_paths())))
    by_source: dict[str, dict[str, object]] = {}
    for name, value in flat(asdict(effective.config)):
        if value != defaults.get(name):
            # The origin of an open mapping is kept under the mapping's own key, not by entry.
            source = next((at for key, at in effective.origins.items() if f"{name}.".startswith(f"{key}.")), "default")
            by_source.setdefault(source, {})[name] = value
    return by_source


def _with_absolute_paths() -> Config:
    # Loading makes default paths absolute too, else each path would count as a change.
    return load_with_origins(None).config


def describe(effective: Effective) -> Iterator[str]:
    """Lines for the console: each value that is no default, with its source."""
    if effective.preset:
        yield effective.preset
    width = max(60, shutil.get_terminal_size().columns)
    for source, values in changed_values(effective).items():
        where = source if source == COMMAND_LINE else Path(source).name
        listed = ", ".join(f"{name}={value}" for name, value in values.items())
        # Names and paths are copied from the console, so a hyphen is no place to break.
        yield from textwrap.wrap(
            f"not the defaults, from {where}: {listed}", width, subsequent_indent="  ", break_on_hyphens=False
        )
