"""Ray whose own agents come up late, as on a machine whose cores have other work."""

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import ray

from judgerlvr.cluster import remains
from judgerlvr.cluster.ray import cluster_arguments, join
from judgerlvr.cluster.ray_start import starting
from judgerlvr.cluster.session import session

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# Longer than both waits of Ray, of 30 s each.
LATE = 40.0
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


def test_ray_with_late_agents_starts():
    begun = time.monotonic()
    with session(None) as opened, late_agents(opened.folder, LATE) as stopped, starting(opened):
        join(**cluster_arguments("cpu", None), log_to_driver=False)
        assert time.monotonic() - begun > LATE
        assert len(stopped) == len(AGENTS)
        assert ray.get(ray.remote(num_cpus=0)(lambda: 7).remote(), timeout=120) == 7
