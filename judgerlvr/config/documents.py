"""Where every YAML file and YAML value of a user is read: one document that neither holds itself nor grows by aliases.

PyYAML and OmegaConf follow an alias for as long as memory lasts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

MOST_DEPTH = 50
DEEP = f"nested more than {MOST_DEPTH} levels deep"
MOST_ADDED = 10_000  # values that aliases may add to those written


class TooLarge(yaml.YAMLError):
    """A document that is nested too deeply, holds itself, or grows too much by its aliases."""


def compose(text: str) -> yaml.Node | None:
    """The tree of a YAML document, None for an empty document.

    Raises:
        yaml.YAMLError: not YAML, several documents, or ``TooLarge``.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise TooLarge(DEEP) from error
    if tree is not None:
        sizes: dict[int, int] = {}
        _measure(tree, [], sizes, {})
        if sizes[id(tree)] > len(sizes) + MOST_ADDED:
            raise TooLarge(f"aliases add more than {MOST_ADDED:,} values")
    return tree


def load_yaml(text: str) -> Any:
    """Plain data of a YAML document. Raises as ``compose``."""
    compose(text)
    return yaml.safe_load(text)


def load_tree(path: Path) -> Any:
    """A YAML file as OmegaConf reads it.

    Raises:
        yaml.YAMLError: as ``compose``.
        UnicodeDecodeError, OSError, omegaconf.errors.OmegaConfBaseException: as ``OmegaConf.load``.
    """
    compose(path.read_text(encoding="utf-8"))
    return OmegaConf.load(path)


def _measure(node: yaml.Node, above: list[int], sizes: dict[int, int], heights: dict[int, int]) -> None:
    """Fill in values and levels of each node once, with aliases followed. A node's own copy is measured already."""
    if id(node) in above:
        raise TooLarge("an alias stands within its own anchor")
    if len(above) >= MOST_DEPTH:
        raise TooLarge(DEEP)
    if id(node) not in sizes:
        inner = _children(node)
        for child in inner:
            _measure(child, [*above, id(node)], sizes, heights)
        sizes[id(node)] = 1 + sum(sizes[id(child)] for child in inner)
        heights[id(node)] = 1 + max((heights[id(child)] for child in inner), default=0)
    if len(above) + heights[id(node)] > MOST_DEPTH:
        raise TooLarge(DEEP)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
