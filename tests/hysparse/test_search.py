"""The search against whole conversions: equal losses, the greedy choice, one copy of weights, and texts that tell."""

import json
import math
import random
from argparse import Namespace

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

import judgerlvr.hysparse.model.registration  # noqa: F401
from data.jsonl import write_jsonl
from judgerlvr.hysparse.conversion import placements
from judgerlvr.hysparse.conversion.conversion import config_from, convert
from judgerlvr.hysparse.conversion.derived_files import copy_files
from judgerlvr.hysparse.conversion.divergence import heldout_loss
from judgerlvr.hysparse.conversion.options import InitialValues
from judgerlvr.hysparse.conversion.placements import Stack, batches_of, greedy, layer_runs, loss_of, losses_of_flips
from judgerlvr.hysparse.conversion.search import crowded_share, curve, usable
from judgerlvr.hysparse.conversion.source_tokenizer import read_tokenizer
from judgerlvr.hysparse.conversion.texts import IGNORED, Text, pack, read_texts
from judgerlvr.hysparse.convert import main
from judgerlvr.hysparse.model.layout import FULL, SPARSE
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from tests.helpers.commands import exit_code_of
from tests.helpers.hysparse_models import PEAKED, random_ids

SIZES = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
BITE = {"select_block": 4, "select_tokens": 8, "sliding_window": 6}
START = InitialValues(0.4, 0.6)
CLOSE = {"rel": 1e-5}


def make_source(family="qwen3", layers=5, tied=False):
    torch.manual_seed(3)
    sizes = {**SIZES, "num_hidden_layers": layers, "tie_word_embeddings": tied}
    if family == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**sizes)).eval()
    else:
        model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, **EXPERTS)).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.mul_(PEAKED)
    return model


def packed_texts(count=5, length=30, seed=1):
    return pack([Text(row.tolist(), context=4) for row in random_ids(count, length, seed)], 64)


def converted_loss(source, kinds, texts):
    """The loss by a whole conversion, without the search."""
    return heldout_loss(convert(source, START, layer_types=kinds, **BITE), texts, rows=2)


def kinds_of(letters):
    return [FULL if letter == "f" else SPARSE for letter in letters]


@pytest.mark.parametrize("letters", ["fffff", "fssss", "fsfsf", "ffssf"])
@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe"])
def test_a_loss_equals_that_of_the_converted_model(family, letters):
    source, texts = make_source(family), packed_texts()
    found = loss_of(Stack(source, START, **BITE), kinds_of(letters), batches_of(texts, 2))
    assert found == pytest.approx(converted_loss(source, kinds_of(letters), texts), **CLOSE)


def test_all_layers_full_have_the_sources_loss():
    source, texts = make_source(), packed_texts()
    found = loss_of(Stack(source, START, **BITE), kinds_of("fffff"), batches_of(texts, 2))
    assert found == pytest.approx(heldout_loss(source, texts, 2), **CLOSE)


@pytest.mark.parametrize("letters", ["fffff", "ffsff", "fsffs"])
def test_flips_equal_conversions_one_by_one(letters):
    source, texts = make_source(), packed_texts()
    found = losses_of_flips(Stack(source, START, **BITE), kinds_of(letters), batches_of(texts, 2))
    assert list(found) == [layer for layer in range(1, 5) if letters[layer] == "f"]
    for layer, loss in found.items():
        flipped = kinds_of(letters[:layer] + "s" + letters[layer + 1 :])
        assert loss == pytest.approx(converted_loss(source, flipped, texts), **CLOSE)


def test_greedy_takes_the_cheapest_layer_at_each_step():
    source, texts = make_source(), packed_texts()
    path = list(greedy(Stack(source, START, **BITE), batches_of(texts, 2)))
    kinds = kinds_of("fffff")
    assert path[0][0] == kinds
    for found, loss in path[1:]:
        flips = [[*kinds[:n], SPARSE, *kinds[n + 1 :]] for n in range(1, 5) if kinds[n] == FULL]
        losses = [converted_loss(source, flip, texts) for flip in flips]
        assert loss == pytest.approx(min(losses), **CLOSE)
        kinds = flips[losses.index(min(losses))]
        assert found == kinds
    assert kinds == kinds_of("fssss")


def test_of_equal_losses_the_lower_layer_wins(monkeypatch):
    """The losses come with the highest layer first, so that their order decides nothing."""
    honest = placements.losses_of_flips
    monkeypatch.setattr(placements, "losses_of_flips", lambda *given: dict.fromkeys(sorted(honest(*given))[::-1], 1.0))
    path = greedy(Stack(make_source(), START, **BITE), batches_of(packed_texts(1), 1))
    assert [kinds for kinds, _ in path] == [kinds_of(row) for row in ("fffff", "fsfff", "fssff", "fsssf", "fssss")]


@pytest.mark.parametrize("layers", [3, 6])
@pytest.mark.parametrize("tied", [True, False])
def test_the_search_adds_gates_and_sinks_and_no_weight(layers, tied):
    source = make_source(layers=layers, tied=tied)
    held = {parameter.data_ptr() for parameter in source.parameters()}
    stack = Stack(source, START, **BITE)
    parameters = {name: p for kind in (FULL, SPARSE) for name, p in stack.layers[kind].named_parameters()}
    added = {name: p.numel() for name, p in parameters.items() if p.data_ptr() not in held}
    assert all(".g_" in name or "sinks" in name for name in added)
    # Head gates: hidden size + bias for 4 heads and 2 branches, and 2 x 4 sinks.
    assert sum(added.values()) == (layers - 1) * (2 * 4 * (32 + 1) + 2 * 4)


@pytest.mark.parametrize("layers", [3, 6])
def test_the_planned_runs_bound_the_searchs_runs(layers):
    stack, batches = Stack(make_source(layers=layers), START, **BITE), batches_of(packed_texts(2), 1)
    list(greedy(stack, batches))
    assert 0.5 * layer_runs(layers) * len(batches) < stack.runs <= layer_runs(layers) * len(batches)


@pytest.mark.parametrize("context", [0, 1, 10, 29])
@pytest.mark.parametrize("length", [9, 30])
def test_crowded_share_counts_learnt_queries(context, length):
    learnt = [query for query in range(length - 1) if query + 1 >= max(context, 1)]
    crowded = [query for query in learnt if query // 4 + 1 > 8 // 4]
    expected = len(crowded) / len(learnt) if learnt else 0
    assert crowded_share([Text(list(range(length)), context)], 8) == pytest.approx(expected)


def config():
    return config_from(make_source().config, **BITE)


def texts_of(count, length, seed=1):
    return [Text(row.tolist()) for row in random_ids(count, length, seed)]


def test_held_out_texts_are_not_searched():
    """Short texts are left out, and so is a text that repeats a held-out text."""
    texts = texts_of(4, 30)
    held, searched = usable([*texts_of(3, 14), *texts, texts[0]], config(), 2, "t")
    assert (held, searched) == (texts[:2], texts[2:])


def test_texts_that_cannot_tell_are_refused():
    with pytest.raises(InputError, match="longer than 14 tokens: 0 of 4 texts, and 2 of these held out"):
        usable(texts_of(4, 14), config(), 2, "t")
    with pytest.raises(InputError, match="longer than 14 tokens: 2 of 2 texts"):
        usable(texts_of(2, 30), config(), 2, "t")
    with pytest.raises(InputError, match="47% of the learnt held-out tokens"):
        usable(texts_of(4, 16), config(), 2, "t")


@pytest.mark.parametrize("length", [3, 12, 20, 31, 64, 200])
def test_checks_of_texts_see_what_is_computed(length, tmp_path, capsys):
    """Texts and prompts of many lengths, cut to ``length``: the checks count the labels of the packed rows."""
    draw, tokenizer = random.Random(length), read_tokenizer(base_path("qwen3"))
    rows = [{"prompt": "1" * draw.choice([0, 5, 40]), "text": "2+" * draw.randint(1, 30)} for _ in range(30)]
    write_jsonl(tmp_path / "texts.jsonl", rows)
    texts = read_texts(tmp_path / "texts.jsonl", tokenizer, length)
    for text in texts:
        rows = pack([text], length)
        learnt = (rows.labels[0] != IGNORED).nonzero().flatten()
        crowded = sum(int(query) // 4 + 1 > 8 // 4 for query in learnt)
        assert crowded_share([text], 8) == pytest.approx(crowded / len(learnt) if len(learnt) else 0)
        assert len(text.ids) <= length


@pytest.fixture
def command(tmp_path):
    """A search over a saved model, without its last options."""
    make_source().to(torch.bfloat16).save_pretrained(tmp_path / "source")
    copy_files(base_path("qwen3"), tmp_path / "source")
    write_jsonl(tmp_path / "texts.jsonl", [{"text": f"{n}+{n}=" * 20} for n in range(9)])
    shape = ["--select-block", "16", "--select-tokens", "16", "--window", "6", "--heldout", "3", "--length", "64"]
    return [str(tmp_path / "source"), str(tmp_path / "out"), "--search", str(tmp_path / "texts.jsonl"), *shape]


def test_the_command_prints_the_curve_and_writes_its_choice(command, tmp_path, capsys):
    assert main([*command, "--full-count", "2", "--context", "64"]) == 0
    shown = capsys.readouterr().out
    points = [json.loads(line) for line in (tmp_path / "out" / "placements.jsonl").read_text().splitlines()]
    assert [len(point["full_layers"]) for point in points] == [5, 4, 3, 2, 1]
    assert [point["kv_bytes"] for point in points] == [(n * 64 + (5 - n) * 6) * 2 * 2 * 16 * 2 for n in (5, 4, 3, 2, 1)]
    assert points[0]["heldout"] == points[0]["searched"] == 1
    kinds = AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.layer_types
    assert [layer for layer, kind in enumerate(kinds) if kind == FULL] == points[3]["full_layers"]
    assert all(f"  {','.join(map(str, point['full_layers']))}\n" in shown for point in points)
    assert "nobody measured" not in shown


def test_the_search_learns_from_the_searched_texts_alone():
    """Two parts with other losses. The curve has the placements of the searched part, and the losses of both."""
    source, parts = make_source(), [packed_texts(seed=seed) for seed in (1, 2)]
    settings = config_from(source.config, layer_types=kinds_of("fffff"), **BITE)
    options = Namespace(rows=2, source="a source", context=64, batch=1)
    points = curve(Stack(source, START, **BITE), *parts, settings, options)
    path = list(greedy(Stack(source, START, **BITE), batches_of(parts[0], 2)))
    assert [kinds for kinds, _ in path] != [
        kinds for kinds, _ in greedy(Stack(source, START, **BITE), batches_of(parts[1], 2))
    ]
    assert [point.full_layers for point in points] == [
        [n for n, kind in enumerate(kinds) if kind == FULL] for kinds, _ in path
    ]
    for name, part in zip(("searched", "heldout"), parts, strict=True):
        losses = [converted_loss(source, kinds, part) for kinds, _ in path]
        assert [getattr(point, name) for point in points] == pytest.approx(
            [loss / losses[0] for loss in losses], **CLOSE
        )


def test_the_command_searches_the_texts_behind_the_held_out_ones(command, monkeypatch):
    """Three of nine texts are held out."""
    seen = []

    def stop(stack, searched, held, *rest):
        seen.extend((len(searched.ids), len(held.ids)))
        raise InputError("seen", "go on")

    monkeypatch.setattr("judgerlvr.hysparse.conversion.search.curve", stop)
    assert main(command) == 2
    assert seen == [6, 3]


def test_a_length_below_selection_and_window_leaves_no_text(command, capsys):
    """Each text is longer before the cut."""
    assert main([*command, "--length", "22"]) == 2
    assert "longer than 22 tokens: 0 of 9 texts" in capsys.readouterr().err


def test_texts_that_differ_behind_the_cut_are_one_text(command, tmp_path, capsys):
    write_jsonl(tmp_path / "texts.jsonl", [{"text": "1+1=" * 20 + str(n) * 9} for n in range(9)])
    assert main(command) == 2
    assert "9 of 9 texts, and 3 of these held out" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_candidate_whose_loss_is_no_number_is_not_chosen(wrong, monkeypatch):
    """Each step's first candidate has no loss."""
    honest = placements.losses_of_flips

    def broken(stack, kinds, batches):
        losses = honest(stack, kinds, batches)
        return losses | ({min(losses): wrong} if len(losses) > 1 else {})

    monkeypatch.setattr(placements, "losses_of_flips", broken)
    path = list(greedy(Stack(make_source(), START, **BITE), batches_of(packed_texts(), 2)))
    assert [loss for _, loss in path if not math.isfinite(loss)] == []


@pytest.mark.parametrize("bad", range(5))
def test_a_curve_with_a_loss_that_is_no_number_chooses_nothing(bad, command, tmp_path, capsys, monkeypatch):
    """The held-out loss of one point after another."""
    losses = iter([float("nan") if point == bad else 1.0 for point in range(5)])
    monkeypatch.setattr("judgerlvr.hysparse.conversion.search.loss_of", lambda *_: next(losses))
    assert main(command) == 2
    assert "held-out loss of " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


WRONG = {
    "short texts": ["--select-tokens", "128"],
    "all held out": ["--heldout", "9"],
    "more full layers than layers": ["--full-count", "6"],
    "two placements": ["--full-layers", "0,1"],
}


@pytest.mark.parametrize("case", WRONG)
def test_a_search_that_cannot_run_is_one_line_before_weights(case, command, capsys, monkeypatch):
    monkeypatch.setattr("judgerlvr.hysparse.conversion.search.read_model", lambda *_: pytest.fail("a model was loaded"))
    capsys.readouterr()
    assert exit_code_of(main, [*command, *WRONG[case]]) == 2
    assert capsys.readouterr().err.count("\n") == 1
