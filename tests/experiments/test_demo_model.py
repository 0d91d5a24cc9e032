"""A base that is not shipped ends the demo before a folder is made."""

from judgerlvr.experiments import demo
from rewards.errors import BAD_INPUT


def test_an_unknown_base_is_one_line_and_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert demo.main(["--model", "llama"]) == BAD_INPUT
    line = capsys.readouterr().err
    assert "llama: no model here" in line and line.count("\n") == 1 and not list(tmp_path.iterdir())
