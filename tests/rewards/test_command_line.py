"""Paths of command lines: ``~`` is the home folder wherever it stands, since no shell expands ``--out=~/x``."""

from pathlib import Path

import pytest

from rewards.command_line import OneLineParser


@pytest.mark.parametrize("words", [["--out=~/x", "~/y"], ["--out", "~/x", "~/y"]])
def test_a_path_of_the_home_folder(monkeypatch, words):
    monkeypatch.setenv("HOME", "/home/someone")
    parser = OneLineParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("files", type=Path, nargs="*")
    options = parser.parse_args(words)
    assert (options.out, options.files) == (Path("/home/someone/x"), [Path("/home/someone/y")])


def test_other_paths_stay_as_they_are_written():
    parser = OneLineParser()
    parser.add_argument("--out", type=Path, default=Path("~"))
    assert parser.parse_args(["--out", "a/../b~"]).out == Path("a/../b~")
