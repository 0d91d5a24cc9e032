"""Fixtures shared by all areas: stages that need no model, and the folder of real data."""

import os
from pathlib import Path

import hypothesis
import pytest

from judgerlvr.config.load import load_config
from judgerlvr.runs.stage import Stage

# An example takes seconds where an import falls into it, or where other work holds the machine.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture
def test_data() -> Path:
    folder = os.environ.get("JUDGERLVR_TEST_DATA")
    if not folder:
        pytest.skip("JUDGERLVR_TEST_DATA is not set")
    return Path(folder)


@pytest.fixture
def make_stage(tmp_path):
    """Stage of the embedded default with overrides, rooted in a temporary run folder."""

    def make(kind="generate", device="cpu", overrides=(), **fields):
        values = {
            "init": tmp_path / "init",
            "train": tmp_path / "train.parquet",
            "heldout": tmp_path / "heldout.parquet",
            "prompts_per_step": 32,
            "reward_function": "rewards/verl_adapter.py:generate_score",
        }
        config = load_config("configs/tiny.yaml", list(overrides))
        return Stage(kind=kind, config=config, run_dir=tmp_path, device=device, **(values | fields))

    return make
