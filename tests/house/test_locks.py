"""The lock files hold what pyproject.toml asks for, and the extra bench fits beside the lock of either device."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = {"cpu": "cpu-py311.txt", "gpu": "gpu.txt"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# scripts/setup.sh installs PyTorch's CPU build before the lock.
NOT_IN_CPU_LOCK = {"torch"}


def locked(name):
    """Versions of a lock by package, without the local part of a build such as +cpu."""
    found = {}
    for line in (ROOT / "scripts" / "locks" / name).read_text().splitlines():
        if pinned := re.match(r"([\w.-]+)(?:\[[^]]*\])?==([^\s;+]+)", line):
            found[canonicalize_name(pinned[1])] = pinned[2]
    return found


def unmet(wanted, versions, left_out=()):
    """Requirements that the versions lack."""
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name not in left_out and not requirement.specifier.contains(versions.get(name, ""), prereleases=True):
            yield str(requirement)


def test_a_planted_requirement_is_found():
    assert list(unmet(["a>=2", "b", "c[x]==1"], {"a": "1", "b": "1", "c": "1"})) == ["a>=2"]


@pytest.mark.parametrize("device", LOCKS)
def test_a_lock_holds_every_requirement_of_its_extra(device):
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][device]]
    left_out = NOT_IN_CPU_LOCK if device == "cpu" else ()
    assert list(unmet(wanted, locked(LOCKS[device]), left_out)) == []


@pytest.mark.parametrize("device", LOCKS)
def test_the_lock_of_bench_contradicts_no_lock_of_a_device(device):
    bench, beside = locked("bench.txt"), locked(LOCKS[device])
    assert list(unmet(PROJECT["optional-dependencies"]["bench"], bench)) == []
    assert {name for name in bench.keys() & beside.keys() if bench[name] != beside[name]} == set()


@pytest.mark.slow
@pytest.mark.parametrize("device", LOCKS)
def test_a_resolver_takes_bench_and_the_lock_of_a_device_together(device, tmp_path):
    """Pip's resolver chooses all packages of the extra anew, and no version outside both locks. Needs an index."""
    report, locks = tmp_path / "report.json", ROOT / "scripts" / "locks"
    constraints = [word for name in ("bench.txt", LOCKS[device]) for word in ("--constraint", str(locks / name))]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--report", str(report)]
    command += ["--quiet", *constraints, *PROJECT["optional-dependencies"]["bench"]]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No matching distribution" in done.stderr or "Connection" in done.stderr:
        pytest.skip("no index of packages is in reach")
    assert done.returncode == 0, done.stderr[-2000:]
    chosen = {
        item["metadata"]["name"]: item["metadata"]["version"] for item in json.loads(report.read_text())["install"]
    }
    allowed = locked("bench.txt") | locked(LOCKS[device])
    outside = {name: version for name, version in chosen.items() if allowed.get(canonicalize_name(name)) != version}
    assert len(chosen) > 50 and outside == {}
