"""Wrong set-ups of a real cluster, on one node or the driver. The doctor says one line in 30 s on free cores."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field

import psutil
import pytest

from judgerlvr.config.load import ROOT
from tests.helpers.two_nodes import HEAD, TOKEN, head, second

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.getuid() != 0, reason="mounts need the rights of root")]
LIMIT = 30.0
BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"


@dataclass
class Setup:
    """``script`` runs before Ray in a mount namespace of the node. ``driver`` is the environment of the doctor."""

    says: str
    script: str = ""
    node: dict = field(default_factory=dict)
    driver: dict = field(default_factory=dict)
    words: tuple = ()
    signal: int = 0
    cpus: int = 16
    # The doctor goes on after a fault, and the check of the driver's own disk finds the same fault. A start does not.
    rows: int = 1


WRONG = {
    "version of verl": Setup("verl 0.8.0 found", node={"PYTHONPATH": "{folder}/skew-verl"}),
    "version of transformers": Setup("has transformers 1.0.0", node={"PYTHONPATH": "{folder}/skew-transformers"}),
    "path not shared": Setup("the driver's file is not there", "mount -t tmpfs none {folder}/shared"),
    "path read-only": Setup(
        "cannot be written", "mount --bind {folder}/shared {folder}/shared; mount -o remount,ro,bind {folder}/shared"
    ),
    "no policy there": Setup("cannot read {folder}/policy", "mount -t tmpfs none {folder}/policy"),
    "another policy there": Setup("the driver sees", "mount --bind {folder}/other {folder}/policy"),
    "small shared memory": Setup("of /dev/shm", "mount -t tmpfs -o size=32m none /dev/shm"),
    "full temporary folder": Setup(
        "GiB free in {folder}/temporary",
        "mount -t tmpfs -o size=100m none {folder}/temporary",
        node={"TMPDIR": "{folder}/temporary"},
    ),
    "few open files": Setup("allows 900 open files", "ulimit -n 900"),
    "node that is gone": Setup("does not answer within 15 s", signal=signal.SIGSTOP),
    "too few CPUs": Setup("Ray offers", cpus=2),
    "too few GPUs": Setup("3 machines of 1 GPU are asked for", words=("cluster.nodes=3",)),
    "token missing": Setup("refuses this process", driver={"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": ""}),
    "wrong token": Setup("refuses this process", driver={"RAY_AUTH_TOKEN": "f" * 64}),
    "refused port": Setup("nothing answers at 127.0.0.1:9", driver={"RAY_ADDRESS": "127.0.0.1:9"}),
    "head unreachable": Setup("nothing answers at {silent} (timed out)", driver={"RAY_ADDRESS": "{silent}"}),
    "wrong scheme": Setup("is the address of a dashboard", driver={"RAY_ADDRESS": "http://127.0.0.1:8265"}),
    "private cluster": Setup("would start a private cluster", driver={"RAY_ADDRESS": "local"}),
    "folder that nobody may write": Setup("the driver cannot write there", words=("runs=/proc/runs",), rows=2),
    "full disk": Setup("GiB free for {folder}/small/runs", words=("runs={folder}/small/runs",), rows=2),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("nodes")
    for name in ("shared", "temporary", "small"):
        (made / name).mkdir()
    shutil.copytree(BASE, made / "policy")
    shutil.copytree(BASE, made / "other")
    (made / "other" / "model.safetensors").write_bytes(b"short")
    for package, version in (("verl", "0.8.0"), ("transformers", "1.0.0")):
        metadata = made / f"skew-{package}" / f"{package}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "none", made / "small"], check=True)
    yield made
    subprocess.run(["umount", made / "small"], check=True)


@pytest.fixture(scope="module")
def address(folder):
    """A head without CPUs and GPUs, which takes no part in training."""
    with head(folder, 0, 0) as found:
        yield found


@pytest.fixture(scope="module")
def silent():
    """An address that neither takes nor refuses a connection, since the queue of connections is full."""
    with socket.socket() as server, socket.socket() as waiting:
        server.bind((HEAD, 0))
        server.listen(0)
        waiting.connect(server.getsockname())
        yield f"{HEAD}:{server.getsockname()[1]}"


def doctor(folder, address, driver, words):
    """(exit code, faults, seconds) of the doctor on the driver."""
    environment = os.environ | TOKEN | {"RAY_ADDRESS": address} | driver
    given = [f"model.path={folder}/policy", f"runs={folder}/shared/runs", "data.tiny_train=40", *words]
    started = time.monotonic()
    command = [sys.executable, "-m", "judgerlvr.doctor", "generate", "--config=configs/tiny.yaml", *given]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    faults = [line for line in lines if line.startswith(("fault ", "error: "))]
    return done.returncode, faults, time.monotonic() - started


def filled(text, folder):
    return text.replace("{folder}", str(folder))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_set_up_is_one_line_in_time(folder, address, silent, name):
    setup = WRONG[name]
    driver = {key: value.replace("{silent}", silent) for key, value in setup.driver.items()}
    before = ["unshare", "-m", "bash", "-ec", f'{filled(setup.script or ":", folder)}; exec "$@"', "node"]
    node = {key: filled(value, folder) for key, value in setup.node.items()}
    # A fault of the driver needs no second node.
    alone = nullcontext() if setup.driver else second(folder, address, setup.cpus, before=before, environment=node)
    with alone as started:
        if setup.signal:
            started.signal(setup.signal)
        words = [filled(word, folder) for word in setup.words]
        code, faults, seconds = doctor(folder, address, driver, words)
    print(f"{name}: the doctor took {seconds:.1f} s at a load of {os.getloadavg()[0]:.1f}")
    assert code == 2 and len(faults) == setup.rows, faults
    assert filled(setup.says, folder).replace("{silent}", silent) in faults[0]
    # Other work on the machine takes its share of each core.
    assert seconds < LIMIT * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_a_head_that_hangs_is_one_line_in_time(folder, tmp_path_factory):
    """The port answers, since the kernel takes connections for a process that does not run."""
    # A short name, since the paths of Ray's sockets are bounded.
    with head(tmp_path_factory.mktemp("hung"), 0, 0) as address:
        port = address.rpartition(":")[2]
        servers = [process for process in psutil.process_iter(["name", "cmdline"]) if is_head(process.info, port)]
        assert len(servers) == 1
        servers[0].suspend()
        try:
            code, faults, seconds = doctor(folder, address, {}, ())
        finally:
            servers[0].resume()
    assert code == 2 and len(faults) == 1 and "no head of Ray answers" in faults[0]
    assert seconds < LIMIT


def is_head(process, port):
    return process["name"] == "gcs_server" and any(port in word for word in process["cmdline"] or [])


def test_the_right_set_up_passes(folder, address):
    with second(folder, address):
        code, faults, _ = doctor(folder, address, {}, ())
    assert (code, faults) == (0, [])
