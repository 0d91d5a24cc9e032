"""Submission: the job's command, and set-ups that no cluster could run."""

import os
from pathlib import Path

import pathspec
import pytest

from judgerlvr import submit
from judgerlvr.cluster.submission import EXCLUDES, make_submission


def entrypoint(stage, *arguments):
    return make_submission(stage, arguments, Path("/shared"), "/env/python", "http://head:8265").entrypoint


def test_runs_and_policies_go_to_the_storage():
    words = entrypoint("stage1_judge", "judge.stop.steps=2")
    folders = ["runs=/shared/runs", "--out", "/shared/ckpt/judge"]
    assert words == ["/env/python", "-m", "judgerlvr.stage1_judge", "judge.stop.steps=2", *folders]


def test_a_given_out_is_kept():
    assert entrypoint("stage2_generate", "--out", "/else").count("--out") == 1


def test_an_experiment_has_a_folder_of_its_plan_and_restarts():
    words = entrypoint("experiment", "configs/tiny.yaml", "generate.stop.steps=2")
    folder = ["--out", "/shared/experiments/tiny", "--restarts", "3"]
    assert words[2:] == ["judgerlvr.experiment", "configs/tiny.yaml", "generate.stop.steps=2", *folder]


@pytest.mark.parametrize("given", [["--out=/else", "--restarts=0"], ["--out", "/else", "--restarts", "0"]])
def test_an_experiment_s_own_options_are_kept(given):
    assert entrypoint("experiment", "configs/tiny.yaml", *given)[3:] == ["configs/tiny.yaml", *given]


def test_a_continued_run_keeps_its_folder():
    assert entrypoint("stage1_judge", "--resume", "/shared/runs/judge")[3:] == ["--resume", "/shared/runs/judge"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--storage", "/shared", "stage3"], "no stage 'stage3'"),
        (["--storage", "here", "stage1_judge"], "--storage is a relative path"),
        (["--storage", "/shared", "--address", "ray://head:10001", "stage1_judge"], "is no dashboard address"),
        (["--storage", "/shared", "--address", "head:6379", "stage1_judge"], "is no dashboard address"),
        (["--storage", "/shared", "--address", "http://127.0.0.1:9", "stage1_judge"], "no cluster answers at"),
        (["--address", "http://127.0.0.1:9", "experiment", "configs/tiny.yaml"], "no --storage"),
        (["--address", "http://127.0.0.1:9", "status"], "no cluster answers at"),
        (["--storage", "/shared", "--address", "http://head:99999", "stage1_judge"], "is no dashboard address"),
        (["--storage", "/shared", "--address", "https://user@:x", "stage1_judge"], "is no dashboard address"),
        (["--storage", "/shared", "--address", "http://", "stage1_judge"], "is no dashboard address"),
        (["--address", "head:6379", "logs", "judgerlvr-judge-1"], "is no dashboard address"),
        (["--address", "http://127.0.0.1:9", "stop", "one", "two"], "no cluster answers at"),
    ],
)
def test_a_wrong_set_up_is_one_line(capsys, words, says):
    assert submit.main(words) == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1


def test_a_token_stays_out_of_the_environment(capsys, monkeypatch):
    """Else Ray starts later clusters of the process with authentication on, and refuses the process."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    before = dict(os.environ)
    submit.main(["--storage", "/shared", "--address", "http://127.0.0.1:9", "stage1_judge"])
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (".", True),
        ("judgerlvr/stage1_judge.py", True),
        ("configs/tiny.yaml", True),
        (".git/HEAD", False),
        ("runs/a", False),
    ],
)
def test_the_code_is_sent_and_nothing_else(path, sent):
    assert pathspec.PathSpec.from_lines("gitignore", EXCLUDES).match_file(path) != sent
