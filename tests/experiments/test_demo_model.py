"""A base that is not shipped, or that no GPU takes, ends the demo before a folder is made."""

import torch

from judgerlvr.experiments import demo
from rewards.errors import BAD_INPUT


def test_an_unknown_base_is_one_line_and_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert demo.main(["--model", "llama"]) == BAD_INPUT
    line = capsys.readouterr().err
    assert "llama: no model here" in line and line.count("\n") == 1 and not list(tmp_path.iterdir())


def test_a_base_without_kernels_is_one_line_on_a_gpu_and_no_folder(tmp_path, monkeypatch, capsys):
    """A machine with a GPU takes the GPU by itself. The line says how to take the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert demo.main(["--model", "hysparse2"]) == BAD_INPUT
    line = capsys.readouterr().err
    assert "no kernel takes its layers; set cluster.device=cpu" in line and line.count("\n") == 1
    assert not list(tmp_path.iterdir())
