"""Read a YAML file and ``key=value`` overrides into a checked Config."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from data.importing.sources import hub_name
from judgerlvr.config.schema import Config
from rewards.errors import InputError

# Keys under these are free. vLLM and verl know their own names, and check_config knows the roles of columns.
OPEN = ("cluster.rollout_engine.", "engine.", "data.columns.")
# Keys of version 0.1.0 that have other names now, by device.
ROLLOUT_MEMORY = "cluster.rollout_memory"
ROLLOUT_MEMORY_NOW = {"gpu": "cluster.rollout_gpu_share", "cpu": "cluster.rollout_cpu_gib"}

ROOT = Path(__file__).resolve().parents[2]


def resolve_path(path: str | Path) -> Path:
    """An existing path as given, else the same path inside the checkout (shipped prompts, models, configs)."""
    given = Path(path).expanduser()
    shipped = ROOT / given
    return shipped if not given.exists() and shipped.exists() else given


def keys(schema: type = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, dataclass field) of every leaf and section of the schema, in order."""
    instance = schema()
    for item in fields(instance):
        name = f"{prefix}{item.name}"
        yield name, item
        value = getattr(instance, item.name)
        if is_dataclass(value):
            yield from keys(type(value), name + ".")


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf of a nested mapping. An empty mapping is a leaf."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _check_known(names: Sequence[str], source: str) -> None:
    known = [name for name, _ in keys()]
    for name in names:
        if name == ROLLOUT_MEMORY:
            remedy = "write cluster.rollout_gpu_share (share of a GPU's memory) or cluster.rollout_cpu_gib (GiB)"
            raise InputError(f"{name} has two new names", remedy, file=source, field=name)
        if name not in known and not name.startswith(OPEN):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise InputError(f"unknown key {name!r}", f"did you mean {near!r}?", file=source, field=name)


def _merge(config: DictConfig, leaves: Sequence[tuple[str, Any]], source: str) -> None:
    _check_known([name for name, _ in leaves], source)
    for name, value in leaves:
        try:
            OmegaConf.update(config, name, value, force_add=name.startswith(OPEN))
        except OmegaConfBaseException as error:
            message = str(error).splitlines()[0]
            raise InputError(message, f"see --help for what {name} takes", file=source, field=name) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError("no such config file", "give --config FILE.yaml", file=path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {' '.join(str(error).split())}", "mend the file", file=path) from error
    if not isinstance(tree, dict):
        raise InputError("holds no keys", "write `key: value` lines", file=path)
    return tree


def _parse_override(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{text!r} is not key=value", "write e.g. seed=1", file="command line")
    return name, yaml.safe_load(value) if value else ""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The schema's defaults, then the file, then the overrides. A later value wins. Every path is made absolute.

    Raises:
        InputError: unreadable file, unknown key (the nearest one is named) or a value of the wrong type.
    """
    file = resolve_path(path)
    return _build(flat(_read_yaml(file)), str(file), overrides)


def load_stored(path: Path, device: str, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a run folder, then the overrides. Keys renamed since are read under their new names.

    Raises:
        InputError: as ``load_config``.
    """
    leaves = [(_name_now(name, device), value) for name, value in flat(_read_yaml(path))]
    return _build(leaves, str(path), overrides)


def _name_now(name: str, device: str) -> str:
    return ROLLOUT_MEMORY_NOW[device] if name == ROLLOUT_MEMORY else name


def _build(leaves: Iterable[tuple[str, Any]], source: str, overrides: Sequence[str] = ()) -> Config:
    config = OmegaConf.structured(Config)
    _merge(config, list(leaves), source)
    _merge(config, [_parse_override(text) for text in overrides], "command line")
    loaded = OmegaConf.to_object(config)
    assert isinstance(loaded, Config)
    _resolve_paths(loaded)
    return loaded


def _resolve_paths(section: Any) -> None:
    for item in fields(section):
        value = getattr(section, item.name)
        if is_dataclass(value):
            _resolve_paths(value)
        elif item.metadata.get("path"):
            hub = bool(item.metadata.get("hub"))
            absolute = [_absolute(path, hub) for path in value] if isinstance(value, list) else _absolute(value)
            setattr(section, item.name, absolute)


def _absolute(path: str, hub: bool = False) -> str:
    """The absolute path. A name of the hub stays as given where ``hub`` allows a name."""
    resolved = resolve_path(path)
    return path if hub and not resolved.exists() and hub_name(path) else str(resolved.absolute())


def absent_keys(path: Path) -> dict[str, Any]:
    """Keys that a resolved configuration lacks since they are newer than it, with the defaults taken for them."""
    given = [name for name, _ in flat(_read_yaml(path))]
    defaults = flat(asdict(Config()))
    return {name: value for name, value in defaults if not any(f"{key}.".startswith(f"{name}.") for key in given)}


def engine_keys(config: Config) -> dict[str, Any]:
    """The section ``engine`` as verl's dotted names and their values, however the file nests the names."""
    return dict(flat(config.engine))


def to_yaml(config: Config) -> str:
    """The resolved configuration as it is written into the run folder."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))
