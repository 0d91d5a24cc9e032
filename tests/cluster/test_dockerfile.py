"""The Dockerfile builds from files of the checkout, with the lock's Python."""

import re

from judgerlvr.config.load import ROOT

TEXT = (ROOT / "docker" / "gpu.Dockerfile").read_text()


def test_every_copied_path_exists():
    sources = re.findall(r"^COPY (\S+) ", TEXT, re.M)
    assert sources
    assert all((ROOT / source).exists() for source in sources)


def test_the_python_is_that_of_the_lock():
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)", TEXT, re.M)
    assert f"Python {version}" in (ROOT / "scripts" / "locks" / "gpu.txt").read_text().splitlines()[0]


def test_what_builds_the_package_is_in_the_lock():
    """pip without isolation needs the build backend among the installed packages."""
    assert re.search(r"^setuptools==", (ROOT / "scripts" / "locks" / "gpu.txt").read_text(), re.M)
