"""Verifiers that end or hold their process, at the import and in a call: one line that names the verifier."""

import sys
from pathlib import Path

import pytest

from data.problems import check_golds
from rewards.errors import InputError
from rewards.grading.dispatcher import PoolLimits
from rewards.grading.pool import GraderPool
from rewards.types import Problem
from rewards.verifier import load_verifier

FATAL = {
    "exit": "os._exit(0)",
    "segfault": "ctypes.string_at(0)",
    "kill": "os.kill(os.getpid(), 9)",
    "term": "os.kill(os.getpid(), 15)",
}
HOLDING = {"sleep": "time.sleep(600)", "spin": "exec('while True: pass')"}
BODY = """
import ctypes, os, time
from rewards.types import Reason, Result
{at_import}
def verify(problem, answer):
    {in_call}
    return Result(1.0, Reason.CORRECT)
verify.reads = {reads!r}
"""
SHORT = PoolLimits(inner_seconds=0.2, outer_seconds=0.4)


@pytest.fixture
def verifier(tmp_path, monkeypatch):
    """Makes a module and gives the verifier's name. No other test may find the module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(at_import="pass", in_call="pass", reads="answer"):
        name = f"fatal_{tmp_path.name}_{len(made)}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(BODY.format(at_import=at_import, in_call=in_call, reads=reads))
        made.append(name)
        return f"{name}:verify"

    yield make
    for name in made:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", FATAL)
def test_a_module_that_ends_its_process_is_named(verifier, kind):
    with pytest.raises(InputError, match="ends the process when it is imported"):
        load_verifier(verifier(at_import=FATAL[kind]))


def test_a_module_that_is_never_imported_is_named(verifier, monkeypatch):
    monkeypatch.setattr("rewards.verifier.IMPORT_SECONDS", 0.5)
    with pytest.raises(InputError, match="is not imported within"):
        load_verifier(verifier(at_import="time.sleep(600)"))


@pytest.mark.parametrize("reads", ["answer", "response", "completion"])
@pytest.mark.parametrize("kind", [*FATAL, *HOLDING])
def test_a_verifier_without_any_result_is_named_after_few_problems(verifier, kind, reads):
    problems = [Problem(f"p{number}", f"{number}?", str(number)) for number in range(5000)]
    path = verifier(in_call=(FATAL | HOLDING)[kind], reads=reads)
    with GraderPool(path, workers=2, limits=SHORT) as pool, pytest.raises(InputError) as caught:
        check_golds(problems, pool, Path("problems.jsonl"))
    assert caught.value.field == "reward.verifier"


def test_a_verifier_that_gives_results_is_used(verifier):
    problems = [Problem(f"p{number}", f"{number}?", str(number)) for number in range(20)]
    with GraderPool(verifier(), workers=1, limits=SHORT) as pool:
        assert check_golds(problems, pool, Path("problems.jsonl")) == problems
