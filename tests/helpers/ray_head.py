"""A running Ray cluster of one CPU machine that counts as a GPU machine, for tests of submission."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from judgerlvr.config.load import ROOT
from tests.helpers.ports import free_port

LIMIT = 900
# Without the script ``ray``, whose first line names the folder in which the environment was made.
RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()")


@contextmanager
def ray_head(folder):
    """The environment of someone who submits to the cluster."""
    port, gcs = free_port(), free_port()
    environment = os.environ | {"RAY_TMPDIR": str(folder), "JUDGERLVR_VENV": str(Path(sys.executable).parents[1])}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    options = [f"--port={gcs}", f"--dashboard-port={port}", "--num-cpus=16", "--num-gpus=1", "--disable-usage-stats"]
    # Ray's fixed ports would collide with any other cluster on this machine.
    options += [f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}"]
    with (folder / "head.log").open("w") as log:
        head = subprocess.Popen(
            [*RAY, "start", "--head", "--block", "--dashboard-host=127.0.0.1", *options],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    environment |= {"RAY_ADDRESS": f"http://127.0.0.1:{port}"}
    deadline = time.monotonic() + 180
    try:
        # A head node takes jobs only once its agent has registered.
        while run([*RAY, "job", "submit", "--", "true"], environment).returncode:
            assert time.monotonic() < deadline, (folder / "head.log").read_text()
            time.sleep(2)
        yield environment
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(60)


def run(words, environment=None):
    return subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=LIMIT, check=False, cwd=ROOT, env=environment
    )
