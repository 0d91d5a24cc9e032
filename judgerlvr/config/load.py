"""Read a YAML file and ``key=value`` overrides into a Config whose values have declared types and domains."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from data.importing.sources import hub_name
from judgerlvr.config.documents import compose
from judgerlvr.config.schema import Config
from judgerlvr.config.values import BadValue, from_node, from_text, open_value, shown
from rewards.errors import InputError

# Keys of version 0.1.0 that have other names now, by device.
ROLLOUT_MEMORY = "cluster.rollout_memory"
ROLLOUT_MEMORY_NOW = {"gpu": "cluster.rollout_gpu_share", "cpu": "cluster.rollout_cpu_gib"}
COMMAND_LINE = "command line"

ROOT = Path(__file__).resolve().parents[2]
# Ray unpacks a job's checkout into a folder of its session. A new head has another session.
UNPACKED = re.compile(r".*/working_dir_files/_ray_pkg_[^/]+/(.+)")


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


@cache
def key_types() -> dict[str, Any]:
    """Type of every leaf of the schema by dotted key."""
    return _types(Config, "")


def _types(schema: Any, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in typing.get_type_hints(schema).items():
        dotted = f"{prefix}{name}"
        found |= _types(kind, f"{dotted}.") if is_dataclass(kind) else {dotted: kind}
    return found


# Keys under these prefixes are not declared here. vLLM and verl know the names.
OPEN = tuple(f"{name}." for name, kind in key_types().items() if typing.get_origin(kind) is dict)


@cache
def sections() -> frozenset[str]:
    """Dotted names of all sections."""
    return frozenset(name for name, _ in keys() if name not in key_types())


@cache
def domains() -> dict[str, Any]:
    """Declared domains of leaves, by dotted key."""
    return {name: item.metadata["domain"] for name, item in keys() if item.metadata.get("domain")}


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf of a nested mapping. An empty mapping is a leaf."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True)
class Given:
    """A value as written: key, text or YAML node, and place."""

    name: str
    value: yaml.Node | str
    source: str
    row: int | None = None

    def error(self, problem: str, remedy: str) -> InputError:
        return InputError(problem, remedy, file=self.source, row=self.row, field=shown_name(self.name))


def shown_name(name: str) -> str:
    return name if name.isprintable() else shown(name)


def _read_yaml(path: Path) -> list[Given]:
    """Leaves of a YAML file in order.

    Raises:
        InputError: unreadable, not YAML, no keys, or a key that stands twice.
    """
    if not path.is_file():
        raise InputError("no such config file", "give --config FILE.yaml", file=path)
    try:
        # Editors on Windows put a byte order mark in front.
        tree = compose(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (byte {error.start})", "convert the file to UTF-8", file=path) from error
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {' '.join(str(error).split())}", "mend the file", file=path) from error
    if not isinstance(tree, yaml.MappingNode):
        raise InputError("holds no keys", "write `key: value` lines", file=path)
    return list(_leaves(tree, str(path), set()))


def _leaves(tree: yaml.MappingNode, source: str, seen: set[str], prefix: str = "") -> Iterator[Given]:
    for key, value in tree.value:
        name = f"{prefix}{key.value}" if isinstance(key, yaml.ScalarNode) else f"{prefix}[...]"
        given = Given(name, value, source, key.start_mark.line + 1)
        # PyYAML lets the last of two equal keys win without a word.
        if name in seen:
            raise given.error("stands twice", "keep one of the two lines")
        seen.add(name)
        yield from _leaves(value, source, seen, f"{name}.") if _is_section(given) else [given]


def _is_section(given: Given) -> bool:
    """Whether keys are to be looked for under a name. A section that holds no mapping is refused."""
    if given.name not in sections():
        return False
    if not isinstance(given.value, yaml.MappingNode):
        raise given.error("is a section without keys", f"write {given.name}: {{key: value}}, or remove the line")
    return True


def _open_key(name: str) -> str | None:
    """The open mapping that a dotted name lies in, such as vLLM's own arguments."""
    return next((opened.removesuffix(".") for opened in OPEN if name.startswith(opened)), None)


def _check_known(given: Given) -> None:
    name = given.name
    if name == ROLLOUT_MEMORY:
        remedy = "write cluster.rollout_gpu_share (share of a GPU's memory) or cluster.rollout_cpu_gib (GiB)"
        raise given.error(f"{name} has two new names", remedy)
    if name not in key_types() and not _open_key(name):
        # Without a cutoff the nearest key is named even for a far-off spelling.
        near = difflib.get_close_matches(name, list(key_types()), n=1, cutoff=0.0)
        raise given.error(f"unknown key {shown(name)}", f"did you mean {near[0]!r}?" if near else "see --help")


def parse_override(text: str) -> Given:
    """An override as it was written. Raises InputError for a text without ``=``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{shown(text)} is not key=value", "write e.g. seed=1", file=COMMAND_LINE)
    return Given(name, value, COMMAND_LINE)


def _value(given: Given) -> Any:
    """The value by the type of the key, checked against the key's domain."""
    kind = key_types()[given.name]
    try:
        read = from_text(given.value, kind) if isinstance(given.value, str) else from_node(given.value, kind)
    except BadValue as error:
        raise given.error(error.problem, error.remedy) from error
    domain = domains().get(given.name)
    if domain and not domain.allows(read):
        raise given.error(f"is {shown(read)}", f"give {domain.says}")
    return read


def _open_entry(given: Given, inside: str) -> Any:
    kind = typing.get_args(key_types()[inside])[1]
    try:
        if isinstance(given.value, str):
            node = compose(given.value) if kind is Any else None
            return open_value(node) if node is not None else from_text(given.value, str)
        return open_value(given.value)
    except (BadValue, yaml.YAMLError) as error:
        raise given.error(f"{shown(given.value)} cannot be read", "write a plain value") from error


def _merge(config: Config, given: Iterable[Given]) -> dict[str, str]:
    """Set each value, later ones over earlier ones; returns where each key's value is from."""
    origins = {}
    for one in given:
        _check_known(one)
        inside = _open_key(one.name)
        *sections, last = (inside or one.name).split(".")
        holder: Any = config
        for name in sections:
            holder = getattr(holder, name)
        if inside:
            _set_inside(getattr(holder, last), one.name.removeprefix(f"{inside}.").split("."), _open_entry(one, inside))
        else:
            setattr(holder, last, _value(one))
        origins[inside or one.name] = one.source
    return origins


def _set_inside(mapping: dict[str, Any], names: Sequence[str], value: Any) -> None:
    for name in names[:-1]:
        if not isinstance(mapping.get(name), dict):
            mapping[name] = {}
        mapping = mapping[name]
    mapping[names[-1]] = value


@dataclass(frozen=True)
class Loaded:
    """A configuration and, by dotted key, the file or command line that gave the value."""

    config: Config
    origins: dict[str, str]


def load_with_origins(path: str | Path | None, overrides: Sequence[str] = ()) -> Loaded:
    """The schema's defaults, then the file if any, then the overrides. A later value wins. Paths become absolute.

    Raises:
        InputError: unreadable file, unknown key (the nearest one is named), a value of the wrong type or out of the
            key's domain.
    """
    written = _read_yaml(resolve_path(path)) if path is not None else []
    return _build([*written, *map(parse_override, overrides)])


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of ``load_with_origins`` alone."""
    return load_with_origins(path, overrides).config


def load_stored(path: Path, device: str, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a run folder, then the overrides. Keys renamed since are read under their new names.

    A path into the checkout that a job was sent with becomes a path into the present checkout.

    Raises:
        InputError: as ``load_config``.
    """
    written = [replace(one, name=_name_now(one.name, device)) for one in _read_yaml(path)]
    config = _build([*written, *map(parse_override, overrides)]).config
    _change_paths(config, lambda path, _: UNPACKED.sub(lambda found: str(ROOT / found[1]), path))
    return config


def _name_now(name: str, device: str) -> str:
    return ROLLOUT_MEMORY_NOW[device] if name == ROLLOUT_MEMORY else name


def _build(given: Iterable[Given]) -> Loaded:
    config = Config()
    origins = _merge(config, given)
    _change_paths(config, _absolute)
    return Loaded(config, origins)


def _change_paths(section: Any, change: Callable[[str, Mapping[str, Any]], str]) -> None:
    """Replace each path of a section by what ``change`` makes of the path and of the key's declaration."""
    for item in fields(section):
        value = getattr(section, item.name)
        if is_dataclass(value):
            _change_paths(value, change)
        elif item.metadata.get("path"):
            made = [change(path, item.metadata) for path in (value if isinstance(value, list) else [value])]
            setattr(section, item.name, made if isinstance(value, list) else made[0])


def _absolute(path: str, declared: Mapping[str, Any]) -> str:
    """The absolute path. A name of the hub stays as given where ``hub`` allows a name.

    ``written``: runs write there, so the checkout is left alone.
    """
    try:
        resolved = Path(path).expanduser() if declared.get("written") else resolve_path(path)
        return path if declared.get("hub") and not resolved.exists() and hub_name(path) else str(resolved.absolute())
    # expanduser raises RuntimeError for an unknown user.
    except (OSError, RuntimeError) as error:
        raise InputError(f"{shown(path)} is no usable path ({error})", "give another path") from error


def absent_keys(path: Path) -> dict[str, Any]:
    """Keys that a resolved configuration lacks since they are newer than it, with the defaults taken for them."""
    given = [one.name for one in _read_yaml(path)]
    defaults = flat(asdict(Config()))
    return {name: value for name, value in defaults if not any(f"{key}.".startswith(f"{name}.") for key in given)}


def engine_keys(engine: Mapping[str, Any]) -> dict[str, Any]:
    """The section ``engine`` as verl's dotted names and their values, however the file nests the names."""
    return dict(flat(engine))


def to_yaml(config: Config) -> str:
    """The resolved configuration as it is written into the run folder."""
    # Unsorted, so that keys stand in the order of the schema, related keys together.
    text: str = yaml.safe_dump(_plain(asdict(config)), sort_keys=False, allow_unicode=True, width=120)
    return text


def _plain(value: Any) -> Any:
    """The same values without enumerations."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.value if isinstance(value, Enum) else value
