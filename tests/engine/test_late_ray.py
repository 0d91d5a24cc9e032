"""Ray whose own agents come up late, as on a machine whose cores have other work."""

import os
import signal
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from judgerlvr.cluster import remains
from judgerlvr.cluster.ray import cluster_arguments, join
from judgerlvr.cluster.ray_start import starting
from judgerlvr.cluster.session import session
from rewards.errors import CommandFailed

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# Longer than the 30 s that Ray's raylet gives its agents. Nothing outside Ray can set these.
LATE = 60.0
AGENTS = ("dashboard/agent.py", "runtime_env/agent/main.py")


@contextmanager
def late_agents(folder, seconds):
    """Stop each agent of a session as soon as it is there, and let it go on after so many seconds."""
    stopped, timers, done = set(), [], threading.Event()

    def go_on(pid):
        with suppress(OSError):
            os.kill(pid, signal.SIGCONT)

    def look():
        while not done.wait(0.05):
            for pid in set(remains.processes(folder)) - stopped:
                with suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                    if any(word.endswith(AGENTS) for word in words):
                        os.kill(pid, signal.SIGSTOP)
                        stopped.add(pid)
                        timers.append(threading.Timer(seconds, go_on, [pid]))
                        timers[-1].start()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield stopped
    finally:
        done.set()
        thread.join()
        for timer in timers:
            timer.cancel()
        for pid in stopped:
            go_on(pid)


def test_a_start_without_agents_ends_with_one_line():
    """A start that goes well here means that a newer Ray waits longer, and that the docs are to say so."""
    end = r"Ray did not start: Ray's raylet on this machine \(process \d+\) exited with 1; wait"
    with session(None) as opened, late_agents(opened.folder, LATE) as stopped:
        with pytest.raises(CommandFailed, match=end), starting(opened):
            join(**cluster_arguments("cpu", None), log_to_driver=False)
        assert len(stopped) == len(AGENTS)
    with session(None) as opened:
        assert opened.dead_part() is None
