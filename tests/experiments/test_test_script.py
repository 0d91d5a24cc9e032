"""``scripts/test.sh`` leaves no temporary folder behind, with arguments or without."""

import os
import shutil
import subprocess

import pytest

from judgerlvr.config.load import ROOT


@pytest.mark.parametrize("arguments", [[], ["tests/rewards"]])
@pytest.mark.parametrize("status", [0, 3])
def test_no_temporary_folder_stays(tmp_path, arguments, status):
    scripts, bin_folder, temporary = tmp_path / "scripts", tmp_path / "bin", tmp_path / "temporary"
    for folder in (scripts, bin_folder, temporary):
        folder.mkdir()
    shutil.copy(ROOT / "scripts" / "test.sh", scripts)
    quiet = [scripts / "setup.sh", scripts / "test_kernels.sh", bin_folder / "ruff", bin_folder / "mypy"]
    for path, code in (dict.fromkeys(quiet, 0) | {bin_folder / "python": status}).items():
        path.write_text(f"#!/bin/sh\nexit {code}\n")
        path.chmod(0o700)
    environment = os.environ | {"TMPDIR": str(temporary), "JUDGERLVR_VENV": str(tmp_path)}
    done = subprocess.run([scripts / "test.sh", *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == status
    assert list(temporary.iterdir()) == []
