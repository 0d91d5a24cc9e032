"""``--help`` of every command is quick, small and starts no engine."""

import ast
import os
import resource
import subprocess
import sys
from functools import cache

import pytest

from judgerlvr.__main__ import COMMANDS
from judgerlvr.config.load import ROOT

HEAVY = ("torch", "transformers", "ray", "vllm", "verl", "pandas", "pyarrow", "sympy", "scipy", "statsmodels")
# Half a processor second on a quiet core of a server, where the reference takes a sixth. Other work slows both.
REFERENCE, TIMES = "import omegaconf", 3.0
MEGABYTES = 64


def commands() -> list[str]:
    """Every listed command, and the modules of the other packages that take a command line."""
    found = [f"judgerlvr.{name}" for name in COMMANDS]
    for top in ("rewards", "data"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "OneLineParser(" in (source := path.read_text()) and '__name__ == "__main__"' in source:
                found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


@pytest.mark.parametrize("module", commands())
def test_help_is_quick_and_imports_nothing_heavy(module):
    probe = (
        "import runpy, sys\n"
        f"sys.argv = [{module!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        # The peak since exec. getrusage would count the memory of the process that forked too.
        "peak = open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]\n"
        f"assert int(peak) < {MEGABYTES * 1024}, peak\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    assert is_quick(probe)


def is_quick(probe: str) -> bool:
    """Whether a command's help takes its share of processor seconds. The help imports nothing heavy.

    The first try takes the reference of the whole test run. Other work on the cores slows now one, now the other, so
    later tries compare the quickest help with the slowest reference.
    """
    helps, references = list[float](), list[float]()
    for reference in (first_reference, fresh_reference, fresh_reference):
        seconds, printed = run(probe)
        assert ast.literal_eval(printed.rpartition("HEAVY ")[2]) == []
        helps.append(seconds)
        references.append(reference())
        if min(helps) < TIMES * max(references):
            return True
    return False


def fresh_reference() -> float:
    return run(REFERENCE)[0]


first_reference = cache(fresh_reference)


def run(code: str) -> tuple[float, str]:
    """Processor seconds and output of code that succeeds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout
