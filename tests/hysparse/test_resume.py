"""A distillation that goes on: damage is passed over with a line or refused, and nothing else may have changed."""

import json
import shutil

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from data.jsonl import write_jsonl
from judgerlvr.hysparse.conversion.options import RATIO, SHAPE, TRAINING
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main
from judgerlvr.hysparse.distillation import distillation
from judgerlvr.hysparse.distillation.checkpoints import SEAL, fault_of, last_checkpoint
from judgerlvr.hysparse.distillation.distillation_folder import FREE
from judgerlvr.hysparse.distillation.distiller import Distiller
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from rewards.errors import InputError
from tests.helpers.checkpoint_faults import change_weights, edit_config

SIZES = {"hidden_size": 32, "intermediate_size": 64, "head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
SIZES |= {"vocab_size": 512, "num_hidden_layers": 4, "initializer_range": 0.2}
SMALL = ["--sparse-ratio", "2", "--select-block", "16", "--select-tokens", "16", "--window", "6"]
TEMPLATE = "additional_chat_templates/tool.jinja"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of 6 steps to its end, one that was cut behind the checkpoints of steps 2 and 4, and one of a student."""
    root = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SIZES)).to(torch.bfloat16).save_pretrained(root / "source")
    train_tokenizer().save_pretrained(root / "source")
    (root / "source" / TEMPLATE).parent.mkdir()
    (root / "source" / TEMPLATE).write_text("{{ messages }}")
    write_jsonl(root / "texts.jsonl", [{"prompt": "1 + 1 = ", "text": f"{n} * {n} = {n * n}"} for n in range(21)])
    assert run_convert([str(root / "source"), str(root / "student"), *SMALL]) == 0
    assert main(command(root, root / "whole-conversion")) == 0
    cut(root, root / "cut-conversion", "conversion", 4)
    cut(root, root / "cut-student", "student", 0)
    return root


def command(root, out, name="conversion"):
    way = SMALL if name == "conversion" else ["--student", str(root / "student")]
    texts = ["--texts", str(root / "texts.jsonl"), "--heldout", "2", "--length", "32", "--device", "cpu"]
    steps = ["--steps", "6", "--every", "2", "--save-every", "2", "--rows", "4"]
    return [str(root / "source"), str(out), *texts, *steps, *way]


def cut(root, out, name, step):
    honest = Distiller.compute_loss

    def dying(trainer, *given, **named):
        if trainer.state.global_step == step:
            raise RuntimeError("killed here")
        return honest(trainer, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Distiller, "compute_loss", dying)
        assert main(command(root, out, name)) == 1


@pytest.fixture
def begun(made, tmp_path):
    """A copy of everything, so that a test may change all. Settings name the paths of the first start."""
    kept = shutil.copytree(made, tmp_path / "kept")
    yield made
    for path in made.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    shutil.copytree(kept, made, dirs_exist_ok=True)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(b"\xff\x00" * (path.stat().st_size // 2 + 1)),
    "one bit": flipped,
}
STATE = {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", SEAL}


def settings_in(out):
    return json.loads((out / "distill.json").read_text())


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def test_the_cut_run_has_two_whole_checkpoints(made):
    """The damages below are those of every file, and these are among the files."""
    folders = sorted((made / "cut-conversion" / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["checkpoint-2", "checkpoint-4"]
    for folder in folders:
        assert {path.name for path in files_of(folder)} >= STATE
        assert fault_of(folder, settings_in(made / "cut-conversion")) is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damage_of_any_file_is_passed_over_with_a_line(damage, made, tmp_path, capsys):
    names = [path.name for path in files_of(made / "cut-conversion" / "checkpoints" / "checkpoint-4")]
    for number, name in enumerate(names):
        out = shutil.copytree(made / "cut-conversion", tmp_path / str(number))
        DAMAGES[damage](out / "checkpoints" / "checkpoint-4" / name)
        capsys.readouterr()
        assert last_checkpoint(out, settings_in(out)) == str(out / "checkpoints" / "checkpoint-2"), name
        shown = capsys.readouterr().out
        assert "checkpoint-4 is passed over" in shown and "going on from checkpoint-2" in shown
        # A seal with another bit may name another file or another checksum.
        assert name in shown or name == SEAL, name


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_no_whole_checkpoint_nothing_is_lost_in_silence(damage, made, tmp_path, capsys):
    """Without both seals, the run was killed before it finished a checkpoint. It then begins again, with a line."""
    for number, name in enumerate(sorted(STATE)):
        out = shutil.copytree(made / "cut-conversion", tmp_path / str(number))
        for checkpoint in ("checkpoint-2", "checkpoint-4"):
            DAMAGES[damage](out / "checkpoints" / checkpoint / name)
        if (name, damage) == (SEAL, "deleted"):
            assert last_checkpoint(out, settings_in(out)) is None
            assert capsys.readouterr().out.count("was not finished (seal.json is missing); going on from step 0") == 2
        else:
            with pytest.raises(InputError, match=r"checkpoint-4: no checkpoint is whole: .*; put its files back"):
                last_checkpoint(out, settings_in(out))


AGAIN = [("optimizer.pt", "deleted"), ("trainer_state.json", "empty")]


@pytest.mark.parametrize(("name", "damage"), AGAIN)
def test_a_damaged_run_goes_on_to_the_same_weights(name, damage, begun, capsys):
    out = begun / "cut-conversion"
    DAMAGES[damage](out / "checkpoints" / "checkpoint-4" / name)
    assert main([*command(begun, out), "--resume"]) == 0
    assert "going on from checkpoint-2" in capsys.readouterr().out
    assert contents(out) == contents(begun / "whole-conversion")


def contents(out):
    """The files of a finished run. The settings name its folder's options alone."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_an_undamaged_run_goes_on_to_the_same_weights(begun, capsys):
    assert main([*command(begun, begun / "cut-conversion"), "--resume"]) == 0
    assert "passed over" not in capsys.readouterr().out
    assert contents(begun / "cut-conversion") == contents(begun / "whole-conversion")


def test_a_run_without_a_finished_checkpoint_begins_again_to_the_same_weights(begun, capsys):
    out = begun / "cut-conversion"
    for checkpoint in (out / "checkpoints").iterdir():
        (checkpoint / SEAL).unlink()
    assert main([*command(begun, out), "--resume"]) == 0
    assert "going on from step 0" in capsys.readouterr().out
    assert contents(out) == contents(begun / "whole-conversion")


def test_a_start_that_was_killed_before_its_settings_goes_on_to_the_same_weights(begun):
    """The folder is there, with a part of the settings at most."""
    out = begun / "new"
    out.mkdir()
    (out / ".distill.json.7").write_text("{")
    assert main([*command(begun, out), "--resume"]) == 0
    assert contents(out) == contents(begun / "whole-conversion")


@pytest.mark.parametrize("name", ["checkpoint-x", "checkpoint-", "checkpoint-9.old", "checkpoint--1", "notes"])
def test_a_folder_with_another_name_is_no_checkpoint(name, made, tmp_path):
    out = shutil.copytree(made / "cut-conversion", tmp_path / "out")
    shutil.copytree(out / "checkpoints" / "checkpoint-2", out / "checkpoints" / name)
    assert last_checkpoint(out, settings_in(out)) == str(out / "checkpoints" / "checkpoint-4")


def test_the_newest_checkpoint_is_that_of_the_most_steps(made, tmp_path):
    out = shutil.copytree(made / "cut-conversion", tmp_path / "out")
    shutil.copytree(out / "checkpoints" / "checkpoint-2", out / "checkpoints" / "checkpoint-10")
    assert last_checkpoint(out, settings_in(out)) == str(out / "checkpoints" / "checkpoint-10")


def test_a_folder_without_checkpoints_begins_at_its_beginning(tmp_path, capsys):
    assert last_checkpoint(tmp_path, {}) is None
    assert capsys.readouterr().out == ""


def test_a_checkpoint_of_other_settings_is_not_taken(made):
    settings = settings_in(made / "cut-conversion")
    checkpoint = made / "cut-conversion" / "checkpoints" / "checkpoint-4"
    assert "belongs to another distillation" in fault_of(checkpoint, settings | {"seed": 1})


def test_a_file_that_was_added_to_a_checkpoint_is_named(made, tmp_path):
    checkpoint = shutil.copytree(made / "cut-conversion" / "checkpoints" / "checkpoint-4", tmp_path / "checkpoint-4")
    (checkpoint / ".nfs1").touch()
    assert fault_of(checkpoint, settings_in(made / "cut-conversion")) is None
    (checkpoint / "optimizer.bin").touch()
    assert fault_of(checkpoint, settings_in(made / "cut-conversion")) == "optimizer.bin was added"


def test_a_run_that_was_killed_while_it_stored_goes_on_to_the_same_files(begun, monkeypatch):
    """All files but the last have moved. The checkpoint of the last step is there, behind which no step is taken."""
    out = begun / "cut-conversion"
    honest = distillation.copy_files

    def dying(source, made):
        honest(source, made)
        for path in made.iterdir():
            if path.name != "config.json":
                path.rename(out / path.name)
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(distillation, "copy_files", dying)
        assert main([*command(begun, out), "--resume"]) == 1
    assert (out / TEMPLATE).is_file() and not (out / "config.json").exists()
    assert main([*command(begun, out), "--resume"]) == 0
    assert contents(out) == contents(begun / "whole-conversion")


@pytest.fixture
def refused(begun, capsys, monkeypatch):
    """The one line with which a start that goes on ends, before a model is loaded. Checkpoints stay."""
    monkeypatch.setattr(distillation, "read_model", lambda *_: pytest.fail("a model was loaded"))

    def line(name, *more):
        before = contents(begun / f"cut-{name}")
        capsys.readouterr()
        code, error = main([*command(begun, begun / f"cut-{name}", name), *more, "--resume"]), capsys.readouterr().err
        assert (code, error.count("\n")) == (2, 1), error
        assert contents(begun / f"cut-{name}") == before
        return error

    return line


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"null", b"{}", b'{"steps": 6', b"\xff\xfe", b'{"steps": 6}'])
def test_broken_settings_are_one_line(content, begun, refused):
    (begun / "cut-conversion" / "distill.json").write_bytes(content)
    assert "distill.json" in refused("conversion")


def test_missing_settings_are_one_line(begun, refused):
    (begun / "cut-conversion" / "distill.json").unlink()
    assert "no distillation to go on with" in refused("conversion")


@pytest.mark.parametrize("setting", ["source_files", "precision", "tokens_sha256", "steps"])
def test_settings_of_another_version_are_refused_by_name(setting, begun, refused):
    settings = settings_in(begun / "cut-conversion")
    del settings[setting]
    (begun / "cut-conversion" / "distill.json").write_text(json.dumps(settings))
    assert f"no {setting} is noted there" in refused("conversion")


CHANGES = {
    "changed": flipped,
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("name", "folder"), [("conversion", "source"), ("student", "student")])
def test_any_change_of_any_file_of_a_model_is_refused_by_name(name, folder, change, begun, refused):
    """Where a check of whole models speaks first, its line names the folder."""
    for path in files_of(begun / folder):
        kept = path.read_bytes()
        CHANGES[change](path)
        error = refused(name)
        assert str(begun / folder) in error, path.name
        assert path.name in error or "since the first start" not in error, path.name
        path.write_bytes(kept)


@pytest.mark.parametrize(("name", "folder"), [("conversion", "source"), ("student", "student")])
def test_weights_of_the_same_shapes_are_other_weights(name, folder, begun, refused):
    change_weights(begun / folder, lambda tensors: tensors["model.norm.weight"].add_(1))
    assert "model.safetensors: the file has changed since the first start" in refused(name)


def test_another_configuration_of_the_source_is_refused(begun, refused):
    edit_config(begun / "source", rms_norm_eps=1e-5)
    assert "config.json: the file has changed since the first start" in refused("conversion")


def test_a_new_file_that_would_be_copied_is_refused_and_a_card_is_not(begun, refused):
    (begun / "source" / "README.md").write_text("card")
    (begun / "source" / ".cache").write_text("hidden")
    (begun / "source" / "added_tokens.json").write_text("{}")
    assert "added_tokens.json: the file is new since the first start" in refused("conversion")


@pytest.mark.parametrize("change", ["a row more", "other texts", "other prompts"])
def test_other_texts_are_refused_by_name(change, begun, refused):
    rows = [json.loads(line) for line in (begun / "texts.jsonl").read_text().splitlines()]
    kept = list(rows)
    if change == "a row more":
        rows.append({"text": "one more"})
    else:
        rows[5] = rows[5] | ({"text": "7 * 7"} if change == "other texts" else {"prompt": "2 + 2 = "})
    write_jsonl(begun / "texts.jsonl", rows)
    assert "texts_sha256" in refused("conversion")
    write_jsonl(begun / "texts.jsonl", kept)


# Another value of each option that decides the weights. A path is another by its name alone.
OTHER = {
    "--sparse-ratio": "1",
    "--select-block": "32",
    "--select-tokens": "32",
    "--window": "8",
    "--gate-sparse": "0.2",
    "--gate-window": "0.8",
    "--texts": None,
    "--heldout": "3",
    "--length": "40",
    "--precision": "bf16",
    "--steps": "8",
    "--rows": "2",
    "--rows-at-once": "2",
    "--lr": "1e-4",
    "--warmup": "1",
    "--every": "3",
    "--save-every": "3",
    "--hidden": "1",
    "--seed": "1",
}


BINDING = [option for option in (RATIO, *SHAPE, *TRAINING) if option.name not in FREE]


@pytest.mark.parametrize("option", BINDING, ids=lambda option: option.flag)
def test_every_other_option_is_refused_by_name(option, begun, refused, tmp_path):
    text = OTHER[option.flag] or str(shutil.copy(begun / "texts.jsonl", tmp_path / "texts.jsonl"))
    more = [option.flag, text, *(["--select-tokens", "32"] if option.flag == "--select-block" else [])]
    error = refused("conversion", *more)
    assert f"{option.name} is " in error and "at the first start" in error


@pytest.mark.parametrize("switch", ["--recompute"])
def test_every_other_switch_is_refused_by_name(switch, refused):
    assert "recompute is True, and was False" in refused("conversion", switch)


def test_the_precision_that_was_chosen_is_noted_and_may_be_written_out(begun, refused, monkeypatch):
    """A GPU would choose bf16."""
    assert settings_in(begun / "cut-conversion")["precision"] == "fp32"
    monkeypatch.setattr(distillation, "pick_device", lambda _: "cuda")
    monkeypatch.setattr(distillation, "trainer_arguments", lambda *_: distillation.argparse.Namespace(world_size=1))
    assert "precision is bf16, and was fp32 at the first start" in refused("conversion")


def test_the_default_precision_may_be_written_out(begun, capsys, monkeypatch):
    """The start comes to the weights."""

    def reached(*_):
        raise InputError("reached", "go on")

    monkeypatch.setattr(distillation, "read_model", reached)
    assert main([*command(begun, begun / "cut-conversion"), "--precision", "fp32", "--resume"]) == 2
    assert "reached" in capsys.readouterr().err
