"""Sampled code that means harm: nothing happens, the score is 0, and the reason has a name."""

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from judgerlvr.evaluation.scoring import code_tests, sandbox
from judgerlvr.evaluation.scoring.code import CodeGrader, code_of
from judgerlvr.evaluation.scoring.limits import Limits, reason_of
from judgerlvr.evaluation.scoring.sandbox import run_python
from judgerlvr.evaluation.tasks import TASKS
from rewards.types import Problem
from tests.helpers.benchmark_items import code, fixtures

WHY = sandbox.why_unavailable()
needs_sandbox = pytest.mark.skipif(WHY is not None, reason=str(WHY))
QUICK = Limits(seconds=1)
FORK_BOMB = """
import os
while True:
    os.fork()
"""
COUNT_FORKS = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        made += 1
except OSError:
    print(made, flush=True)
    os._exit(0)
"""
ALLOCATE_TOGETHER = """
import os
held = bytearray({size} << 20)
print(len(held) >> 20)
"""
LOOK_AROUND = """
import os
print(sorted(os.listdir('/')), dict(os.environ).keys() - {'PWD', 'LC_CTYPE'}, os.listdir('/tmp'))
"""
WRITE_EVERYWHERE = """
import os
written = []
for folder, inner, _ in os.walk('/'):
    if folder.startswith('/proc') or folder.count('/') > 2:
        inner.clear()
        continue
    try:
        open(folder + '/planted', 'w').write('x')
        written.append(folder)
    except OSError:
        pass
print(written)
"""
FILL = """
import tempfile
written = 0
try:
    for place in range(64):
        with open(f'{tempfile.gettempdir()}/{place}', 'wb') as file:
            for _ in range(8):
                written += file.write(bytes(1 << 20))
                file.flush()
except OSError:
    pass
print(written >> 20)
"""
CONNECT = "import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
HARM = {
    "fork bomb": (FORK_BOMB, "code_process_limit"),
    "threads": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        "code_process_limit",
    ),
    "memory": ("held = bytearray(8 << 30)", "code_memory_limit"),
    "endless loop": ("while True: pass", "code_timeout"),
    "endless sleep": ("import time; time.sleep(999)", "code_timeout"),
    "endless output": ("while True: print('x' * 1_000_000)", "code_output_limit"),
    "a file outside": ("print(open('/etc/passwd').read())", "code_file_access"),
    "a system file": ("open('/usr/bin/planted', 'w')", "code_file_access"),
    "network": ("import socket; socket.create_connection(('1.1.1.1', 53), 2)", "code_network_access"),
    "a name": ("import socket; socket.gethostbyname('example.org')", "code_network_access"),
    "a crash": ("1 / 0", "code_crashed"),
    "a kill": ("import os, signal; os.kill(-1, signal.SIGKILL)", None),
}


@needs_sandbox
@pytest.mark.parametrize("name", HARM)
def test_harmful_code_scores_0_under_a_named_reason(name):
    text, reason = HARM[name]
    row = fixtures()["livecodebench_v6"].rows[0]
    problem = TASKS["livecodebench_v6"].to_problem(row)
    before = time.monotonic()
    (result,) = CodeGrader(limits=QUICK).grade_many([(problem, code(text))])
    assert result.score == 0.0
    assert reason is None or str(result.reason) == reason
    assert time.monotonic() - before < QUICK.wall_seconds + 4
    assert not Path("/usr/bin/planted").exists()


# Outputs of a function that end the process before its result is written. The grader reads them outside of the walls.
WRITTEN = {
    "nested": "b'[' * 200_000",
    "closed": "b'[' * 200_000 + b']' * 200_000",
    "digits": "b'9' * 5_000",
    "no text": "b'\\xff\\xfe'",
    "no number": "b'[NaN]'",
    "long": "b'[' + b'[],' * 20_000_000 + b'[]]'",
}
DIRECTLY = """
class Solution:
    def tripled(self, values):
        import os
        os.write(1, {text})
        os._exit(0)
"""


@needs_sandbox
@pytest.mark.parametrize("name", WRITTEN)
def test_any_output_of_a_function_is_a_wrong_answer_and_no_exception(name):
    """An output that Python's JSON reader gives up on ended the whole benchmark."""
    problem = TASKS["livecodebench_v6"].to_problem(fixtures()["livecodebench_v6"].rows[2])
    (result,) = CodeGrader().grade_many([(problem, code(DIRECTLY.format(text=WRITTEN[name])))])
    assert (result.score, str(result.reason)) == (0.0, "wrong")


@pytest.mark.parametrize("found", ["x\n" * 20_000_000, "x " * 20_000_000, "[]," * 20_000_000])
@pytest.mark.parametrize("function", [None, "f"])
def test_a_long_output_costs_no_memory_beside_its_text(found, function):
    """Each token of an output of 64 MiB was a string of its own: minutes and gigabytes outside of the walls."""
    tracemalloc.start()
    try:
        assert not code_tests.same_output(found, "[3]", function)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * len(found)
    finally:
        tracemalloc.stop()


@needs_sandbox
@pytest.mark.parametrize("processes", [1, 3, 9])
def test_the_process_limit_binds_also_for_root(processes):
    limits = Limits(seconds=2, processes=processes)
    assert int(run_python(COUNT_FORKS, b"", limits).output) == processes - 1


@needs_sandbox
def test_runs_side_by_side_do_not_share_the_process_limit():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: run_python(COUNT_FORKS, b"", Limits(seconds=2)), range(4)))
    assert {int(run.output) for run in runs} == {Limits().processes - 1}


@needs_sandbox
@pytest.mark.parametrize("megabytes", [256, 768])
def test_the_memory_limit_is_the_stated_size(megabytes):
    limits = Limits(megabytes=megabytes)
    fits = run_python(ALLOCATE_TOGETHER.format(size=megabytes - 128), b"", limits)
    over = run_python(ALLOCATE_TOGETHER.format(size=megabytes + 1), b"", limits)
    assert (fits.failure, int(fits.output), str(over.failure)) == (None, megabytes - 128, "code_memory_limit")


@needs_sandbox
def test_only_system_folders_are_there_and_the_environment_is_empty():
    done = run_python(LOOK_AROUND, b"", QUICK)
    names = "['bin', 'dev', 'lib', 'lib64', 'proc', 'program.py', 'tmp', 'usr']"
    assert done.output.decode().strip() == f"{names} set() []"


@needs_sandbox
def test_only_the_scratch_folder_is_writable_and_no_process_sees_another_run():
    assert run_python(WRITE_EVERYWHERE, b"", Limits(seconds=20)).output.decode().strip() == "['/tmp']"
    assert run_python("import os; print(os.listdir('/tmp'))", b"", QUICK).output.strip() == b"[]"
    seen = run_python("import os; print(sum(name.isdigit() for name in os.listdir('/proc')))", b"", QUICK)
    assert int(seen.output) <= 3


@needs_sandbox
@pytest.mark.parametrize("megabytes", [16, 48])
def test_the_scratch_folder_has_a_fixed_size(megabytes):
    written = int(run_python(FILL, b"", Limits(seconds=5, scratch_megabytes=megabytes)).output)
    assert megabytes - 4 <= written <= megabytes


@needs_sandbox
def test_a_server_of_this_machine_is_out_of_reach():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        done = run_python(CONNECT.format(port=server.getsockname()[1]), b"", QUICK)
    assert str(done.failure) == "code_network_access"


@needs_sandbox
def test_the_end_of_a_run_ends_all_its_processes():
    text = "import os, time\nif os.fork() == 0:\n    os.setsid()\ntime.sleep(999)"
    assert str(run_python(text, b"", QUICK).failure) == "code_timeout"
    end = time.monotonic() + 5
    while (left := running()) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def running():
    """Processes of this machine that run a program behind the walls."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [command for command in commands if b"/program.py" in command]


@needs_sandbox
def test_the_code_is_not_root_outside():
    done = run_python("print(open('/proc/self/uid_map').read().split()[1])", b"", QUICK)
    assert int(done.output) != 0


@needs_sandbox
def test_a_pickle_that_runs_code_is_decoded_behind_the_walls(tmp_path):
    import base64
    import pickle
    import zlib

    target = tmp_path / "planted"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {target}",)

    text = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(Exception, match="no tests can be decoded"):
        code_tests.read_tests({"public_test_cases": "[]", "private_test_cases": text})
    assert not target.exists()


@needs_sandbox
def test_code_cannot_read_what_is_expected():
    """A claim to have passed is an output like all others."""
    text = "import os, sys; print([n for n in os.listdir('/proc/self/fd')], 'passed', True); sys.exit(0)"
    row = fixtures()["livecodebench_v6"].rows[0]
    (result,) = CodeGrader().grade_many([(TASKS["livecodebench_v6"].to_problem(row), code(text))])
    assert str(result.reason) == "wrong"


def test_without_a_sandbox_the_reason_is_one_line(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None if name == "bwrap" else f"/usr/bin/{name}")
    assert sandbox.why_unavailable() == "no bwrap here; run: apt-get install bubblewrap util-linux python3"


def test_unsandboxed_code_keeps_its_limits():
    assert run_python("print(input())", b"7\n", QUICK, sandboxed=False).output == b"7\n"
    assert str(run_python("while True: pass", b"", QUICK, sandboxed=False).failure) == "code_timeout"


@pytest.mark.parametrize(
    ("found", "expected", "function", "same"),
    [
        ("3\n", "3", None, True),
        ("3.0", "3", None, True),
        ("3 4\n5\n", "3 4 \n5\n\n", None, True),
        ("3 4 5", "3 4\n5", None, False),
        ("3 4 5", "3 4", None, False),
        ("3 4", "3 4 5", None, False),
        ('["\\u00e9"]', '["é"]', "f", True),
        ("1.0", "1", "f", True),
        ("nan", "0", None, False),
        ("[1, 2]", "[1,2]", "f", True),
        ("[2, 1]", "[1,2]", "f", False),
        ("null", "null", "f", True),
        ("", "[]", "f", False),
    ],
)
def test_outputs_are_compared_by_lines_and_tokens_or_as_json(found, expected, function, same):
    assert code_tests.same_output(found, expected, function) is same


HIDDEN_BUILTINS = """
import builtins as own
print([name for name in vars(own) if name[0] != "_" and globals().get(name, vars(own)[name]) is not vars(own)[name]])
"""


@needs_sandbox
@pytest.mark.parametrize(
    ("text", "output"),
    [
        (HIDDEN_BUILTINS, "[]"),
        ("print(pow(3, 200, 1_000_007), pow(2, 3))", f"{pow(3, 200, 1_000_007)} 8"),
        ("'A program.'\nfrom __future__ import annotations\ndef f(x: Unknown): return x\nprint(f(7))", "7"),
        (
            "print(copy.copy([1]), datetime.date(2025, 1, 4), gcd(6, 4), Counter('aa'))",
            "[1] 2025-01-04 2 Counter({'a': 2})",
        ),
        ("value: Optional[List[int]] = deepcopy([1]); print(value, statistics.mean([1, 3]))", "[1] 2"),
    ],
)
def test_a_program_has_the_builtins_and_the_usual_modules(text, output):
    done = run_python(code_tests.program_of(text, None), b"", QUICK)
    assert (done.failure, done.output.decode().strip()) == (None, output)


def test_the_last_block_of_code_counts():
    assert code_of("```python\na\n```\nbetter:\n```py\nb\n```\n") == "b\n"
    assert code_of("```\n\n```") is None and code_of("no code") is None


def test_an_error_without_text_is_a_crash():
    assert str(reason_of("")) == "code_crashed"


def test_a_problem_without_tests_is_refused():
    with pytest.raises(Exception, match="public_test_cases"):
        code_tests.read_tests({"public_test_cases": "{", "private_test_cases": "[]"})
    assert Problem("1", "x").meta == {}
