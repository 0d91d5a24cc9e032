"""Every text of the checkout that a person reads, with its place: pages, docstrings and comments."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIRECTIVE = re.compile(r"#\s*(!|noqa|type:|fmt|ruff|mypy)")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def tracked() -> tuple[str, ...]:
    """Files that git tracks or would track, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


def pages() -> list[Path]:
    """README, CONTRIBUTING, CHANGELOG, docs and examples. Records of measurements stay as they were written."""
    folders = ("docs/", "examples/")
    return [ROOT / name for name in tracked() if name.endswith(".md") and ("/" not in name or name.startswith(folders))]


def python_files(*folders: str) -> list[Path]:
    return [ROOT / name for name in tracked() if name.endswith(".py") and name.startswith(tuple(folders))]


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file, which several checks walk."""
    return ast.parse(path.read_text(encoding="utf-8"))


def docstrings(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text


def comments(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not DIRECTIVE.match(token.string):
            yield token.string.lstrip("# ")


@cache
def code_texts(path: Path) -> tuple[str, ...]:
    """Docstrings and comments of a Python file."""
    return (*docstrings(tree(path)), *comments(path.read_text(encoding="utf-8")))
