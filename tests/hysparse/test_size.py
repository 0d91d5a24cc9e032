"""The size calculator against the paper's figures and against tensors of a real model."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

import judgerlvr.hysparse.model.registration  # noqa: F401
from judgerlvr.config.load import ROOT
from judgerlvr.hysparse.model.presets import PRESETS, preset
from judgerlvr.hysparse.model.sizes import KIB, MIB, arrangements, costs, count_parameters, pairs
from judgerlvr.hysparse.size import main
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.hysparse_models import make_model, random_ids

PAGE = ROOT / "docs" / "hysparse.md"


def kv_ratio(name, context, **changes):
    rows = arrangements(preset(name, **changes), context, batch=1)
    return rows["full attention"].kv_bytes / rows["HySparse"].kv_bytes


def test_kv_of_the_80b_is_nearly_ten_times_smaller():
    assert kv_ratio("80b-a3b", 32_768) == pytest.approx(9.5, abs=0.05)


def test_kv_of_the_7b_lies_between_its_two_layouts():
    assert kv_ratio("7b", 131_072) == pytest.approx(3.6, abs=0.05)
    assert kv_ratio("7b", 131_072, closing_full=False) == pytest.approx(4.0, abs=0.05)


def test_kv_bytes_match_a_real_cache():
    model, context = make_model(), 60
    with torch.no_grad():
        cache = model(random_ids(2, context), use_cache=True).past_key_values
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    # The cache keeps window - 1 tokens, because the query brings its own.
    missing = 4 * 2 * 2 * model.config.num_key_value_heads * model.config.head_dim
    assert arrangements(model.config, context, batch=2)["HySparse"].kv_bytes == 2 * (held + missing)


@pytest.mark.parametrize("context", [1, 50, 10_000])
def test_a_window_layer_keeps_no_more_than_the_context(context):
    """With fewer tokens than the window, the window hybrid keeps what full attention keeps."""
    config = preset("small")
    assert 50 < config.sliding_window < 10_000
    _, full, near = (row.kv_bytes for row in arrangements(config, context, 1).values())
    share = min(context, config.sliding_window) / context
    fulls, layers = len(config.full_layers), config.num_hidden_layers
    assert near == full * (fulls + (layers - fulls) * share) / layers


# FP8 without scales, 2^20 tokens, gigabytes of 10^9 bytes: the figures of arXiv 2609.26368.
SECOND_PAPER = {"hysparse2-vs-window": 12.09, "hysparse2-vs-hysparse": 6.72, "hysparse2": 2.69}


@pytest.mark.parametrize("name", SECOND_PAPER)
def test_kv_at_a_million_tokens_is_the_second_papers(name):
    own = next(iter(arrangements(preset(name), 2**20, 1, "fp8").values()))
    assert round(own.kv_bytes / 1e9, 2) == SECOND_PAPER[name]


def test_the_window_layers_are_part_of_that_figure():
    """Five layers of 512 bytes a token are 2.684 GB. At least ten windows are needed to print as 2.69."""
    full = [row for row in preset("hysparse2").rows if row.full]
    assert round(costs(full, 0, 2**20, 1, "fp8").kv_bytes / 1e9, 2) == 2.68


def test_only_the_self_decoder_runs_over_the_prompt():
    """A decoded token costs every layer, and so does the last token of a prompt."""
    config, context = preset("hysparse2-tiny"), 100
    own = arrangements(config, context, 1)["HySparse2"]
    early = costs(config.rows[:5], config.select_tokens, context, 1)
    late = costs(config.rows[5:], config.select_tokens, context, 1)
    assert own.prefill_flops == early.prefill_flops + late.decode_flops
    assert own.decode_flops == early.decode_flops + late.decode_flops


def test_the_command_prints_the_cache_in_8_bits(capsys):
    for dtype in ("bf16", "fp8"):
        assert main(["hysparse2-tiny", "--context", "65536", "--kv-dtype", dtype]) == 0
    own = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines() if line.startswith("HySparse2")]
    assert own[0] == 2 * own[1] == 16.0


@pytest.mark.parametrize(("batch", "unit"), [(1, KIB), (7, KIB), (8, MIB), (1024, MIB)])
def test_the_command_counts_the_cache_of_the_shipped_base(batch, unit, capsys):
    """Two full layers of 512 tokens and two windows of 32 tokens, 64 numbers a token, two bytes each."""
    assert main([str(base_path("hysparse2")), "--context", "512", "--batch", str(batch)]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = float(next(line.split()[1] for line in lines if line.startswith("HySparse2")))
    assert shown == round(2 * (512 + 32) * 64 * 2 * batch / unit, 1)
    assert sum("KV KiB" in line for line in lines) == (unit == KIB)


def test_the_documented_bytes_of_the_shipped_base_are_those_of_the_caches():
    """The cache of transformers is a real one, and has a token less of each window."""
    text = " ".join(PAGE.read_text().split())
    assert "takes 136.0 KiB of cache, 139,264 bytes, at 512 tokens in bf16" in text
    assert 2 * (512 + 32) * 64 * 2 == 139_264 == 136.0 * KIB
    model = AutoModelForCausalLM.from_pretrained(base_path("hysparse2"), dtype=torch.bfloat16)
    with torch.no_grad():
        layers = model(random_ids(1, 512) % model.config.vocab_size, use_cache=True).past_key_values.layers
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers if layer.is_initialized)
    assert "The cache of transformers holds 139,008" in text and held == 139_008


@pytest.mark.parametrize("most", [1, 5, 30])
def test_pairs_match_a_count(most):
    assert pairs(20, most) == sum(min(query + 1, most) for query in range(20))


@pytest.mark.parametrize("name", ["tiny", "tiny-moe"])
def test_parameters_match_a_built_model(name):
    counted = count_parameters(preset(name))
    assert counted.total == make_model(name).num_parameters()
    assert (counted.active < counted.total) == (name == "tiny-moe")


def test_small_has_100_to_200_million_parameters():
    assert 100e6 < count_parameters(preset("small")).total < 200e6


@pytest.mark.parametrize(("name", "billions"), [("7b", 7.07), ("80b-a3b", 81.35)])
def test_assumed_values_reach_the_papers_scale(name, billions):
    assert count_parameters(preset(name)).total / 1e9 == pytest.approx(billions, abs=0.005)


def active_without_vocabulary(config):
    """Billions of parameters that a token uses, without embedding and head."""
    return (count_parameters(config).active - 2 * config.vocab_size * config.hidden_size) / 1e9


def test_head_gates_fit_the_names_and_element_gates_do_not():
    """A3B names what a token uses. Whether embedding and head count changes the figure by 0.62."""
    assert active_without_vocabulary(preset("80b-a3b")) == pytest.approx(3.04, abs=0.005)
    assert active_without_vocabulary(preset("80b-a3b", gates="element")) == pytest.approx(4.51, abs=0.01)
    assert round(count_parameters(preset("7b")).total / 1e9) == 7
    assert round(count_parameters(preset("7b", gates="element")).total / 1e9) == 8


@pytest.mark.parametrize("name", [name for name in PRESETS if "assumed" in PRESETS[name]])
def test_inferred_gates_are_marked(name, capsys):
    assert main([name]) == 0
    assert "assumed: gates = head, inferred from the names 7B and 80B-A3B\n" in capsys.readouterr().out


SIZES = {
    "7b, 10 full layers": preset("7b"),
    "7b, `closing_full=False`": preset("7b", closing_full=False),
    "80b-a3b, 5 full layers": preset("80b-a3b"),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_documented_sizes_are_those_of_the_command(name):
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| {name} |"))
    config = SIZES[name]
    own, full, _ = arrangements(config, 32_768, 1).values()
    counted = count_parameters(config)
    shown = [cell.strip() for cell in line.strip("|").split("|")]
    held = f"{full.kv_bytes / MIB:,.0f} / {own.kv_bytes / MIB:,.0f} MiB = {full.kv_bytes / own.kv_bytes:.2f}x"
    assert shown[1:3] == [f"{counted.total / 1e9:.2f} B", f"{active_without_vocabulary(config):.2f} B"]
    assert shown[3].startswith(held)
    ratios = [full.prefill_flops / own.prefill_flops, full.decode_flops / own.decode_flops]
    assert shown[4:] == [f"{ratio:.2f}x" for ratio in ratios]


def test_assumed_values_are_printed(capsys):
    assert main(["7b"]) == 0
    shown = capsys.readouterr().out
    assert all(f"assumed: {name} = " in shown for name in PRESETS["7b"]["assumed"])


def test_a_model_that_is_not_there_is_one_line_and_exit_code_2(capsys):
    assert main(["nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_number_out_of_its_range_is_one_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["tiny", "--context", "0"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


ODD = (None, -1, 1.5, 10**9, "x", "nofield", [], [3], ["nofield"], ["x", "layer_types"], [["x"]], {"a": 1})
# The list of fields, fields that a list may name, and others.
FIELDS = ("assumed", "layer_types", "gates", "select_tokens", "num_experts", "rope_parameters", "bridges", "v_head_dim")


@pytest.mark.parametrize("field", FIELDS)
def test_an_odd_value_of_a_field_is_one_line(field, tmp_path, capsys):
    """Or is printed, where a model can have the value."""
    config = make_model().config.to_dict()
    for value in ODD:
        (tmp_path / "config.json").write_text(json.dumps({**config, field: value}))
        code, told = main([str(tmp_path)]), capsys.readouterr()
        assert (code, told.err.count("\n")) in ((0, 0), (2, 1)), (value, told.err)


@pytest.mark.parametrize("assumed", ["x", ["nofield"], [["x"]], {"a": 1}, 7, ["to_dict"]], ids=str)
def test_assumed_fields_are_fields(assumed):
    with pytest.raises(ValueError, match="assumed"):
        preset("small", assumed=assumed)
