"""The page "your model, your data, one GPU": the commands parse, the checks pass, the figures are the plan's."""

import importlib
import re
import shutil

import pytest

from data.importing.sources import hub_name
from data.jsonl import write_jsonl
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.evaluate import parse_arguments as parse_evaluate
from judgerlvr.models.tensors import wanted_shapes
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.shapes import read_shape
from rewards import errors
from tests.helpers.sparse_weights import write_sparse_weights
from tests.house.references import commands

PAGE = (ROOT / "docs" / "one-gpu.md").read_text()
TROUBLE = (ROOT / "docs" / "troubleshooting.md").read_text()
BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
SHAPE = ROOT / "tests" / "planning" / "shapes" / "qwen3-0.6b"
OURS = [words for words in commands(PAGE) if words[0].startswith("judgerlvr.")]
CONFIG = "configs/qwen3_0.6b_gsm8k.yaml"


def given(module):
    return [words[1:] for words in OURS if words[0] == f"judgerlvr.{module}"]


def run(module, words):
    return importlib.import_module(f"judgerlvr.{module}").main(words)


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """A working folder with a model of the page's shape and problems in GSM8K's layout, under the page's names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    model = tmp_path / "models" / "Qwen3-0.6B"
    shutil.copytree(BASE, model, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copy(SHAPE / "config.json", model / "config.json")
    write_sparse_weights(model / "model.safetensors", wanted_shapes(model))
    (tmp_path / "problems").mkdir()
    for number, name in enumerate(("train", "heldout", "test")):
        rows = [
            {
                "question": f"Shop {number} sells {n} hats and {n + 7} coats on day {n}. How many in all?",
                "answer": f"So {n} + {n + 7} = {2 * n + 7}\n#### {2 * n + 7}",
            }
            for n in range(number * 200, number * 200 + 150)
        ]
        write_jsonl(tmp_path / "problems" / f"gsm8k-{name}.jsonl", rows)
    return tmp_path


def test_the_page_has_a_command_of_each_kind():
    modules = {words[0].removeprefix("judgerlvr.") for words in OURS}
    assert modules >= {"inspect_data", "doctor", "stage1_judge", "stage2_generate", "evaluate", "report"}


@pytest.mark.parametrize("words", [words for words in given("inspect_data") if "--golds" in words], ids=str)
def test_golds_are_listed(at_home, capsys, words):
    assert run("inspect_data", words) == 0
    assert " 0 of 150 golds never matched" in capsys.readouterr().out


def test_sources_of_the_hub_have_their_form():
    named = [words[0] for words in given("inspect_data") if "--out" in words]
    assert [hub_name(name).split for name in named] == ["train", "test"]


def test_the_doctor_finds_no_fault_and_names_the_pages_next_command(at_home, capsys):
    (words,) = given("doctor")
    assert run("doctor", words) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.removeprefix("next: python -m judgerlvr.stage1_judge ").split() in given("stage1_judge")


@pytest.mark.parametrize("module", ["stage1_judge", "stage2_generate"])
def test_dry_runs_pass(at_home, capsys, module):
    (words,) = (words for words in given(module) if "--dry-run" in words)
    assert run(module, words) == 0
    assert "verdict: fits" in capsys.readouterr().out


def test_stage_2_begins_where_stage_1_ends(at_home):
    (words,) = (words for words in given("stage2_generate") if "--init" in words)
    (at_home / "ckpt").mkdir()
    (at_home / "ckpt" / "judge").symlink_to(at_home / "models" / "Qwen3-0.6B")
    assert run("stage2_generate", [*words, "--dry-run"]) == 0


def test_evaluations_parse_and_name_what_the_page_made():
    models = [str(parse_evaluate(words).model) for words in given("evaluate")]
    assert models == [load_config(ROOT / CONFIG).model.path.removeprefix(f"{ROOT}/"), "ckpt/generate"]


def test_the_table_is_the_plan():
    machine = Machine(card="h100", host_gib=64.0, disk_gib=400.0, network_gb_s=50.0)
    plans = [make_plan(kind, load_config(ROOT / CONFIG), read_shape(SHAPE), machine) for kind in ("judge", "generate")]
    assert all(plan.fits for plan in plans)
    highest = [max(plan.phases, key=lambda phase: phase.gib) for plan in plans]
    update = [next(phase for phase in plan.phases if phase.name == "update") for plan in plans]
    rows = {
        f"GPU, highest phase ({highest[0].name})": [phase.gib for phase in highest],
        "GPU, update": [phase.gib for phase in update],
        "host": [plan.storage.host_gib for plan in plans],
        "disk": [plan.storage.disk_gib for plan in plans],
    }
    for name, values in rows.items():
        assert f"| {name} | {values[0]:.1f} | {values[1]:.1f} |" in PAGE


def said_by_the_code():
    files = [path for top in ("judgerlvr", "rewards", "data") for path in (ROOT / top).rglob("*.py")]
    return " ".join(" ".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()).split()) for path in files)


def test_every_symptom_is_a_message_of_the_code():
    """Words between placeholders of a symptom stand in the code as they stand in the table."""
    code = said_by_the_code()
    symptoms = re.findall(r"^\| (?:a phase such as )?`([^`]+)`", TROUBLE, re.M)
    assert len(symptoms) > 20
    for symptom in symptoms:
        name = symptom.removeprefix("guard ")
        parts = [name] if name != symptom else re.split(r"\b[NM]\b|\.\.\.|wandb", symptom)
        missing = [part.strip(" ,") for part in parts if part.strip(" ,") and part.strip(" ,") not in code]
        assert not missing, symptom


def test_exit_codes_of_the_page():
    assert (errors.BAD_INPUT, errors.FAILED) == (2, 1)
    assert "Exit\ncode 2 is bad input, 1 is a run that ended badly, 130 and 143 are signals" in TROUBLE
