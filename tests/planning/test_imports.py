"""The planner serves machines without GPUs and engines."""

import subprocess
import sys
from pathlib import Path

import pytest

from judgerlvr.config.load import ROOT

SHAPES = Path(__file__).parent / "shapes"


@pytest.mark.parametrize("package", ["torch", "transformers", "verl", "vllm", "ray"])
def test_planning_imports_no_engine(package):
    modules = "plan, report, constraints, measured, machine"
    code = f"import sys; from judgerlvr.planning import {modules}; sys.exit({package!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("package", ["torch", "safetensors"])
def test_the_command_needs_no_engine(package):
    """A plan is made from config.json on a machine that has the base packages alone."""
    words = ["configs/qwen3_30b_a3b.yaml", f"model.path={SHAPES / 'qwen3-30b-a3b'}", "--phases", "planning.card=h100"]
    code = f"import sys; from judgerlvr import plan; sys.exit(plan.main({words}) or {package!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
