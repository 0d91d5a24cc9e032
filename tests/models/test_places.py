"""The output of a command lies apart from the folders that the command reads, and no empty path names a folder."""

import json
import shutil

import pytest

from judgerlvr import benchmark, diagnose, evaluate, experiment, sample_candidates
from judgerlvr.__main__ import COMMANDS, main
from judgerlvr.models.places import check_output_apart, standing
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.problems import generate_problems, write_problems
from rewards.errors import BAD_INPUT, InputError
from tests.helpers.commands import exit_code_of


@pytest.fixture
def places(tmp_path):
    """A model and a folder of problems, each in a folder of its own, and a link to the model."""
    shutil.copytree(base_path("qwen3_moe"), tmp_path / "models" / "model")
    (tmp_path / "sets" / "data").mkdir(parents=True)
    write_problems(tmp_path / "sets" / "data" / "train.jsonl", generate_problems(4, 0, "train"))
    (tmp_path / "link").symlink_to(tmp_path / "models" / "model")
    return tmp_path


STANDING = {
    "models/model": "is",
    "models/model/": "is",
    "models/model/out": "lies in",
    "models/model/new/out": "lies in",
    "link": "is",
    "link/out": "lies in",
    "out/../models/model": "is",
    "models": "holds",
    ".": "holds",
    "models/model-2": None,
    "models/out": None,
    "out": None,
}


@pytest.mark.parametrize("name", STANDING)
def test_how_a_place_stands_to_a_folder(places, name):
    assert standing(places / name, places / "models" / "model") == STANDING[name]


@pytest.mark.parametrize("name", STANDING)
def test_only_a_place_apart_is_taken(places, name):
    if STANDING[name] is None:
        check_output_apart(places / name, [places / "models" / "model", places / "sets" / "data" / "train.jsonl"])
    else:
        with pytest.raises(InputError, match=STANDING[name]):
            check_output_apart(places / name, [places / "models" / "model"])


def diagnosing(places, out):
    words = ["--model", str(places / "models" / "model"), "--data", str(places / "sets" / "data"), "--out", out]
    return diagnose.main([*words, "--n", "2"])


def judging(places, out):
    words = ["--model", str(places / "models" / "model"), "--data", str(places / "sets" / "data"), "--out", out]
    return diagnose.main([*words, "--judge-steps", "1", "--judge-config", "configs/tiny.yaml"])


def evaluating(places, out):
    words = ["--model", str(places / "models" / "model"), "--data", str(places / "sets" / "data")]
    return evaluate.main([*words, "--out", out])


def benchmarking(places, out):
    """The folder of problems is no argument here, and the file of the suite lies elsewhere."""
    suite = places / "suite.yaml"
    suite.write_text(json.dumps({"tasks": [{"name": "own", "file": str(places / "sets" / "data" / "train.jsonl")}]}))
    return benchmark.main(["--model", str(places / "models" / "model"), "--suite", str(suite), "--out", out])


def sampling(places, out):
    words = ["--model", str(places / "models" / "model"), "--data", str(places / "sets" / "data"), "--out", out]
    return sample_candidates.main(["--config", "configs/tiny.yaml", *words])


def experimenting(places, out):
    return experiment.main(["configs/tiny.yaml", "--out", out, f"model.path={places / 'models' / 'model'}"])


MODEL = ["models/model", "models/model/out", "models", "link/out"]
DATA = ["sets/data", "sets/data/out", "sets"]
REFUSED = [
    *((command, name) for command in (diagnosing, judging, evaluating, sampling) for name in (*MODEL, *DATA)),
    *((command, name) for command in (benchmarking, experimenting) for name in MODEL),
]


@pytest.mark.parametrize(("command", "name"), REFUSED)
def test_a_command_writes_nothing_into_what_it_reads(places, capsys, command, name):
    before = sorted(places.rglob("*"))
    assert exit_code_of(lambda words: command(places, words), str(places / name)) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "which is read" in line
    assert [path for path in sorted(places.rglob("*")) if path.name != "suite.yaml"] == before


def options_of(name, capsys):
    exit_code_of(main, [name, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_takes_an_empty_path_for_a_folder(tmp_path, monkeypatch, capsys, name):
    """A shell makes it of a variable that is not set. The current folder would get the files."""
    if "--out " not in options_of(name, capsys):
        return
    monkeypatch.chdir(tmp_path)
    assert exit_code_of(main, [name, "--out", ""]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "empty path" in line and not list(tmp_path.iterdir())
