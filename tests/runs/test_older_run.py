"""A run folder that the writers of commit 739bd54 made is continued, reported, and the start of other runs."""

import shutil
from pathlib import Path

import pytest

from judgerlvr.models.identity import model_hash
from judgerlvr.reporting.runs import read_run
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.folder import defaults_taken, open_run
from judgerlvr.runs.manifest import parent_run
from judgerlvr.runs.metrics import MEAN_TOKENS
from judgerlvr.runs.policy_card import read_card
from judgerlvr.runs.resume_state import load_stage
from rewards.errors import InputError

WRITTEN = Path(__file__).parent / "older_run"


@pytest.fixture
def older(tmp_path):
    """The folder with two checkpoints. RUN stands for its place in the files."""
    folder = tmp_path / "judge"
    shutil.copytree(WRITTEN, folder)
    for path in folder.iterdir():
        path.write_text(path.read_text().replace("RUN", str(folder)))
    for name in ("train", "heldout"):
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / f"{name}.parquet").write_text(name)
    for policy in (folder / "init", *(folder / "checkpoints" / f"global_step_{step}" / "policy" for step in (1, 2))):
        policy.mkdir(parents=True)
        (policy / "config.json").write_text("{}")
    for step in (1, 2):
        (folder / "checkpoints" / f"global_step_{step}" / SEAL).write_text("{}")
    return folder


def test_the_run_goes_on_from_its_newest_checkpoint(older):
    opened = open_run(older, "judge")
    stage = load_stage(opened, None)
    assert opened.checkpoint.name == "global_step_2"
    assert (stage.settings.stop.steps, stage.prompts_per_step, stage.tokens_before) == (6, 32, 0)
    assert stage.init == older / "init" and stage.train == older / "data" / "train.parquet"
    assert Path(stage.reward_function.rpartition(":")[0]).is_file()
    assert "lacks newer keys" in defaults_taken(older)


def test_the_run_does_not_go_on_with_other_data(older):
    (older / "data" / "train.parquet").write_text("other")
    with pytest.raises(InputError, match="differs from what the run began with"):
        load_stage(open_run(older, "judge"), None)


def test_the_report_reads_the_run(older):
    run = read_run(older)
    assert run.config_problem == "" and run.config.judge.stop.steps == 6
    # The metric had another name then.
    assert [row.values[MEAN_TOKENS.name] for row in run.training] == [61, 62, 63]
    assert run.manifest.counts["candidates"] == 80
    assert run.manifest.parent.hash == model_hash(older / "init")


def test_the_runs_policy_starts_another_run(older):
    policy = older / "checkpoints" / "global_step_2" / "policy"
    assert parent_run(policy) == "judge"
    assert read_card(policy) is None
