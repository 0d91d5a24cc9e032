"""Commands of stages whose preparation and training are stubs."""

import pyarrow
import pyarrow.parquet
import pytest

from judgerlvr.pipeline import stages
from judgerlvr.runs.request import make_stage


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Commands in an empty folder. Training and preparation are stubs that note their arguments."""
    monkeypatch.chdir(tmp_path)
    calls = []

    def prepare(request, run_dir, *_):
        (run_dir / "data").mkdir(exist_ok=True)
        for name in ("train", "heldout"):
            pyarrow.parquet.write_table(pyarrow.table({"row": range(64)}), run_dir / "data" / f"{name}.parquet")
        calls.append("prepared")
        return make_stage(request, run_dir, 24, reward_function="rewards/verl_adapter.py:generate_score"), {}

    def train(stage, *_):
        calls.append((stage.resume_from and stage.resume_from.name, stage.settings.stop.steps))
        return stage.run_dir

    monkeypatch.setitem(stages.PREPARE, "generate", prepare)
    monkeypatch.setattr(stages, "_train", train)
    return calls
