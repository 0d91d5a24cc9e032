"""The lock of the extra bench fits beside the lock of either device."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys

import pytest

from judgerlvr.config.load import ROOT

LOCKS = ROOT / "scripts" / "locks"
DEVICES = ("cpu-py311.txt", "gpu.txt")
UV = os.environ.get("UV") or shutil.which("uv")


def versions(name):
    lines = (LOCKS / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def installed(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("device", DEVICES)
def test_no_package_has_another_version_than_the_device_lock(device):
    bench, other = versions("bench.txt"), versions(device)
    assert {
        name: (bench[name], other[name]) for name in bench.keys() & other.keys() if bench[name] != other[name]
    } == {}


def test_the_lock_has_the_version_that_the_extra_pins():
    (pinned,) = re.findall(r'bench = \["lm-eval\[ifeval\]==([\d.]+)"\]', (ROOT / "pyproject.toml").read_text())
    assert versions("bench.txt")["lm-eval"] == pinned


@pytest.mark.skipif(not installed("lm-eval"), reason="the extra bench is not installed")
def test_what_is_installed_together_fits_together():
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    names = {name.replace("_", "-").lower() for name in versions("bench.txt")}
    lines = [line for line in done.stdout.splitlines() if line.split()[0].replace("_", "-").lower() in names]
    assert lines == []


@pytest.mark.slow
@pytest.mark.skipif(UV is None, reason="uv is not here: pip install uv==0.13.9, or set UV")
@pytest.mark.parametrize("device", DEVICES)
def test_a_resolver_finds_the_lock_beside_the_device_lock(device, tmp_path):
    wanted = tmp_path / "wanted.in"
    wanted.write_text(
        "lm-eval[ifeval]\n" + "".join(f"{name}=={version}\n" for name, version in versions("bench.txt").items())
    )
    command = [UV, "pip", "compile", str(wanted), "--quiet", "--no-header", "--no-annotate", "--python-version", "3.11"]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--constraint", str(LOCKS / device)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    if "error sending request" in done.stderr or "Failed to fetch" in done.stderr:
        pytest.skip("no network")
    assert done.returncode == 0, done.stderr
    found = dict(line.split("==") for line in done.stdout.splitlines() if "==" in line)
    assert found.keys() <= versions("bench.txt").keys() | versions(device).keys()
