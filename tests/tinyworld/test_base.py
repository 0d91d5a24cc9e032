"""The committed base models, and the pretraining and gates they came from."""

import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from judgerlvr.tinyworld.making.acceptance import judge_gates, measure
from judgerlvr.tinyworld.making.all_experts import use_all_experts
from judgerlvr.tinyworld.making.checkpoint import base_path, save_checkpoint
from judgerlvr.tinyworld.making.intervals import balanced, mean, rate
from judgerlvr.tinyworld.making.model import SHAPES, fresh_model, make_config
from judgerlvr.tinyworld.making.sft import IGNORED, Examples, SFTConfig, collate, learning_rate, train
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.traces import Tracer

ROOT = Path(__file__).parents[2]
BASES = sorted(folder.name for folder in base_path().parent.iterdir() if (folder / "config.json").is_file())
SMALL = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 2}


@pytest.fixture(autouse=True)
def one_thread():
    """At this size a second thread gains nothing, and on a busy machine its spinning costs minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def load(architecture):
    path = base_path(architecture)
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32), AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize("architecture", BASES)
def test_vocabulary_is_the_tokenizers(architecture):
    model, tokenizer = load(architecture)
    assert model.config.vocab_size == len(tokenizer) == model.get_input_embeddings().weight.shape[0]


@pytest.mark.parametrize("architecture", BASES)
def test_logits_are_finite(architecture):
    model, tokenizer = load(architecture)
    with torch.no_grad():
        logits = model(torch.arange(len(tokenizer))[None, :]).logits
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("architecture", BASES)
def test_weights_are_small_and_bf16(architecture):
    weights = base_path(architecture) / "model.safetensors"
    assert weights.stat().st_size <= 12 * 2**20
    assert AutoModelForCausalLM.from_pretrained(base_path(architecture), dtype="auto").dtype == torch.bfloat16


@pytest.mark.parametrize("architecture", BASES)
def test_card_is_there(architecture):
    card = (base_path(architecture) / "README.md").read_text()
    assert "license: apache-2.0" in card and "| generation accuracy |" in card


def test_base_passes_its_gates_on_a_small_sample():
    """Each bound may be missed by the figure, not by its whole interval: the sample is small."""
    torch.manual_seed(0)
    model, tokenizer = load("qwen3_moe")
    for gate in measure(model, tokenizer, Tracer(World()), problems=12, each=4):
        assert gate.at_least is None or gate.high >= gate.at_least, gate.row
        assert gate.at_most is None or gate.low <= gate.at_most, gate.row


@pytest.mark.parametrize("architecture", SHAPES)
def test_twenty_steps_lower_the_loss(architecture):
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    model = fresh_model(make_config(architecture, tokenizer, SMALL), seed=0)
    config = SFTConfig(steps=20, rows=16, lr=3e-3, warmup=2)
    losses = train(model, tokenizer, Tracer(World()), config, log=lambda line: None)
    assert len(losses) == 20
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(("architecture", "parameters"), [("qwen3_moe", 3_398_976), ("hysparse_moe", 3_693_936)])
def test_script_writes_a_checkpoint_that_loads(architecture, parameters, tmp_path):
    options = ["--architecture", architecture, "--out", str(tmp_path), "--gate-problems", "0"]
    command = [sys.executable, "scripts/make_base_model.py", *options, "--steps", "4", "--rows", "4"]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert (tmp_path / "model.safetensors").stat().st_size <= 10 * 2**20
    assert not list(tmp_path.glob("*.py"))


def test_a_base_of_each_shape_is_committed():
    assert set(BASES) == set(SHAPES)


@pytest.mark.parametrize("architecture", ["hysparse", "hysparse_moe", "hysparse2"])
def test_half_of_the_queries_must_choose(architecture):
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    selection = make_config(architecture, tokenizer).selection
    draw = random.Random(0)
    examples = Examples(Tracer(World()), tokenizer, SFTConfig(judge_share=0.0)).examples(draw, 40)
    seen = [token // selection.block + 1 for ids, _ in examples for token in range(len(ids))]
    assert sum(blocks > selection.count for blocks in seen) >= 0.5 * len(seen)


@pytest.mark.parametrize("architecture", ["qwen3_moe", "hysparse"])
def test_saved_checkpoint_gives_the_same_logits(architecture, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    model = fresh_model(make_config(architecture, tokenizer, SMALL), seed=0)
    save_checkpoint(model, tokenizer, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    ids = torch.arange(20)[None, :]
    with torch.no_grad():
        assert torch.equal(model.float()(ids).logits, again(ids).logits)


@pytest.mark.parametrize("architecture", ["qwen3_moe", "hysparse_moe"])
def test_all_experts_equal_routed_experts(architecture):
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    model = fresh_model(make_config(architecture, tokenizer, SMALL), seed=0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ids = torch.arange(40)[None, :]
    with torch.no_grad():
        model.config._experts_implementation = "eager"
        routed = model(ids).logits
        use_all_experts(model)
        torch.testing.assert_close(model(ids).logits, routed, rtol=1e-3, atol=1e-3)


def test_only_responses_are_trained_on():
    ids, labels = collate([([5, 6, 7, 8], 2), ([5, 6, 7], 1)], pad=0)
    assert ids.tolist() == [[5, 6, 7, 8], [5, 6, 7, 0]]
    assert labels.tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED, 6, 7, IGNORED]]


def test_learning_rate_warms_up_and_decays_by_steps_or_seconds():
    config = SFTConfig(steps=100, warmup=10, lr=1.0, final_lr=0.1, seconds=50.0)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 100, 0.0) == learning_rate(config, 20, 50.0) == pytest.approx(0.1)
    assert learning_rate(replace(config, seconds=math.inf), 50, 1e9) == pytest.approx(0.55)


def test_intervals_equal_known_values():
    wilson = rate("x", [True] * 8 + [False] * 2)  # Wilson 95 % for 8 of 10: 0.490 to 0.943
    assert (wilson.low, wilson.high) == pytest.approx((0.490, 0.943), abs=1e-3)
    draw = random.Random(0)
    values = [draw.gauss(3.0, 2.0) for _ in range(400)]
    gate = mean("x", values)
    assert gate.high - gate.low == pytest.approx(2 * 1.96 * 2.0 / 20, rel=0.1)


def test_a_figure_without_samples_fails_its_gate():
    assert not rate("x", [], at_least=0.5).passed
    assert not next(gate for gate in judge_gates([], [], World()) if gate.name == "judge balanced accuracy").passed


def test_balanced_accuracy_ignores_class_sizes():
    right, wrong = rate("r", [True] * 90 + [False] * 10), rate("w", [False] * 4 + [True] * 6)
    assert balanced("b", right, wrong, 0.5, 0.7).value == pytest.approx(0.75)
