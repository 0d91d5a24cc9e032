"""What docs, docstrings and comments name in backticks or as a command, and whether the thing exists."""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from judgerlvr.__main__ import COMMANDS, source_file
from judgerlvr.config.load import OPEN, keys
from tests.house.texts import ROOT, code_texts, python_files, tracked, tree

SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)\1(?!`)", re.S)
FENCE = re.compile(r"^( *)```.*?^\1```", re.M | re.S)
SUFFIXES = "py|md|sh|yaml|toml|txt|json|jsonl|html|parquet|log|csv|safetensors"
FOLDERS = "judgerlvr|rewards|data|benchmarks|tests|scripts|configs|docs|examples|runs|ckpt"
# A file by its suffix, a folder by its final slash, or anything below a folder at the root.
PATH = re.compile(
    rf"(?:[\w.*<>-]+/)*[\w.*<>-]+\.(?:{SUFFIXES})|(?:[\w.*<>-]+/)+|(?:{FOLDERS})/(?:[\w.*<>-]+/)*[\w.*<>-]+"
)
OURS = ("judgerlvr", "rewards", "data", "benchmarks", "tests", "examples")
MODULE = re.compile(rf"(?:{'|'.join(OURS)})(?:\.\w+)+(?::\w+)?")
KEY = re.compile(r"([a-z_]+(?:\.[a-z_]+)+)(?:=.*|: .*)?", re.S)
STAGE_SECTIONS = ("batch", "stop", "algorithm", "optimizer", "validation", "checkpoint")
# verl's own keys that begin like ours.
VERL_KEYS = ("model.external_lib", "reward.custom_reward_function")
# A file of the user's that a docstring speaks of.
THEIRS = ("rewards.py",)
SOURCES = ("judgerlvr", "rewards", "benchmarks", "tests", "scripts", "docs", "examples")
# Written by other programs, or into folders of the reader's.
ELSEWHERE = ("/", "~", "OUT", "RUN", "DIR", "http")


@cache
def literals() -> str:
    """All string constants of the code but docstrings: the files that commands write are named there."""
    found: list[str] = []
    for path in python_files("judgerlvr/", "rewards/", "data/", "benchmarks/", "scripts/"):
        nodes = list(ast.walk(tree(path)))
        texts = {id(node.body[0].value) for node in nodes if _has_docstring(node)}
        constants = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in texts)
        found += [node.value for node in constants if isinstance(node.value, str)]
    return "\n".join(found)


def _has_docstring(node: ast.AST) -> bool:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None


@cache
def tracked_and_folders() -> frozenset[str]:
    return frozenset({*tracked(), *(str(parent) for name in tracked() for parent in Path(name).parents)})


@cache
def endings() -> frozenset[str]:
    """Every tracked path and folder, and what is left of each without its first folders."""
    parts = [name.split("/") for name in tracked_and_folders()]
    return frozenset("/".join(names[start:]) for names in parts for start in range(len(names)))


def path_exists(text: str, beside: Path) -> bool:
    """In the checkout from the root, from the file's folder or as the end of a path. Else written by the code."""
    text = text.rstrip("/")
    pattern = re.sub(r"<\w+>|(?<![A-Za-z])[A-Z][A-Z_]*(?![a-z])", "*", text)
    if (beside.parent / text).exists():
        return True
    if pattern in endings() or ("*" in pattern and fnmatch.filter(endings(), pattern)):
        return True
    package = text.partition("/")[0]
    spec = importlib.util.find_spec(package) if package.isidentifier() and "/" in text else None
    if spec and any((Path(folder).parent / text).exists() for folder in spec.submodule_search_locations or []):
        return True
    if package in SOURCES and "/" in text:
        return False
    return all(part in literals() for part in re.split(r"[/*-]+", pattern) if part)


def module_exists(text: str) -> bool:
    """A module of ours, or a name that the deepest existing module contains."""
    parts = re.split(r"[.:]", text)
    for depth in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[:depth])
        file = next((f for f in (stem.with_suffix(".py"), stem / "__init__.py") if f.is_file()), None)
        if file is None and depth > 1:
            continue
        if depth == len(parts):
            return True
        return file is not None and re.search(rf"\b{parts[depth]}\b", file.read_text(encoding="utf-8")) is not None
    return False


@cache
def known_keys() -> frozenset[str]:
    return frozenset(name for name, _ in keys())


def key_exists(name: str) -> bool:
    if name.startswith((*OPEN, *VERL_KEYS)):
        return True
    stages = [f"{stage}.{name}" for stage in ("judge", "generate") if name.partition(".")[0] in STAGE_SECTIONS]
    return any(candidate in known_keys() for candidate in (name, *stages))


def is_key(name: str, page: bool) -> bool:
    """Whether the name begins like a key. Docs also name keys from their stage on, such as ``stop.steps``."""
    sections = {key.partition(".")[0] for key in known_keys() if "." in key}
    return name.partition(".")[0] in {*sections, *(STAGE_SECTIONS if page else ())}


def span_problem(text: str, beside: Path) -> str | None:
    """What is wrong with the content of one pair of backticks, if it is a path, a name of ours or a key."""
    text = " ".join(text.split())
    if text.startswith(ELSEWHERE) or text in THEIRS:
        return None
    if MODULE.fullmatch(text) and not key_exists(text):
        return None if module_exists(text) else f"no module or name {text}"
    if PATH.fullmatch(text):
        return None if path_exists(text, beside) else f"no path {text}"
    key = KEY.fullmatch(text)
    if key and is_key(key[1], beside.suffix == ".md"):
        return None if key_exists(key[1]) else f"no key {key[1]}"
    return None


def code_lines(text: str) -> Iterator[str]:
    """Lines of fenced and indented blocks, with continued lines joined."""
    joined = text.replace("\\\n", " ")
    fenced = "\n".join(match[0] for match in FENCE.finditer(joined))
    yield from (line.strip() for line in fenced.splitlines())
    yield from (line.strip() for line in FENCE.sub("", joined).splitlines() if line.startswith("    "))


def commands(text: str) -> Iterator[list[str]]:
    """Words of each command line of ours, comments left out. The program comes first."""
    spans = (" ".join(match[2].split()) for match in SPAN.finditer(FENCE.sub("", text)))
    for line in (*code_lines(text), *spans):
        words = _split(line)
        while words and re.fullmatch(r"[A-Z_]+=\S*|\$|exec", words[0]):
            words = words[1:]
        if words[:2] in (["python", "-m"], ["python3", "-m"]) and words[2:]:
            yield words[2:]
        elif words and (words[0] in ("judgerlvr", "make") or re.fullmatch(r"scripts/\w+\.sh", words[0])):
            yield words


def _split(line: str) -> list[str]:
    try:
        return shlex.split(re.sub(r"\s#\s.*", "", line))
    except ValueError:
        return []


def missing_imports(text: str) -> list[str]:
    """Imports from our packages in code blocks whose module or name does not exist."""
    found = []
    for line in code_lines(text):
        match = re.match(r"(?:from ([\w.]+) )?import ([\w., ]+)", line)
        if match and (match[1] or match[2]).split(".")[0] in OURS:
            names = [name.strip().partition(" ")[0] for name in match[2].split(",")]
            found += [f"{match[1]}.{name}" if match[1] else name for name in names]
    return [f"no module or name {name}" for name in found if not module_exists(name)]


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def command_file(words: list[str]) -> Path | None:
    """The source of a command of ours. None for a command of another package."""
    program = words[1] if words[0] == "judgerlvr" and len(words) > 1 else words[0]
    if program in COMMANDS:
        return source_file(program)
    if program.startswith("scripts/"):
        return ROOT / program
    if program.partition(".")[0] not in OURS:
        return None
    stem = ROOT / program.replace(".", "/")
    return stem / "__main__.py" if stem.is_dir() else stem.with_suffix(".py")


@cache
def option_source(file: Path) -> str:
    """The file's text with the modules of ours that it imports, since options may be shared."""
    source = file.read_text(encoding="utf-8")
    imported = re.findall(r"^(?:from|import) ((?:judgerlvr|rewards|data|benchmarks)[\w.]+)", source, re.M)
    imported += re.findall(r"-m (judgerlvr[\w.]+)", source) if file.suffix == ".sh" else []
    files = [(ROOT / name.replace(".", "/")).with_suffix(".py") for name in imported]
    return "\n".join([source, *(path.read_text(encoding="utf-8") for path in files if path.is_file())])


def command_problem(words: list[str]) -> str | None:
    if words[0] == "make":
        missing = [word for word in words[1:2] if word not in make_targets()]
        return f"make has no target {missing[0]}" if missing else None
    file = command_file(words)
    if file is None or (words[0] == "judgerlvr" and words[1:2] in ([], ["COMMAND"])):
        return None
    if not file.is_file():
        return f"no command {words[0]}"
    for word in words[1:]:
        option = re.match(r"\[?(--[a-z][\w-]*)", word)
        if option and option[1] != "--help" and option[1] not in option_source(file):
            return f"{words[0]} has no option {option[1]}"
        key = re.fullmatch(r"\[?([a-z_]+(?:\.[a-z_]+)+)=.*", word)
        if key and not key_exists(key[1]):
            return f"{words[0]}: no key {key[1]}"
    return None


def problems(path: Path) -> list[str]:
    """Everything that the file names and that does not exist."""
    page = path.suffix == ".md"
    texts = [path.read_text(encoding="utf-8")] if page else code_texts(path)
    found: list[str | None] = []
    for text in texts:
        found += [span_problem(match[2], path) for match in SPAN.finditer(FENCE.sub("", text))]
        found += [command_problem(words) for words in commands(text)]
        found += missing_imports(text) if page else []
    return [problem for problem in found if problem]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Links to files and anchors that do not exist."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            found.append(target)
    return found
