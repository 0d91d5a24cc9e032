"""The planner serves machines without GPUs and engines."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["torch", "transformers", "verl", "vllm", "ray"])
def test_planning_imports_no_engine(package):
    modules = "plan, report, constraints, measured, machine"
    code = f"import sys; from judgerlvr.planning import {modules}; sys.exit({package!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
