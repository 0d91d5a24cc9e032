"""The shell scripts parse, and shellcheck finds nothing where shellcheck is installed."""

import shutil
import subprocess

import pytest

from tests.house.texts import ROOT, tracked

SCRIPTS = [name for name in tracked() if name.endswith(".sh")]


def test_every_shell_script_parses():
    assert SCRIPTS
    for name in SCRIPTS:
        subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_shellcheck_finds_nothing():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    folder = f"{ROOT}/scripts/"
    files = [ROOT / name for name in SCRIPTS if f"{ROOT}/{name}".startswith(folder)]
    done = subprocess.run(["shellcheck", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
