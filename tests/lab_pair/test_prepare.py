"""Settings of the pair are those of the lab's cell, and bad input is a single line."""

import json
import shutil
from collections import Counter

import pytest
import yaml

from benchmarks.lab.cells import all_cells
from benchmarks.lab.records import CellFolder
from benchmarks.lab_pair import evaluate, prepare
from benchmarks.lab_pair.qwen3 import read_policy
from benchmarks.lab_pair.world import verify, world_of
from data.jsonl import read_jsonl
from judgerlvr.config.load import ROOT, load_config
from tests.lab_pair.conftest import NAME
from tests.lab_pair.test_world import as_problem

BEST = "chain-92-05-fresh-12"
RECORD = ROOT / "benchmarks" / "lab" / "results" / "2026-11-30-h200-tenth" / BEST


@pytest.fixture(scope="module")
def prepared(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    prepare.prepare(small.cell, small.base, folder)
    return folder


@pytest.fixture
def best(tmp_path):
    cell = all_cells()[BEST]
    file = tmp_path / "pair.yaml"
    file.write_text(yaml.safe_dump(prepare.settings(cell, world_of(BEST), tmp_path)))
    return load_config(str(file))


def test_the_best_cell_keeps_its_settings(best):
    judge, generate = best.judge, best.generate
    assert (judge.batch.prompts_per_step, generate.batch.prompts_per_step) == (128, 64)
    assert (judge.max_response_tokens, generate.max_response_tokens) == (48, 144)
    assert (judge.stop.steps, generate.stop.steps) == (35, 120)
    for stage in (judge, generate):
        assert (stage.batch.samples_per_prompt, stage.batch.updates_per_step) == (16, 4)
        assert (stage.algorithm.clip_low, stage.algorithm.clip_high) == (0.2, 0.28)
        assert (stage.optimizer.lr, stage.optimizer.warmup_steps) == (1e-4, 2)
        assert not stage.algorithm.dynamic_sampling


def test_judging_takes_as_long_as_in_the_record():
    steps = json.loads((RECORD / "octet-judge-most.json").read_text())["steps"]
    assert Counter(step["kind"] for step in steps) == {"judge": 35, "generate": 85}


def test_problems_are_unlike_and_enough(small, prepared):
    train, held_out = (
        [row["problem"] for row in read_jsonl(prepared / name)] for name in (prepare.TRAIN, prepare.HELD_OUT_FILE)
    )
    assert len(train) == small.cell.rl.prompts * 6
    assert len({*train, *held_out}) == len(train) + len(held_out)


def test_candidates_are_pairs(prepared):
    """Each problem has a right and a wrong candidate, by the verifier of the product."""
    rows = list(read_jsonl(prepared / prepare.CANDIDATES))
    scores = [verify(as_problem(row), row["response"]).score for row in rows]
    assert scores == [1.0, 0.0] * (len(rows) // 2)


def test_points_of_the_base_are_the_labs(small, prepared):
    stored = {name: value.bfloat16().float() for name, value in small.base.items()}
    found = evaluate.points(
        small.cell, {"base": stored, "exported": read_policy(small.shape, prepared / prepare.MODEL)}
    )
    assert found["base"] == found["exported"]
    assert 0 <= found["base"]["greedy_accuracy"] <= 1


@pytest.fixture
def cell_folder(small, tmp_path):
    folder = CellFolder(tmp_path / "cell")
    folder.path.mkdir()
    folder.write_claim(small.cell)
    folder.save_base(small.base)
    return folder.path


def refused(capsys, module, *words):
    assert module.main(list(map(str, words))) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_a_folder_without_a_cell_is_refused(capsys, tmp_path):
    assert "cell.json" in refused(capsys, prepare, tmp_path, "--out", tmp_path / "out")


def test_a_cell_of_another_world_is_refused(capsys, cell_folder, tmp_path):
    (cell_folder / "cell.json").write_text('{"cell": "gate-smoke"}')
    assert "'gate-smoke'" in refused(capsys, prepare, cell_folder, "--out", tmp_path / "out")


def test_a_cell_without_a_base_is_refused(capsys, cell_folder, tmp_path):
    (cell_folder / "base.pt").unlink()
    assert f"benchmarks.lab.run {NAME}" in refused(capsys, prepare, cell_folder, "--out", tmp_path / "out")


def test_a_folder_in_use_keeps_its_files(capsys, cell_folder, prepared, tmp_path):
    used = shutil.copytree(prepared, tmp_path / "used")
    before = {file.name: file.stat().st_mtime for file in used.iterdir()}
    assert "is not empty" in refused(capsys, prepare, cell_folder, "--out", used)
    assert {file.name: file.stat().st_mtime for file in used.iterdir()} == before


@pytest.mark.parametrize("word", ["nowhere", "a=", "=b", "a=nowhere"])
def test_a_policy_that_is_none_is_refused(capsys, cell_folder, tmp_path, word):
    assert "NAME=DIR" in refused(capsys, evaluate, cell_folder, word, "--out", tmp_path / "points.json")
    assert not (tmp_path / "points.json").exists()
