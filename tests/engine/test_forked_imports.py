"""What a fork server imports for the processes of a stage."""

import subprocess
import sys

from judgerlvr.engine import forked_imports


def test_ray_is_not_imported_before_a_fork():
    """Ray's core reads the variables of a worker at its import. A worker with those of its server dies at its start."""
    code = f"import importlib, sys; [importlib.import_module(name) for name in {forked_imports.LIBRARIES}]"
    code += "; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_started_on_a_gpu_or_in_a_cluster(monkeypatch):
    monkeypatch.setattr(forked_imports, "start_server", lambda *given: 1 / 0)
    forked_imports.import_once("gpu", None)
    forked_imports.import_once("cpu", "10.0.0.1:6379")
