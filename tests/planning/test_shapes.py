"""Parameters from config.json alone equal those of transformers' model, built without allocating it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import judgerlvr.hysparse.model.registration  # noqa: F401  (registers the model type)
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.engine.rollout_experts.rows import packed
from judgerlvr.hysparse.model.layout import beyond_kernels
from judgerlvr.hysparse.model.presets import PRESETS, preset
from judgerlvr.hysparse.model.sizes import costs, count_parameters
from judgerlvr.hysparse.replay.rollout_choices import carried_sizes
from judgerlvr.planning.load import load_of
from judgerlvr.planning.shapes import known_shape, read_shape, shape_of
from judgerlvr.planning.storage import host_parts
from rewards.errors import InputError

SHAPES = Path(__file__).parent / "shapes"
TINY = ROOT / "judgerlvr" / "tinyworld" / "base"
LARGE = "configs/qwen3_30b_a3b.yaml"
SECOND = TINY / "hysparse2"  # The planner refuses HySparse2.
MODELS = [*sorted(SHAPES.iterdir()), *sorted(set(TINY.iterdir()) - {SECOND})]


def transformers_count(folder):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_parameters_equal_those_of_transformers(folder):
    assert read_shape(folder).parameters == transformers_count(folder)


def test_parameters_of_30b_a3b_are_the_published_ones():
    """30.5 B in all and 29.9 B without embedding and head, by the model card."""
    shape = read_shape(SHAPES / "qwen3-30b-a3b")
    inner = shape.parameters - 2 * shape.embedding
    assert (round(shape.parameters / 1e9, 1), round(inner / 1e9, 1)) == (30.5, 29.9)


# The planner refuses the others, as tests/pipeline/test_bad_input.py shows.
SERVED = [name for name in PRESETS if not beyond_kernels(preset(name).to_dict())]
CHANGES = [
    {},
    {"gates": "head", "gate_bias": True},
    {"gates": "none"},
    {"gate_full": True, "sinks_full": True},
    {"branches": "window"},
    {"branches": "sparse", "qk_norm": True},
    {"sinks": False, "attention_bias": True},
]


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "-".join(changes) or "as it is")
def test_parameters_of_hysparse_presets(name, changes, tmp_path):
    config = preset(name, **changes)
    config.save_pretrained(tmp_path)
    assert read_shape(tmp_path).parameters == count_parameters(config).total


def test_layers_of_hysparse2_are_refused():
    with pytest.raises(InputError, match="the planner does not know layers of HySparse2"):
        read_shape(SECOND)
    assert known_shape(SECOND) is None


@pytest.mark.parametrize("tokens", [64, 8192])
@pytest.mark.parametrize("name", SERVED)
def test_kv_bytes_of_hysparse_are_those_of_its_size_report(name, tokens, tmp_path):
    config = preset(name)
    config.save_pretrained(tmp_path)
    expected = costs(config.rows, config.select_tokens, tokens, 1).kv_bytes
    assert read_shape(tmp_path).kv_sequence_bytes(tokens, 1) == expected


@pytest.mark.parametrize(("ranks", "share"), [(1, 1), (2, 2), (4, 4), (8, 4)])
def test_kv_heads_are_split_until_each_gpu_has_one(ranks, share):
    shape = read_shape(SHAPES / "qwen3-30b-a3b")
    assert shape.kv_sequence_bytes(100, ranks) * share == shape.kv_sequence_bytes(100, 1)


@pytest.mark.parametrize("name", ["hysparse", "hysparse_moe", "qwen3_moe"])
def test_replay_bytes_are_those_that_a_rollout_carries(name):
    config = AutoConfig.from_pretrained(TINY / name)
    shape = read_shape(TINY / name)
    for tokens in (2, 33, 34, 500):
        expected = 0 if name == "qwen3_moe" else carried_sizes(config).bytes(tokens)
        assert shape.replay_bytes(tokens) == expected


@pytest.mark.parametrize(("experts", "tokens"), [(8, 2), (8, 33), (256, 33), (257, 33)])
def test_replay_bytes_of_experts_are_those_of_the_carrier(experts, tokens):
    fields = json.loads((TINY / "qwen3_moe" / "config.json").read_text()) | {"num_experts": experts}
    fields.pop("num_local_experts", None)
    shape = shape_of(fields)
    chosen = np.zeros((tokens - 1, fields["num_hidden_layers"], fields["num_experts_per_tok"]), dtype=np.int16)
    assert shape.replay_bytes(tokens, experts=True) == packed(chosen, tokens, experts).nbytes
    assert shape.replay_bytes(tokens) == 0


def test_router_replay_takes_host_memory():
    """30B-A3B: 48 layers of 8 ids, a byte each."""
    parts = [
        host_parts(read_shape(SHAPES / "qwen3-30b-a3b"), load_of("generate", load_config(LARGE, words)))
        for words in ([], ["model.replay_experts=true"])
    ]
    assert parts[0]["replayed choices"] == 0
    assert parts[1]["replayed choices"] == pytest.approx(1024 / 2 * 20_480 * 48 * 8 / 2**30)


def test_unknown_architecture_is_refused():
    with pytest.raises(InputError, match="does not know models of type 'llama'"):
        shape_of({"model_type": "llama"})


def test_missing_field_is_named():
    fields = json.loads((SHAPES / "qwen3-0.6b" / "config.json").read_text())
    del fields["num_key_value_heads"]
    with pytest.raises(InputError, match="num_key_value_heads is missing"):
        shape_of(fields)
