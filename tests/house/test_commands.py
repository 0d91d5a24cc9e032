"""Commands answer ``--help`` at once, and the list of commands holds every command."""

import os
import resource
import subprocess
import sys

import pytest

from judgerlvr.__main__ import COMMANDS, main, summary
from tests.house.texts import ROOT, python_files

# A person who asks for help waits for nothing: no command of this list may pay for an engine's imports.
PROCESSOR_SECONDS = 0.5
HEAVY = ("torch", "transformers", "ray", "vllm", "verl")
MODULES = [*(f"judgerlvr.{name}" for name in COMMANDS), "rewards.grade_file", "data.gsm8k_solutions"]

# Prints the help, then the names of heavy packages among the imported modules, on a line of its own.
PROBE = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
print("\\nheavy:", *sorted({name.partition(".")[0] for name in sys.modules} & set(%r)))
"""


def help_of(module):
    """(standard output, processor seconds) of a fresh process that prints the help of ``module``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", PROBE % (HEAVY,), module],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# Importing these modules still imports torch or transformers. Remove a name when its command is light.
HEAVY_TODAY = set(MODULES) - {"judgerlvr.tinyworld", "rewards.grade_file"}
REASON = "imports an engine package before it reads its arguments"


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=REASON, strict=True) if name in HEAVY_TODAY else ())
        for name in MODULES
    ],
)
def test_help_is_light(module):
    output, seconds = help_of(module)
    shown, _, heavy = output.rpartition("heavy:")
    assert "usage:" in shown
    assert heavy.split() == []
    assert seconds < PROCESSOR_SECONDS


def test_every_module_with_an_entry_point_is_a_command():
    files = [path for path in python_files("judgerlvr/") if '__name__ == "__main__"' in path.read_text()]
    names = {".".join(path.relative_to(ROOT / "judgerlvr").with_suffix("").parts) for path in files} - {"__main__"}
    assert {name.removesuffix(".__main__") for name in names} == set(COMMANDS)


def test_the_list_shows_each_command_with_its_summary(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in COMMANDS:
        assert any(line.split(maxsplit=1) == [name, summary(name)] for line in lines)


def test_a_command_gets_the_arguments_after_its_name(capsys, tmp_path):
    assert main(["tinyworld", str(tmp_path), "--train", "3", "--heldout", "2"]) == 0
    assert len((tmp_path / "train.jsonl").read_text().splitlines()) == 3


def test_an_unknown_command_names_the_nearest(capsys):
    assert main(["stage1_jugde"]) == 2
    assert "did you mean 'stage1_judge'?" in capsys.readouterr().err
