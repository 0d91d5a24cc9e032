"""A user's own files named like the product's packages."""

import os
import subprocess
import sys

import pytest

from judgerlvr.config.load import ROOT


@pytest.mark.parametrize("name", ["rewards.py", "data.py", "rewards/__init__.py", "data/__init__.py"])
def test_a_users_own_module_does_not_replace_a_package(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise SystemExit('the user module was imported')\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "judgerlvr.stage1_judge", "--config", "nowhere.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: nowhere.yaml: no such config file; give --config FILE.yaml\n")


def test_a_verifier_in_the_current_folder_is_still_found(tmp_path):
    (tmp_path / "my_checks.py").write_text(
        "from rewards.types import Result\ndef verify(problem, answer):\n    return Result(1.0)\n"
    )
    code = "import judgerlvr; from rewards.verifier import load_verifier; load_verifier('my_checks:verify')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
