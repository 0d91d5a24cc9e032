"""Distillation: packing scores what it should, and the student moves towards its source."""

import copy
import json

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

import judgerlvr.hysparse.registration  # noqa: F401
from data.jsonl import write_jsonl
from judgerlvr.hysparse.distill import main
from judgerlvr.hysparse.distillation import IGNORED, Text, distil, divergence, heldout_loss, pack
from judgerlvr.hysparse.options import Plan
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from tests.helpers.hysparse_models import random_ids

SIZES = {"hidden_size": 32, "intermediate_size": 64, "head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
SMALL = ["--sparse-ratio", "2", "--select-block", "16", "--select-tokens", "16", "--window", "6"]


@pytest.fixture
def source():
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=512, num_hidden_layers=4, initializer_range=0.2, **SIZES)).eval()


def texts_of(count, length, context=0):
    return [Text(row.tolist(), context) for row in random_ids(count, length)]


def test_pack_scores_each_text_after_its_context():
    packed = pack([Text([1, 2, 3, 4], 2), Text([5, 6]), Text([7, 8, 9])], length=6)
    assert packed.ids.tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 0, 0, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 4, 5]]
    no = IGNORED
    assert packed.labels.tolist() == [[no, 3, 4, no, 6, no], [8, 9, no, no, no, no]]


def test_packed_loss_is_that_of_the_texts_alone(source):
    texts = texts_of(5, 20, context=3)
    assert heldout_loss(source, pack(texts, 50), 2) == pytest.approx(heldout_loss(source, pack(texts, 20), 1), rel=1e-5)


def test_student_approaches_its_source(source):
    from judgerlvr.hysparse.conversion import convert

    student = convert(source, sparse_ratio=2, select_block=4, select_tokens=8, sliding_window=6)
    texts = pack(texts_of(32, 40), 40)
    curve = list(distil(student, source, texts, texts, Plan(steps=20, rows=8, lr=3e-3, every=20)))
    assert [line["step"] for line in curve] == [0, 20]
    assert curve[-1]["tokens"] == 20 * 8 * 39
    assert curve[-1]["heldout"] < curve[0]["heldout"]


def test_matching_hidden_states_adds_the_layers_distances(source):
    """A student that is its source is at no distance. The weight multiplies another's."""
    texts = pack(texts_of(4, 20), 20)
    assert divergence(source, source, texts, 1.0).item() == pytest.approx(0, abs=1e-6)
    student = copy.deepcopy(source)
    with torch.no_grad():
        student.model.layers[0].mlp.down_proj.weight.zero_()
    plain, one, two = (divergence(student, source, texts, weight).item() for weight in (0.0, 1.0, 2.0))
    assert one > plain
    assert two - one == pytest.approx(one - plain, rel=1e-4)


def test_command_writes_a_loadable_model_and_its_curve(source, tmp_path):
    source.to(torch.bfloat16).save_pretrained(tmp_path / "source")
    train_tokenizer().save_pretrained(tmp_path / "source")
    write_jsonl(tmp_path / "texts.jsonl", [{"prompt": "1 + 1 = ", "text": f"{n}"} for n in range(9)])
    command = [str(tmp_path / "source"), str(tmp_path / "out"), "--texts", str(tmp_path / "texts.jsonl"), *SMALL]
    assert main([*command, "--heldout", "2", "--length", "32", "--steps", "2", "--every", "1", "--rows", "1"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "distill.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2]
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert (made.config.model_type, made.dtype) == ("hysparse", torch.bfloat16)


@pytest.mark.parametrize(("rows", "message"), [([{"prompt": "a"}], "no text"), ([{"text": "a"}], "all held out")])
def test_bad_texts_are_one_line_and_exit_code_2(source, tmp_path, capsys, rows, message):
    source.save_pretrained(tmp_path / "source")
    train_tokenizer().save_pretrained(tmp_path / "source")
    write_jsonl(tmp_path / "texts.jsonl", rows)
    capsys.readouterr()
    assert main([str(tmp_path / "source"), str(tmp_path / "out"), "--texts", str(tmp_path / "texts.jsonl")]) == 2
    assert message in capsys.readouterr().err
