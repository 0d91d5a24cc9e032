"""Each record that a run reads back, each part left out or of another type: a line that names the file, or a reading.

The damage is generated from records that the product's own writers made.
"""

import json
import random

import pytest

from judgerlvr.config.load import to_yaml
from judgerlvr.export.whole import check_checkpoint
from judgerlvr.reporting.runs import read_run
from judgerlvr.runs.checkpoints import SEAL, read_seal
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.folder import CONFIG, FAILURE, end_of, open_run, read_failure, write_failure
from judgerlvr.runs.lock import LOCK, held, seems_held
from judgerlvr.runs.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from judgerlvr.runs.metrics import METRICS, append_row, merge_steps, read_metrics
from judgerlvr.runs.resume_state import load_stage, save_stage
from judgerlvr.runs.rollout_log import ROLLOUTS, LoggedRollout, read_steps, write_step
from judgerlvr.runs.stage import STATE
from rewards.errors import InputError, one_line
from tests.helpers.json_damage import damaged
from tests.helpers.model_damage import broken_json
from tests.helpers.run_folders import step_row, write_checkpoint

CHECKPOINT = "checkpoints/global_step_2"
RANK = f"{CHECKPOINT}/actor/model_world_size_1_rank_0.pt"


@pytest.fixture
def run(tmp_path, make_stage):
    """A run folder with one of each record."""
    for name in ("train", "heldout"):
        (tmp_path / f"{name}.parquet").write_text(name)
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "config.json").write_text("{}")
    stage = make_stage()
    save_stage(stage)
    write_atomically(tmp_path / CONFIG, to_yaml(stage.config))
    facts = {"versions": {"torch": "2"}, "engine": {"name": "ours", "ranks": 1}, "counts": {"problems": 7}}
    write_manifest(tmp_path, Manifest("run", "generate", device="cpu", seed=0, steps=3, prompts_per_step=32, **facts))
    append_row(tmp_path / METRICS, step_row(2, "generate"))
    write_step(tmp_path / ROLLOUTS, 2, [LoggedRollout(2, "p1", 0, "1+1?", "2", 1.0, "correct", 3)])
    write_failure(tmp_path, "a disk was full")
    write_checkpoint(tmp_path / CHECKPOINT, 2)
    return tmp_path


def lock_is_read(folder):
    seems_held(folder)
    with held(folder):
        return


# Each record with all that read the record back.
READERS = {
    MANIFEST: (read_manifest, lambda folder: end_of(folder, read_manifest(folder)), read_run),
    STATE: (lambda folder: load_stage(open_run(folder, "generate"), None),),
    METRICS: (lambda folder: merge_steps(read_metrics(folder / METRICS)), read_run),
    f"{ROLLOUTS}/step_000002.jsonl": (lambda folder: list(read_steps(folder / ROLLOUTS)),),
    FAILURE: (read_failure, read_run),
    f"{CHECKPOINT}/{SEAL}": (
        lambda folder: int(read_seal(folder / CHECKPOINT)["generated_tokens"]),
        lambda folder: check_checkpoint(folder / CHECKPOINT),
    ),
    f"{CHECKPOINT}/actor/fsdp_config.json": (lambda folder: check_checkpoint(folder / CHECKPOINT),),
    LOCK: (lock_is_read,),
}
# A record of this kind decides nothing, so that any content is read.
NEVER_REFUSED = (LOCK,)


def refusals(run, name):
    """How many of the readers refuse the file as it lies now. A refusal is one line with a path of the run."""
    count = 0
    for read in READERS[name]:
        try:
            read(run)
        except InputError as error:
            count += 1
            assert str(run) in one_line(error)
    return count


@pytest.mark.parametrize("name", READERS)
def test_a_record_of_other_types_is_named(run, name):
    path = run / name
    whole = {"host": "here", "pid": 1} if name == LOCK else json.loads(path.read_text())
    found = 0
    for values in damaged(whole):
        path.write_text(json.dumps(values) + "\n")
        found += refusals(run, name)
    assert found > 5 or name in NEVER_REFUSED


@pytest.mark.parametrize("name", [name for name in READERS if not name.endswith(".jsonl")])
def test_a_record_that_is_no_json_is_named(run, name):
    path = run / name
    whole = path.read_bytes() if path.exists() else b'{"host": "here", "pid": 1}'
    found = 0
    for number in range(30):
        path.write_bytes(whole)
        broken_json(path, random.Random(number))
        found += refusals(run, name)
    assert found >= 20 or name in NEVER_REFUSED


def test_the_whole_records_are_read(run):
    assert sum(refusals(run, name) for name in READERS) == 0


@pytest.mark.parametrize("damage", ["cut", "missing", "empty", "text"])
@pytest.mark.parametrize("place", [RANK, RANK.replace("model", "optim"), f"{CHECKPOINT}/data.pt"])
def test_a_damaged_file_of_a_checkpoint_is_named(run, place, damage):
    path = run / place
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut": whole[:-1], "empty": b"", "text": b"version https://git-lfs"}[damage])
    with pytest.raises(InputError, match=f"{path.name}|shard of rank 0|0 numbers of ranks"):
        check_checkpoint(run / CHECKPOINT)


def test_a_refreshed_checkpoint_has_its_data_order_aside(run):
    (run / CHECKPOINT / "data.pt").rename(run / CHECKPOINT / "data.before-refresh.pt")
    check_checkpoint(run / CHECKPOINT)
