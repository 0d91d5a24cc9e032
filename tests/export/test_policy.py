"""An export holds what the ranks trained, in the rollouts' dtype, and is there whole or not at all."""

import json
import shutil
import subprocess
import sys
from subprocess import PIPE

import pytest
import torch
from safetensors.torch import load_file, save_file

from judgerlvr.export import policy
from judgerlvr.export.__main__ import main
from judgerlvr.export.change import Change, change
from judgerlvr.export.errors import ExportMismatch
from judgerlvr.export.policy import export_policy
from judgerlvr.runs.lock import LOCK
from rewards.errors import InputError


def by_hand(joined):
    """Every name and tensor of an export."""
    made = {}
    for name, tensor in joined.items():
        if name.endswith("gate_up_proj"):
            for expert in range(5):
                base = name.replace("gate_up_proj", str(expert))
                made[f"{base}.gate_proj.weight"] = tensor[expert][:28]
                made[f"{base}.up_proj.weight"] = tensor[expert][28:]
        elif name.endswith("experts.down_proj"):
            for expert in range(5):
                made[f"{name.replace('down_proj', str(expert))}.down_proj.weight"] = tensor[expert]
        elif name != "lm_head.weight":
            made[name] = tensor
    return made


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_export_is_what_the_ranks_hold(checkpoint, joined, dtype):
    path = checkpoint.parent.parent / "verl.yaml"
    path.write_text(path.read_text().replace("dtype: float32", f"dtype: {dtype}"))
    tensors = load_file(export_policy(checkpoint).folder / "model.safetensors")
    expected = {name: tensor.to(getattr(torch, dtype)) for name, tensor in by_hand(joined).items()}
    assert tensors.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(tensors[name], expected[name])] == []


def test_rollout_engines_own_dtype_counts(checkpoint):
    path = checkpoint.parent.parent / "verl.yaml"
    path.write_text(path.read_text().replace("vllm: {}", "vllm: {dtype: half}"))
    assert export_policy(checkpoint).dtype == torch.float16


def test_share_of_changed_weights_against_a_naive_count(checkpoint, trained, joined):
    """Of a base whose weights are half the trained weights."""
    base = load_file(trained[0] / "model.safetensors")
    made = by_hand(joined)
    exported = export_policy(checkpoint)
    differing = sum(int((made[name] != base[name].float()).sum()) for name in made)
    assert exported.change.differing == differing
    assert exported.change.total == exported.change.compared == sum(tensor.numel() for tensor in base.values())


def test_weights_that_rounding_takes_back_to_the_base_are_not_counted(tmp_path):
    base = torch.linspace(1, 2, 101).to(torch.bfloat16)
    trained = base.float() * (1 + 1e-4)
    trained[:7] += 0.5
    for name, tensor in (("base", base), ("export", trained.to(torch.bfloat16))):
        (tmp_path / name).mkdir()
        save_file({"w": tensor}, tmp_path / name / "model.safetensors")
    assert change(tmp_path / "export", tmp_path / "base") == Change(7, 101, 101)


def test_several_files_have_an_index(checkpoint, joined, monkeypatch):
    monkeypatch.setattr("judgerlvr.export.writer.MAX_FILE", "40KB")
    folder = export_policy(checkpoint).folder
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 3
    assert index["weight_map"] == {name: file.name for file in files for name in load_file(file)}
    assert index["weight_map"].keys() == by_hand(joined).keys()


def test_config_says_the_dtype_and_no_setting_of_the_run(checkpoint, tmp_path, trained):
    base = tmp_path / "base"
    shutil.copytree(trained[0], base)
    config = json.loads((base / "config.json").read_text())
    of_the_run = {"attn_implementation": "packed_sdpa", "_attn_implementation": "sdpa", "use_cache": False}
    (base / "config.json").write_text(json.dumps(config | of_the_run | {"torch_dtype": "bfloat16"}))
    path = checkpoint.parent.parent / "verl.yaml"
    path.write_text(path.read_text().replace(str(trained[0]), str(base)))
    found = json.loads((export_policy(checkpoint).folder / "config.json").read_text())
    config.pop("use_cache")
    assert found == config | {"dtype": "float32"}


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"]
)
def test_file_of_the_base_is_carried(exported, trained, name):
    assert (exported.folder / name).read_bytes() == (trained[0] / name).read_bytes()


def test_an_export_that_is_not_proved_is_not_there(checkpoint, monkeypatch):
    def refuse(*_):
        raise ExportMismatch("damaged")

    monkeypatch.setattr(policy, "prove", refuse)
    with pytest.raises(ExportMismatch):
        export_policy(checkpoint)
    assert sorted(path.name for path in checkpoint.iterdir()) == ["COMPLETE.json", "actor", LOCK]


def test_an_export_that_is_there_is_proved_again_and_not_written(exported, checkpoint):
    before = (exported.folder / "model.safetensors").stat().st_mtime_ns
    assert export_policy(checkpoint) == exported
    assert (exported.folder / "model.safetensors").stat().st_mtime_ns == before


def test_command_exports_any_checkpoint(checkpoint, capsys):
    assert main([str(checkpoint)]) == 0
    assert "equal to the trainer's shards" in capsys.readouterr().out
    assert (checkpoint / "policy" / "config.json").is_file()


def test_command_refuses_what_is_no_checkpoint(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "give RUN/checkpoints/global_step_N" in capsys.readouterr().err


def test_a_full_disk_is_said_before_anything_is_written(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(policy.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert main([str(checkpoint)]) == 1
    said = capsys.readouterr().err
    assert "no space left on the device, 0.00 GiB free" in said and said.endswith("give the same command again\n")
    assert not (checkpoint / "policy").exists()


KILLED = """
import os, pathlib, sys
from judgerlvr.export import policy
policy.prove = lambda *_: os.kill(os.getpid(), 9)
policy.export_policy(pathlib.Path(sys.argv[1]))
"""


def test_what_a_killed_export_left_goes_with_the_next(checkpoint):
    assert subprocess.run([sys.executable, "-c", KILLED, str(checkpoint)], check=False).returncode == -9
    assert list(checkpoint.glob(".policy.*"))
    export_policy(checkpoint)
    assert not list(checkpoint.glob(".policy.*")) and (checkpoint / "policy").is_dir()


def test_two_processes_do_not_export_a_checkpoint_at_once(checkpoint):
    """The second one would take the first one's unfinished folder for a dead one's."""
    code = f"from pathlib import Path; from judgerlvr.runs.lock import held\nwith held(Path({str(checkpoint)!r})):\n"
    first = subprocess.Popen([sys.executable, "-c", code + " print(flush=True)\n input()"], stdin=PIPE, stdout=PIPE)
    first.stdout.readline()
    with pytest.raises(InputError, match="in use by process"):
        export_policy(checkpoint)
    first.communicate(b"\n")
