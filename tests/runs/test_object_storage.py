"""Copies of a run in object storage, and a run that comes back from there."""

import json

import fsspec
import pytest

from judgerlvr.engine.in_training.checkpoint_hook import seal
from judgerlvr.restore import main
from judgerlvr.runs import object_storage
from judgerlvr.runs.checkpoints import SEAL, complete
from judgerlvr.runs.object_storage import CopyFailed, check_storage, copy_elsewhere, upload
from rewards.errors import InputError


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A folder beside the run's."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(params=["memory", "file"])
def address(request, elsewhere):
    fsspec.filesystem("memory").store.clear()
    return f"memory://bucket/{elsewhere.name}" if request.param == "memory" else f"file://{elsewhere / 'bucket'}"


@pytest.fixture
def stage(make_stage, address):
    made = make_stage("judge", overrides=["judge.checkpoint.keep=1", f"judge.checkpoint.upload={address}"])
    (made.run_dir / "data").mkdir(parents=True, exist_ok=True)
    (made.run_dir / "data" / "train.parquet").write_bytes(b"rows")
    (made.run_dir / "config.yaml").write_text("seed: 0\n")
    (made.run_dir / "lock").write_text("this host")
    return made


def saved(stage, step):
    checkpoint = stage.checkpoints / f"global_step_{step}"
    (checkpoint / "actor").mkdir(parents=True)
    (checkpoint / "actor" / "model.pt").write_bytes(bytes(range(256)) * step)
    return checkpoint


def end_step(stage, step):
    checkpoint = saved(stage, step)
    seal(checkpoint, {"step": step}, stage.settings.checkpoint.keep, lambda path: copy_elsewhere(stage, path))
    return checkpoint


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_restored_run_is_the_run_with_its_newest_checkpoint(stage, address, elsewhere):
    for step in (1, 2):
        end_step(stage, step)
    assert main([f"{address}/{stage.run_dir.name}", str(elsewhere / "back")]) == 0
    expected = {name: data for name, data in contents(stage.run_dir).items() if name.name != "lock"}
    found = contents(elsewhere / "back")
    # The line about the copy itself comes after the copy.
    log = next(name for name in expected if name.name == "progress.log")
    assert expected.pop(log).startswith(found.pop(log))
    assert found == expected


def test_older_checkpoints_go_once_the_copy_is_proved(stage):
    end_step(stage, 1)
    newest = end_step(stage, 2)
    assert complete(stage.checkpoints) == [newest]


def test_nothing_is_removed_and_training_goes_on_where_a_copy_differs(stage, monkeypatch):
    first = end_step(stage, 1)
    monkeypatch.setattr(object_storage, "begins_with", lambda *_: False)
    second = end_step(stage, 2)
    assert complete(stage.checkpoints) == [first, second]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda data: data + b"x"])
def test_a_damaged_copy_is_found(damage, stage, address, monkeypatch):
    system = type(fsspec.core.url_to_fs(address)[0])
    honest = system.put_file

    def put(self, local, remote, **named):
        honest(self, local, remote, **named)
        if remote.endswith("model.pt"):
            self.pipe_file(remote, damage(self.cat_file(remote)))

    monkeypatch.setattr(system, "put_file", put)
    with pytest.raises(CopyFailed, match=r"model.pt differs from"):
        upload(stage.run_dir, saved(stage, 1), address)


def test_a_copy_without_its_seal_is_no_checkpoint(stage, address, elsewhere, capsys):
    end_step(stage, 1)
    system, path = fsspec.core.url_to_fs(f"{address}/{stage.run_dir.name}")
    system.rm_file(f"{path}/checkpoints/global_step_1/{SEAL}")
    assert main([f"{address}/{stage.run_dir.name}", str(elsewhere / "back")]) == 2
    assert "no sealed checkpoint" in capsys.readouterr().err
    assert not (elsewhere / "back").exists()


def test_a_folder_that_exists_is_not_touched(stage, address, tmp_path, capsys):
    assert main([address, str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["nosuch://bucket", "file:///proc/nowhere", "zip://no.zip"])
def test_a_store_that_cannot_be_written_is_one_line(wrong):
    with pytest.raises(InputError) as error:
        check_storage(wrong)
    assert "\n" not in str(error.value) and wrong in str(error.value)


def test_a_probe_leaves_nothing(address):
    check_storage(address)
    system, path = fsspec.core.url_to_fs(address)
    assert system.find(path) == []


def test_the_policy_alone_is_copied_behind_the_publishing(stage, address, monkeypatch):
    checkpoint = end_step(stage, 1)
    policy = checkpoint / "policy"
    policy.mkdir()
    (policy / "model.safetensors").write_bytes(b"weights")
    copied = []
    monkeypatch.setattr(object_storage, "copy_file", lambda _system, path, _target: copied.append(path.name) or 0)
    assert copy_elsewhere(stage, policy)
    assert "model.safetensors" in copied and "model.pt" not in copied


def test_the_seal_is_copied_last(stage, address, monkeypatch):
    copied = []
    monkeypatch.setattr(object_storage, "copy_file", lambda _system, path, _target: copied.append(path.name) or 0)
    checkpoint = saved(stage, 1)
    (checkpoint / SEAL).write_text(json.dumps({"step": 1}))
    upload(stage.run_dir, checkpoint, address)
    assert copied[-1] == SEAL and copied.count(SEAL) == 1
