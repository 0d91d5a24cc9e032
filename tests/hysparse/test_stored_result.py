"""Where a distillation stores its result: checkpoints on another disk, and parts that a killed start left."""

import shutil
from argparse import Namespace
from pathlib import Path

import pytest

from judgerlvr.hysparse.distill import main
from judgerlvr.hysparse.distillation.distiller import Distiller
from tests.helpers.tiny_sources import SHAPE, distilling, write_source, write_texts

TEMPLATE = "additional_chat_templates/tool.jinja"


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A run of 3 steps to its end, and one that was cut behind the checkpoint of step 2."""
    source = write_source(tmp_path / "source")
    (source / TEMPLATE).parent.mkdir()
    (source / TEMPLATE).write_text("{{ messages }}")
    given = [*distilling(write_texts(tmp_path / "texts.jsonl"), *SHAPE), "--steps", "3", "--save-every", "1"]
    honest = Distiller.compute_loss

    def dying(trainer, *given, **named):
        if trainer.state.global_step == 2:
            raise RuntimeError("killed here")
        return honest(trainer, *given, **named)

    runs = Namespace(
        command=lambda out: [str(source), str(out), *given], cut=tmp_path / "cut", whole=tmp_path / "whole"
    )
    assert main(runs.command(runs.whole)) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Distiller, "compute_loss", dying)
        assert main(runs.command(runs.cut)) == 1
    return runs


def test_checkpoints_on_another_disk_are_gone_on_with_and_removed(begun, tmp_path, monkeypatch):
    """The folder was moved and linked. No file is renamed from one disk to another, and other files there stay."""
    out, disk, honest = begun.cut, tmp_path / "disk", Path.replace
    shutil.move(out / "checkpoints", disk)
    (disk / "notes.txt").write_text("mine")
    (out / "checkpoints").symlink_to(disk)

    def within_a_disk(path, target):
        assert (disk in path.resolve().parents) == (disk in Path(target).resolve().parents)
        return honest(path, target)

    monkeypatch.setattr(Path, "replace", within_a_disk)
    assert main([*begun.command(out), "--resume"]) == 0
    assert (out / "model.safetensors").read_bytes() == (begun.whole / "model.safetensors").read_bytes()
    assert {path.name for path in out.iterdir()} == {path.name for path in (begun.whole).iterdir()}
    assert [path.name for path in disk.iterdir()] == ["notes.txt"]


def test_parts_of_a_killed_store_are_replaced(begun, tmp_path):
    """A folder of the result is a link already, and parts lie where the result is made."""
    out, elsewhere = begun.cut, tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / TEMPLATE).parent.symlink_to(elsewhere)
    (out / ".result").mkdir()
    (out / ".result" / "stray.txt").write_text("a part")
    assert main([*begun.command(out), "--resume"]) == 0
    assert {path.name for path in out.iterdir()} == {path.name for path in (begun.whole).iterdir()}
    assert (out / TEMPLATE).read_text() == "{{ messages }}" and not list(elsewhere.iterdir())


@pytest.mark.parametrize("place", ["folder", "file", "dangling link", "cut"])
def test_a_plan_refuses_a_folder_that_the_work_would_refuse(place, begun, tmp_path, capsys):
    out = begun.cut if place == "cut" else tmp_path / "out"
    if place == "folder":
        out.mkdir()
    elif place == "file":
        out.write_text("mine")
    elif place == "dangling link":
        out.symlink_to(tmp_path / "nowhere")
    given, errors = [part for part in begun.command(out) if part not in ("--device", "cpu")], []
    for plan in ([], ["--plan"]):
        capsys.readouterr()
        assert main([*given, *plan]) == 2
        errors.append(capsys.readouterr().err)
    assert errors[0] == errors[1] and "something is there already" in errors[0]
