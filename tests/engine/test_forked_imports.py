"""What a fork server imports for the processes of a stage."""

import os
import subprocess
import sys

import pytest

from judgerlvr.engine import forked_imports


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What a new process knows once it has imported the libraries, with a temporary folder of its own."""
    folder = tmp_path_factory.mktemp("imports")
    code = f"import importlib, sys; [importlib.import_module(name) for name in {forked_imports.LIBRARIES}]\n"
    code += "from torch._inductor import codecache; print('ray' in sys.modules, codecache._HEADER_DIR)"
    environment = os.environ | {"TMPDIR": str(folder), "TORCHINDUCTOR_CACHE_DIR": "/elsewhere"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    ray, headers = done.stdout.splitlines()[-1].split()
    return ray, headers, folder


def test_ray_is_not_imported_before_a_fork(imported):
    """Ray's core reads the variables of a worker at its import. A worker with those of its server dies at its start."""
    assert imported[0] == "False"


def test_nothing_is_started_on_a_gpu_or_in_a_cluster(monkeypatch):
    monkeypatch.setattr(forked_imports, "start_server", lambda *given: 1 / 0)
    forked_imports.import_once("gpu", None)
    forked_imports.import_once("cpu", "10.0.0.1:6379")


def test_precompiled_headers_lie_beside_the_compiled_code(monkeypatch, tmp_path):
    """torch joins the temporary folder of its import, and a fork inherits the import of the server."""
    given = []
    monkeypatch.setattr(forked_imports, "start_server", lambda _, variables: given.append(variables.get("TMPDIR")))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    forked_imports.import_once("cpu", None)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    forked_imports.import_once("cpu", None)
    assert given == [str(tmp_path / "compiled"), None] and (tmp_path / "compiled").is_dir()


def test_torch_takes_the_temporary_folder_of_its_import(imported):
    _, headers, folder = imported
    assert headers.startswith(str(folder))
