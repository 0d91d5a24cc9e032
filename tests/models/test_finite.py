"""Weights that are NaN or infinite are named, by type, by place and by command, before anything is sampled."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from judgerlvr.evaluate import main as evaluate
from judgerlvr.models.finite import check_finite, is_finite
from judgerlvr.stage1_judge import main as judge
from judgerlvr.stage2_generate import main as generate
from rewards.errors import InputError
from tests.helpers.model_damage import BASE, WEIGHTS

BAD = (float("nan"), float("inf"), float("-inf"))
TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2)


@pytest.fixture
def broken(tmp_path):
    """Makes a copy of the base, a single value of which is replaced."""

    def make(value, name="model.norm.weight", folder="model"):
        shutil.copytree(BASE, tmp_path / folder)
        tensors = load_file(BASE / WEIGHTS)
        tensors[name].view(-1)[-1] = value
        save_file(tensors, tmp_path / folder / WEIGHTS, metadata={"format": "pt"})
        return tmp_path / folder

    return make


@pytest.mark.parametrize("place", [0, 4095, 8191])
@pytest.mark.parametrize("kind", TYPES)
def test_a_single_value_is_found(kind, place):
    values = torch.ones(8192)
    assert is_finite(values.to(kind))
    values[place] = float("nan")
    assert not is_finite(values.to(kind))


@pytest.mark.parametrize("value", BAD)
def test_the_tensor_is_named(broken, value):
    with pytest.raises(InputError, match=r"model\.norm\.weight holds a NaN or an infinity"):
        check_finite(broken(value))


def test_whole_numbers_and_empty_tensors_are_finite():
    assert is_finite(torch.arange(4)) and is_finite(torch.empty(0))


COMMANDS = {
    "judge": (judge, ["--config", "configs/tiny.yaml", "--dry-run", "cluster.device=cpu", "model.path={}"]),
    "generate": (generate, ["--config", "configs/tiny.yaml", "cluster.device=cpu", "model.path={}"]),
    "evaluate": (evaluate, ["--model", "{}", "--data", "one.jsonl"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_refuses_the_policy(broken, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.jsonl").write_text('{"problem": "1+1?", "gold": "2"}\n')
    main, arguments = COMMANDS[command]
    policy = broken(float("nan"))
    assert main([word.format(policy) for word in arguments]) == 2
    said = capsys.readouterr().err
    assert "holds a NaN" in said and said.count("\n") == 1
