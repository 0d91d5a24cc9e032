"""Sealed checkpoints are found and pruned. Half-written checkpoints are never taken for sealed."""

from judgerlvr.runs.checkpoints import SEAL, complete, export_dir, prune
from judgerlvr.runs.files import write_atomically


def make(folder, step, sealed=True):
    path = folder / f"global_step_{step}"
    path.mkdir()
    if sealed:
        (path / SEAL).write_text("{}")
    return path


def test_half_written_checkpoint_is_never_found(tmp_path):
    make(tmp_path, 10)
    make(tmp_path, 20, sealed=False)
    assert [path.name for path in complete(tmp_path)] == ["global_step_10"]


def test_order_is_by_number_not_by_name(tmp_path):
    for step in (100, 20, 3):
        make(tmp_path, step)
    assert [path.name for path in complete(tmp_path)] == ["global_step_3", "global_step_20", "global_step_100"]


def test_prune_keeps_the_newest_and_leaves_unsealed_alone(tmp_path):
    for step in (1, 2, 3):
        make(tmp_path, step)
    unsealed = make(tmp_path, 4, sealed=False)
    prune(tmp_path, 2)
    assert [path.name for path in complete(tmp_path)] == ["global_step_2", "global_step_3"]
    assert unsealed.exists()


def test_keep_zero_keeps_all(tmp_path):
    for step in (1, 2, 3):
        make(tmp_path, step)
    prune(tmp_path, 0)
    assert len(complete(tmp_path)) == 3


def test_policy_of_an_older_version_is_found(tmp_path):
    older = tmp_path / "actor" / "huggingface"
    older.mkdir(parents=True)
    assert export_dir(tmp_path) == tmp_path / "policy"
    (older / "model.safetensors").touch()
    assert export_dir(tmp_path) == older
    (tmp_path / "policy").mkdir()
    assert export_dir(tmp_path) == tmp_path / "policy"


def test_atomic_write_leaves_nothing_beside_the_file(tmp_path):
    write_atomically(tmp_path / "a.json", "1")
    write_atomically(tmp_path / "a.json", "2")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "2"
