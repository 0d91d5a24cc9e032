"""Files and functions stay short, and a thing that has one door is reached by that door alone."""

import ast
from functools import cache
from statistics import median

import pytest

from tests.house.texts import ROOT, python_files, tree

LINES_OF_A_FILE, LINES_OF_A_FUNCTION, MEDIAN = 400, 80, 10
CODE = [path for path in python_files("judgerlvr/", "rewards/", "data/") if path.is_file()]
ALL = [*CODE, *python_files("tests/", "benchmarks/", "scripts/", "examples/")]
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
# What a call of the library stands for, and the files that may call it.
DOORS = {
    # Texts need no chat template, and ``hysparse`` and ``tinyworld`` lie below ``models``.
    "AutoTokenizer.from_pretrained": (
        "judgerlvr/models/directory.py",
        "judgerlvr/hysparse/conversion/source_tokenizer.py",
        "judgerlvr/tinyworld/making/trace_texts.py",
    ),
    # The others read a pipe, or a shard at offsets in bytes.
    "json.loads(line)": (
        "rewards/jsonl.py",
        "judgerlvr/cluster/forking/server.py",
        "judgerlvr/evaluation/scoring/ifeval_process.py",
        "judgerlvr/sampling/store.py",
    ),
}


@cache
def lengths() -> dict[str, int]:
    """Lines of every function, by file and name."""
    return {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in CODE
        for node in ast.walk(tree(path))
        if isinstance(node, FUNCTIONS)
    }


def test_no_file_is_long():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in ALL}
    assert {name: count for name, count in lines.items() if count >= LINES_OF_A_FILE} == {}


def test_no_function_is_long():
    assert {name: count for name, count in lengths().items() if count > LINES_OF_A_FUNCTION} == {}


def test_the_median_function_is_short():
    assert median(lengths().values()) < MEDIAN


@pytest.mark.parametrize("call", DOORS)
def test_one_door(call):
    assert {str(path.relative_to(ROOT)) for path in CODE if call in path.read_text()} == set(DOORS[call])
