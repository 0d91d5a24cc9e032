"""The reference of configuration keys, made from the schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import StrEnum
from functools import reduce
from typing import Any, NamedTuple, get_origin

from judgerlvr.config.load import domains, key_types, keys
from judgerlvr.config.schema import Config

PAGE_HEAD = """# Configuration keys

`python -m judgerlvr.reference` writes this page from `judgerlvr/config/schema.py`. A key stands in a YAML file for
`--config`, or as `key=value` on the command line. A later value wins. A value outside the allowed values ends a command
with exit code 2.

Keys of `judge` and `generate` that have the same meaning are written `STAGE`, for `judge` or `generate`.
"""
TABLE_HEAD = "| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n"
STAGES = ("judge", "generate")


class KeyFact(NamedTuple):
    """A key with its default, its allowed values and its meaning, as text."""

    name: str
    default: str
    allowed: str
    meaning: str


def key_facts() -> Iterator[KeyFact]:
    """Every leaf of the schema in order. A guard's defaults are those of the guard, and not of all guards."""
    defaults = Config()
    for name, item in keys():
        value: Any = reduce(getattr, name.split("."), defaults)
        if not is_dataclass(value):
            yield KeyFact(name, shown_value(value), allowed_values(name), _meaning(name, item.metadata["help"]))


def shown_value(value: Any) -> str:
    """A default as a person writes the value in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(shown_value, value))}]"
    return ("''" if value == "" else str(value)) if isinstance(value, str) else str(value)


def allowed_values(name: str) -> str:
    """The domain of a key, or what the type of the key allows."""
    kind = key_types()[name]
    if name in domains():
        return str(domains()[name].says)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"one of {', '.join(kind)}"
    if kind is bool:
        return "true or false"
    return "a mapping" if get_origin(kind) is dict else "any"


def _meaning(name: str, text: str) -> str:
    """The help of a key. Keys of a guard are explained by the guard's own help."""
    guard = next((item for section, item in keys() if section == name.rpartition(".")[0]), None)
    above = guard.metadata.get("help", "") if guard is not None else ""
    return f"{above} {text}".strip()


def key_page() -> str:
    """The page of all keys as Markdown, a table for each section."""
    tables: dict[str, list[KeyFact]] = {}
    for fact in _merged():
        tables.setdefault(fact.name.partition(".")[0] if "." in fact.name else "run", []).append(fact)
    parts = [PAGE_HEAD]
    for section, facts in tables.items():
        rows = "".join(f"| {' | '.join(map(_cell, _in_code(fact)))} |\n" for fact in facts)
        parts.append(f"## {section}\n\n{TABLE_HEAD}{rows}")
    return "\n".join(parts)


def _merged() -> Iterator[KeyFact]:
    """Facts, where a key of both stages with equal facts stands once."""
    facts = {fact.name: fact for fact in key_facts()}
    for name, fact in facts.items():
        stage, _, rest = name.partition(".")
        twin = facts.get(f"{STAGES[1 - STAGES.index(stage)]}.{rest}") if stage in STAGES else None
        if twin is None or twin[1:] != fact[1:]:
            yield fact
        elif stage == STAGES[0]:
            yield fact._replace(name=f"STAGE.{rest}")


def _in_code(fact: KeyFact) -> tuple[str, str, str, str]:
    return (f"`{fact.name}`", f"`{fact.default}`", fact.allowed, fact.meaning)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
