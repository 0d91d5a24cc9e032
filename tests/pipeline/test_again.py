"""A run is a command, given any number of times: begun, continued, found finished, or refused as another run."""

import shutil
from dataclasses import replace

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.pipeline import stages
from judgerlvr.runs.folder import CONFIG
from judgerlvr.runs.manifest import read_manifest, write_manifest
from judgerlvr.stage2_generate import main
from tests.helpers.run_folders import write_checkpoint

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
COMMAND = [f"model.path={BASE}", "name=mine", "generate.stop.steps=4"]


def seal(run_dir, step, finished=False):
    policy = run_dir / "checkpoints" / f"global_step_{step}" / "policy"
    write_checkpoint(policy.parent, step)
    policy.mkdir()
    if finished:
        shutil.copy(BASE / "model.safetensors", policy)
        export = str(policy.relative_to(run_dir))
        write_manifest(run_dir, replace(read_manifest(run_dir), export=export, trained=policy.parent.name))


def test_the_same_command_continues(trained, tmp_path):
    assert main(COMMAND) == 0
    seal(tmp_path / "runs" / "mine", 2)
    assert main(COMMAND) == 0
    assert trained == ["prepared", (None, 4), ("global_step_2", 4)]


def test_a_finished_run_is_left_alone_and_published_again(trained, tmp_path, capsys):
    main(COMMAND)
    seal(tmp_path / "runs" / "mine", 4, finished=True)
    assert main(COMMAND) == 0
    assert "already finished: ckpt/generate -> " in capsys.readouterr().out
    assert (tmp_path / "ckpt" / "generate").resolve().parent.name == "global_step_4"
    assert len(trained) == 2


@pytest.mark.parametrize("kept", [None, 0, 7, 1000, -1])
def test_a_finished_run_without_a_whole_policy_is_not_called_finished(trained, tmp_path, capsys, kept):
    main(COMMAND)
    seal(tmp_path / "runs" / "mine", 4, finished=True)
    weights = tmp_path / "runs" / "mine" / "checkpoints" / "global_step_4" / "policy" / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    if kept is not None:
        weights.write_bytes(whole[:kept])
    assert main(COMMAND) == 2
    said = capsys.readouterr().err
    assert "of the finished run is" in said and "judgerlvr.export" in said and said.count("\n") == 1


@pytest.mark.parametrize("out", ["runs", "runs/mine", "runs/mine/checkpoints", "."])
def test_a_policy_is_never_named_where_its_run_lies(trained, tmp_path, capsys, out):
    assert main([*COMMAND, "--out", out]) == 2
    said = capsys.readouterr().err
    assert "give another --out" in said and said.count("\n") == 1
    assert trained == []


def test_steps_of_a_finished_run_can_be_raised(trained, tmp_path):
    main(COMMAND)
    seal(tmp_path / "runs" / "mine", 4, finished=True)
    assert main([*COMMAND[:2], "generate.stop.steps=6"]) == 0
    manifest = read_manifest(tmp_path / "runs" / "mine")
    assert trained[-1] == ("global_step_4", 6)
    assert (manifest.export, manifest.trained, manifest.steps) == (None, None, 6)
    assert "steps: 6" in (tmp_path / "runs" / "mine" / CONFIG).read_text()


def test_raised_steps_do_not_revive_a_run_that_its_tokens_ended(trained, tmp_path, capsys):
    main([*COMMAND, "generate.stop.generated_tokens=100"])
    seal(tmp_path / "runs" / "mine", 2, finished=True)
    assert main([*COMMAND[:2], "generate.stop.steps=6", "generate.stop.generated_tokens=100"]) == 0
    assert "already finished" in capsys.readouterr().out
    assert main([*COMMAND[:2], "generate.stop.steps=6", "generate.stop.generated_tokens=0"]) == 0
    assert trained[-1] == ("global_step_2", 6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("generate.optimizer.lr=0.5", "generate.optimizer.lr 0.0001 -> 0.5"),
        ("generate.stop.steps=3", "generate.stop.steps 4 -> 3"),
        ("seed=7", "seed 0 -> 7"),
        (f"model.path={BASE.parent / 'qwen3_moe'}", "model.path"),
    ],
)
def test_changed_settings_are_refused_by_name(trained, capsys, change, says):
    main(COMMAND)
    capsys.readouterr()
    assert main([*COMMAND, change]) == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1
    assert len(trained) == 2


def test_keys_of_the_other_stage_may_change(trained):
    main(COMMAND)
    assert main([*COMMAND, "judge.optimizer.lr=0.5"]) == 0
    assert trained[-1] == (None, 4)


def test_new_begins_another(trained, tmp_path):
    main(COMMAND)
    assert main([*COMMAND, "--new"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["mine", "mine-2"]


def test_a_failed_preparation_does_not_block_its_name(trained, monkeypatch, tmp_path, capsys):
    prepare = stages.PREPARE["generate"]

    def fail(*_):
        raise stages.InputError("bad row", "mend it")

    monkeypatch.setitem(stages.PREPARE, "generate", fail)
    assert main(COMMAND) == 2
    monkeypatch.setitem(stages.PREPARE, "generate", prepare)
    assert main([*COMMAND, "seed=3"]) == 0
    assert "seed: 3" in (tmp_path / "runs" / "mine" / CONFIG).read_text()


def test_a_moved_run_goes_on(trained, tmp_path):
    main(COMMAND)
    seal(tmp_path / "runs" / "mine", 2)
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    assert main(["--resume", str(tmp_path / "elsewhere" / "mine"), "--out", "ckpt/other"]) == 0
    assert trained[-1] == ("global_step_2", 4)


def beside(folder, names=("judge", "generate")):
    """The command of a run that ends with the tokens of the runs beside it, all of them in ``folder``."""
    runs = ",".join(str(folder / name) for name in names)
    return [*COMMAND, f"runs={folder}", f"generate.stop.tokens_of=[{runs}]", "--out", str(folder / "ckpt" / "mine")]


@pytest.fixture
def moved_experiment(trained, tmp_path):
    """Folder of an experiment whose run was begun and sealed in another place."""
    assert main(beside(tmp_path / "demo")) == 0
    seal(tmp_path / "demo" / "mine", 2)
    shutil.move(tmp_path / "demo", tmp_path / "moved")
    return tmp_path / "moved"


def test_a_moved_experiment_goes_on(moved_experiment, trained):
    assert main(beside(moved_experiment)) == 0
    assert trained[-1] == ("global_step_2", 4)


def test_a_moved_experiment_reads_tokens_of_the_runs_that_moved_along(moved_experiment):
    main(beside(moved_experiment))
    text = (moved_experiment / "mine" / CONFIG).read_text()
    assert str(moved_experiment / "judge") in text and str(moved_experiment.with_name("demo") / "judge") not in text


@pytest.mark.parametrize("names", [("judge",), ("generate", "judge"), ("../judge", "../generate"), ()])
def test_tokens_of_other_runs_are_another_run(moved_experiment, capsys, names):
    assert main(beside(moved_experiment, names)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "the run there differs: generate.stop.tokens_of" in line


def test_a_copied_run_reads_its_own_data(trained, tmp_path):
    main(COMMAND)
    shutil.copytree(tmp_path / "runs" / "mine", tmp_path / "copy")
    (tmp_path / "copy" / "data" / "train.parquet").write_text("changed")
    assert main(["--resume", str(tmp_path / "copy"), "--out", "ckpt/other"]) == 2


def test_a_stored_configuration_is_checked(trained, tmp_path, capsys):
    main(COMMAND)
    config = tmp_path / "runs" / "mine" / CONFIG
    config.write_text(config.read_text().replace("clip_high: 0.28", "clip_high: 0.1"))
    assert main(["--resume", str(config.parent)]) == 2
    assert "clip_high" in capsys.readouterr().err


def test_a_broken_state_is_one_line(trained, tmp_path, capsys):
    main(COMMAND)
    for name in ("stage.json", "manifest.json"):
        (tmp_path / "runs" / "mine" / name).write_text("{")
        assert main(COMMAND) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1 and name in line


@pytest.fixture
def child(trained, tmp_path):
    """A run whose starting policy is the export of a neighbouring run."""
    policy = tmp_path / "runs" / "parent" / "checkpoints" / "global_step_1" / "policy"
    shutil.copytree(BASE, policy)
    (tmp_path / "runs" / "parent" / "manifest.json").write_text("{}")
    assert main(["--config", "configs/tiny.yaml", "--init", str(policy), "name=mine", "--out", "ckpt/child"]) == 0
    seal(tmp_path / "runs" / "mine", 2)
    return policy


def moved(tmp_path, how):
    """Folder of the child after a move."""
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    if how == "both":
        runs.rename(elsewhere)
    elif how == "renamed parent":
        (runs / "parent").rename(runs / "judge-of-may")
    else:
        elsewhere.mkdir()
        (runs / "parent").rename(elsewhere / "parent")
    return (elsewhere if how == "both" else runs) / "mine"


@pytest.mark.parametrize("how", ["both", "renamed parent"])
def test_a_moved_parent_is_found_again(child, tmp_path, trained, how):
    run_dir = moved(tmp_path, how)
    assert main(["--resume", str(run_dir), "--out", "ckpt/other"]) == 0
    assert trained[-1] == ("global_step_2", 12)


def test_a_parent_that_is_gone_is_one_line_with_the_command_that_helps(child, tmp_path, capsys):
    run_dir = moved(tmp_path, "gone")
    assert main(["--resume", str(run_dir), "--out", "ckpt/other"]) == 2
    line = capsys.readouterr().err
    assert f"ln -s NEW_PLACE {child}" in line and line.count("\n") == 1
    child.parent.mkdir(parents=True)
    child.symlink_to(tmp_path / "elsewhere" / "parent" / "checkpoints" / "global_step_1" / "policy")
    assert main(["--resume", str(run_dir), "--out", "ckpt/other"]) == 0


def test_another_policy_in_the_parents_place_is_not_taken(child, tmp_path, capsys):
    moved(tmp_path, "renamed parent")
    config = tmp_path.joinpath("runs", "judge-of-may", *child.parts[-3:], "config.json")
    config.write_text(config.read_text() + " ")
    assert main(["--resume", str(tmp_path / "runs" / "mine"), "--out", "ckpt/other"]) == 2


def test_the_same_command_with_the_parents_new_place_goes_on(child, tmp_path, trained):
    moved(tmp_path, "gone")
    init = tmp_path.joinpath("elsewhere", "parent", *child.parts[-3:])
    given = ["--config", "configs/tiny.yaml", "--init", str(init), "name=mine", "--out", "ckpt/child"]
    assert main(given) == 0
    assert trained[-1] == ("global_step_2", 12)


def test_a_prompt_that_changed_since_is_refused(trained, tmp_path, capsys):
    template = tmp_path / "prompt.txt"
    template.write_text("First {{problem}}")
    assert main([*COMMAND, f"data.prompt={template}"]) == 0
    template.write_text("Second {{problem}}")
    assert main(["--resume", str(tmp_path / "runs" / "mine")]) == 2
    assert "the run began with 'First {{problem}}', now 'Second {{problem}}'" in capsys.readouterr().err
    template.write_text("First {{problem}}")
    assert main(["--resume", str(tmp_path / "runs" / "mine")]) == 0
