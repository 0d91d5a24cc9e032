"""The plan of a search and a distillation: bytes counted on the layers themselves, runs by loops, and both commands."""

import json
import re
from itertools import permutations
from statistics import fmean

import pytest
import torch
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import Qwen3Config, Qwen3ForCausalLM, TrainerControl, TrainerState, TrainingArguments

from data.jsonl import write_jsonl
from judgerlvr.hysparse.conversion import conversion_rates as rates
from judgerlvr.hysparse.conversion.conversion_plan import (
    Distilling,
    Pass,
    cast_weights,
    distilling_bytes,
    distilling_spending,
    expected_runs,
    largest_pass,
    logit_bytes,
    search_bytes,
    search_spending,
    source_parameters,
)
from judgerlvr.hysparse.conversion.derived_files import copy_files
from judgerlvr.hysparse.conversion.divergence import divergence
from judgerlvr.hysparse.conversion.layer_work import multiplied, saved_bytes, summed
from judgerlvr.hysparse.conversion.options import InitialValues
from judgerlvr.hysparse.conversion.placements import Stack, batches_of, greedy
from judgerlvr.hysparse.conversion.spent import spending
from judgerlvr.hysparse.conversion.texts import IGNORED, Packed, Text, pack
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.hysparse.distillation.distiller import NoLastCheckpoint
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import FULL, SPARSE
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.ops.kernel_shapes import sparse_scratch
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.counted_kernels import STAND_INS, Traffic, saved

TOKENS = 4096
SIZES = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
SMALL = {"vocab_size": 512, "num_hidden_layers": 4, "head_dim": 32, **SIZES}
WIDER = {"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 8, "num_key_value_heads": 2}


def config_of(sizes=SIZES, letters="fs", **changes):
    kinds = [FULL if letter == "f" else SPARSE for letter in letters]
    fields = {"head_dim": 32, "vocab_size": 64, "qk_norm": True, "gate_bias": True, "layer_types": kinds, **sizes}
    return HySparseConfig(**fields, num_hidden_layers=len(letters), **changes)


def arguments():
    return {"input_ids": torch.zeros(1, TOKENS, dtype=torch.long), "position_ids": torch.arange(TOKENS)[None]}


@pytest.fixture
def stand_ins(monkeypatch):
    monkeypatch.setattr("judgerlvr.hysparse.model.attention.operations", lambda _: STAND_INS)


def of_added_layers(measure, sizes):
    """A figure a token of a sparse layer, and of a full layer with a sparse layer behind it."""
    one, sparse, both = (measure(sizes, letters) / TOKENS for letters in ("fs", "fss", "fsfs"))
    return sparse - one, both - one


def trained_saves(sizes, letters):
    model = HySparseForCausalLM(config_of(sizes, letters))
    with torch.autocast("cpu", torch.bfloat16):
        found = saved(model, lambda: model.model(**arguments(), use_cache=False))
    return found - rates.CAST * sum(
        multiplied(model.config, *layer, "element") for layer in enumerate(model.config.kinds)
    )


def trained_traffic(sizes, letters):
    model = HySparseForCausalLM(config_of(sizes, letters))
    with Traffic() as traffic:
        with torch.autocast("cpu", torch.bfloat16):
            out = model.model(**arguments(), use_cache=False).last_hidden_state
        out.backward(torch.ones_like(out))
    weights = sum(multiplied(model.config, *layer, "element") for layer in enumerate(model.config.kinds))
    return traffic.bytes - rates.CAST_TRAFFIC * weights


@torch.no_grad()
def searched_traffic(sizes, letters):
    model = HySparseForCausalLM(config_of(sizes, letters, gates="head")).to(torch.bfloat16)
    with Traffic() as traffic:
        model.model(**arguments(), use_cache=False)
    return traffic.bytes


@pytest.mark.parametrize("sizes", [SIZES, WIDER], ids=["narrow", "wide"])
def test_what_a_trained_layer_saves(sizes, stand_ins):
    sparse, both = of_added_layers(trained_saves, sizes)
    planned = [saved_bytes(config_of(sizes), 0, kind) for kind in (SPARSE, FULL)]
    assert sparse == pytest.approx(planned[0], rel=0.03)
    assert both == pytest.approx(sum(planned), rel=0.03)


@pytest.mark.parametrize("sizes", [SIZES, WIDER], ids=["narrow", "wide"])
def test_bytes_that_a_trained_layer_moves(sizes, stand_ins):
    sparse, both = of_added_layers(trained_traffic, sizes)
    planned = summed(rates.TRAINED_TRAFFIC, config_of(sizes), 0)
    assert sparse == pytest.approx(planned, rel=0.06)
    assert both == pytest.approx(2 * planned, rel=0.08)


@pytest.mark.parametrize("sizes", [SIZES, WIDER], ids=["narrow", "wide"])
def test_bytes_that_a_searched_layer_moves(sizes, stand_ins):
    sparse, both = of_added_layers(searched_traffic, sizes)
    planned = summed(rates.SEARCH_TRAFFIC, config_of(sizes), 0)
    assert sparse == pytest.approx(planned, rel=0.05)
    assert both == pytest.approx(2 * planned, rel=0.05)


MIXED = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MIXTURES = [{}, MIXED, MIXED | {"mlp_only_layers": [0, 2]}, MIXED | {"decoder_sparse_step": 3}]


def used_share(name, config):
    """The share of a weight that a token is multiplied with."""
    return config.num_experts_per_tok / config.num_experts if ".experts." in name else 1


@pytest.mark.parametrize("gates", ["element", "head"])
@pytest.mark.parametrize("sizes", [SIZES, WIDER], ids=["narrow", "wide"])
@pytest.mark.parametrize("mixture", MIXTURES, ids=["dense", "mixture", "two dense layers", "a mixture every 3"])
def test_multiplied_weights_are_those_that_each_layers_token_uses(mixture, sizes, gates):
    """The matrices of the layer itself. Gates may have a bias, and norms are no products."""
    config = config_of(sizes, "fsfsss", gates=gates, **mixture)
    for number, layer in enumerate(HySparseForCausalLM(config).model.layers):
        weights = {name: weight.numel() for name, weight in layer.named_parameters() if weight.dim() > 1}
        used = sum(size * used_share(name, config) for name, size in weights.items())
        assert multiplied(config, number, config.kinds[number], gates) == used


@pytest.mark.parametrize("figure", ["seconds", "gib"])
def test_a_distillation_of_a_mixture_is_planned_by_its_layers(figure):
    """Seven dense layers of eight, much wider than the experts."""
    fields, letters = {"sizes": SIZES | {"intermediate_size": 12_288}, "letters": "fsssfsss"}, range(1, 8)
    part = Pass(8, 1024, 8 * 1024)
    whole, mostly, none = (
        getattr(distilling_spending(config_of(**fields, **mixture), part, distilling(), "h200"), figure)
        for mixture in (MIXED, MIXED | {"mlp_only_layers": list(letters)}, {})
    )
    assert mostly - whole == pytest.approx(7 / 8 * (none - whole), rel=1e-3)


@pytest.mark.parametrize("figure", ["seconds", "gib"])
def test_a_search_of_a_mixture_is_planned_by_its_layers(figure):
    """The mean of the layers takes the time, and the widest layer the memory."""
    sizes, part = SIZES | {"intermediate_size": 12_288}, Pass(8, 4096, 8)
    whole, mostly, none = (
        getattr(search_spending(config_of(sizes, "fsssfsss", **mixture), part, 3, 1, "h200"), figure)
        for mixture in (MIXED, MIXED | {"mlp_only_layers": list(range(1, 8))}, {})
    )
    weights = (
        2
        * 7
        / 8
        * (source_parameters(config_of(sizes, "fsssfsss")) - source_parameters(config_of(sizes, "fsssfsss", **MIXED)))
    )
    scratch = 8 * 4096 * rates.HELD_BY_LAYER[1] * (12_288 - 2 * (32 + 64))
    share = 7 / 8 * (none - whole) if figure == "seconds" else (weights + scratch) / 2**30
    assert mostly - whole == pytest.approx(share, rel=1e-3)


def peak_of_a_pass(vocabulary, tokens=128, ignored=0):
    """Bytes of activations at the peak of a distillation's pass, as accelerate runs the student."""
    from accelerate.utils import convert_outputs_to_fp32

    student = HySparseForCausalLM(config_of(SIZES | {"vocab_size": vocabulary}))
    source = Qwen3ForCausalLM(Qwen3Config(**SMALL | {"vocab_size": vocabulary})).to(torch.bfloat16)
    student.forward = convert_outputs_to_fp32(torch.autocast("cpu", torch.bfloat16)(student.forward))
    ids = torch.arange(tokens)[None] % 60
    labels = ids.roll(-1, 1).index_fill(1, torch.arange(ignored), IGNORED)
    batch = Packed(ids, torch.arange(tokens)[None], labels)
    tracker = MemTracker()
    tracker.track_external(student, source, ids, batch.positions, batch.labels)
    with tracker:
        divergence(student, source, batch).backward()
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    casts = rates.CAST * vocabulary * SIZES["hidden_size"]
    return (sum(size for name, size in peak.items() if str(name).split(".")[-1] in ("ACT", "TEMP")) - casts) / tokens


def test_bytes_of_a_logit_of_a_distillation(stand_ins):
    more, less = peak_of_a_pass(6000), peak_of_a_pass(2000)
    assert (more - less) / 4000 == pytest.approx(rates.TRAINED_LOGIT_HELD, rel=0.01)


@pytest.mark.parametrize("ignored", [0, 64, 96, 112])
def test_bytes_of_the_vocabulary_where_few_tokens_are_learnt(stand_ins, ignored):
    """The logits of all tokens stand before those of other tokens are dropped."""
    more, less = peak_of_a_pass(6000, ignored=ignored), peak_of_a_pass(2000, ignored=ignored)
    assert 128 * (more - less) / 4000 == pytest.approx(logit_bytes(Pass(1, 128, 128 - ignored)), rel=0.01)


@pytest.mark.parametrize("layers", [3, 5])
def test_expected_runs_are_the_mean_over_all_orders_of_flips(layers):
    orders = list(permutations(range(1, layers)))
    totals = []
    for order in orders:
        left, total = set(order), layers
        for flipped in order:
            total += layers + sum(layers - candidate for candidate in left)
            left.remove(flipped)
        totals.append(total)
    assert expected_runs(layers) == pytest.approx(fmean(totals))


def test_the_expected_runs_of_one_order_are_the_stacks_own():
    source = Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=32, vocab_size=64, num_hidden_layers=3))
    stack = Stack(source, InitialValues(), select_block=4, select_tokens=8, sliding_window=6)
    batches = batches_of(pack([Text(list(range(30)))], 32), 1)
    flips = [kinds for kinds, _ in greedy(stack, batches)][1]
    first = flips.index(SPARSE)
    # Layer 1 shares one layer fewer than layer 2.
    assert stack.runs == 3 + (3 + 2 + 1) + (3 + (1 if first == 1 else 2))


def test_the_largest_pass_is_the_one_that_learns_most():
    texts = pack([Text(list(range(20)), context) for context in (15, 1, 3, 15)], 20)
    assert largest_pass(texts, 2) == Pass(2, 20, max(5 + 19, 17 + 5))


def test_memory_of_a_search_grows_by_its_parts():
    config = config_of(letters="ffss")
    one, two = (search_bytes(config, Pass(1, length, 0)) for length in (128, 256))
    assert two - one == 128 * (2 * 2 * (64 + 2 * 64) + 8 * 64 + 6 * 160)
    logits = search_bytes(config, Pass(1, 128, 10**6)) - one
    assert logits == 10**6 * 64 * 8 - 128 * (8 * 64 + 6 * 160)


def distilling(**changes):
    fields = {"steps": 10, "passes": 1, "evaluations": 2, "heldout": 1, "checkpoints": 0, "recompute": False}
    return Distilling(**fields | changes)


def test_memory_of_a_distillation_is_that_of_the_larger_moment():
    config = config_of(letters="fs")
    total = sum(parameter.numel() for parameter in HySparseForCausalLM(config).parameters())
    gates = 2 * (64 * 128 + 128)
    end = 2 * (total - gates) + 16 * total
    assert distilling_bytes(config, Pass(1, 1, 0), distilling()) == end
    saves = sum(saved_bytes(config, *layer) for layer in enumerate((FULL, SPARSE)))
    loss = end - 4 * total + 2 * cast_weights(config) + 10**5 * saves + 64 * (10**5 * 8 + 10**4 * 4)
    assert distilling_bytes(config, Pass(100, 10**3, 10**4), distilling()) == loss
    assert distilling_bytes(config, Pass(100, 10**3, 10**4), distilling(passes=2)) == loss + 4 * total


def test_long_rows_hold_the_kernels_scratch():
    """Rows of 8,192 tokens, with fewer bytes of logits than of scratch."""
    config, (row, rows) = config_of(letters="fs", select_tokens=128), (Pass(1, 8192, 0), Pass(8, 1024, 0))
    scratch = [sparse_scratch(8192, 2, 64, 2, 2, 32, grad) for grad in (False, True)]
    assert search_bytes(config, row) - search_bytes(config, rows) == scratch[0]
    logits = 64 * 8 * 8192
    assert distilling_bytes(config, row, distilling()) - distilling_bytes(config, rows, distilling()) == (
        scratch[1] - logits
    )


def test_recomputing_saves_memory_and_costs_time():
    config, part = config_of(letters="fsss"), Pass(8, 4096, 8 * 4096)
    plain, again = (distilling_spending(config, part, distilling(recompute=again), "h200") for again in (False, True))
    assert again.gib < plain.gib
    assert again.seconds > plain.seconds


def test_a_step_more_costs_its_passes_and_an_evaluation_its_own():
    config, part = config_of(letters="fsss"), Pass(8, 4096, 8 * 4096)
    seconds = {
        name: distilling_spending(config, part, distilling(**changes), "h200").seconds
        for name, changes in {"all": {}, "steps": {"steps": 20}, "looks": {"evaluations": 4}}.items()
    }
    step, look = (seconds["steps"] - seconds["all"]) / 10, (seconds["looks"] - seconds["all"]) / 2
    assert seconds["all"] == pytest.approx(rates.DISTILLATION_START_S.value + 10 * step + 2 * look)
    assert 0 < look < step


def test_checkpoints_passes_and_held_out_rows_cost_their_own():
    config, part = config_of(letters="fsss"), Pass(8, 4096, 8 * 4096)

    def seconds(**changes):
        return distilling_spending(config, part, distilling(**changes), "h200").seconds

    total = sum(parameter.numel() for parameter in HySparseForCausalLM(config).parameters())
    assert seconds(checkpoints=3) - seconds() == pytest.approx(3 * 12 * total / 1.5e9)
    assert seconds(heldout=3) - seconds() == pytest.approx(2 * (seconds(evaluations=3) - seconds()) * 2)
    assert seconds(passes=3) - seconds() == pytest.approx(2 * (seconds(passes=2) - seconds()))
    assert seconds(passes=2) > seconds()


def test_a_search_takes_longer_on_a_slower_card_and_with_more_texts():
    config, part = config_of(letters="fsss"), Pass(8, 4096, 8 * 4096)
    seconds = [search_spending(config, part, 1, 1, card).seconds for card in ("h200", "a100")]
    assert seconds[0] < seconds[1]
    assert search_spending(config, part, 2, 2, "h200").seconds == pytest.approx(2 * seconds[0])


@pytest.fixture
def source(tmp_path):
    """Directory of a random model with a tokenizer, and a file of texts."""
    Qwen3ForCausalLM(Qwen3Config(**SMALL)).to(torch.bfloat16).save_pretrained(tmp_path / "source")
    copy_files(base_path("qwen3"), tmp_path / "source")
    write_jsonl(tmp_path / "texts.jsonl", [{"text": f"{n}+{n}=" * 20} for n in range(9)])
    return tmp_path / "source"


SHORT = ["--select-block", "16", "--select-tokens", "16", "--window", "6", "--heldout", "3", "--length", "64"]


def plans(source, tmp_path, capsys, *more):
    """Texts of both plans. Neither leaves a folder."""
    given, found = [str(source), str(tmp_path / "out"), *SHORT, "--plan", *more], []
    for main, flag in ((run_convert, "--search"), (run_distill, "--texts")):
        assert main([*given, flag, str(tmp_path / "texts.jsonl")]) == 0
        found.append(capsys.readouterr().out)
    assert not (tmp_path / "out").exists()
    return found


def test_both_plans_name_seconds_and_memory_and_write_nothing(source, tmp_path, capsys):
    search, distillation = plans(source, tmp_path, capsys, "--card", "h100")
    pattern = r"{} on one h100: [\d.]+ s.* [\d.]+ GiB of GPU memory, of 79.1 \[calculated\]"
    assert re.search(pattern.format("search"), search)
    assert re.search(pattern.format("200 steps"), distillation)


def test_a_card_that_no_data_sheet_names_is_refused(source, tmp_path, capsys):
    with pytest.raises(SystemExit):
        plans(source, tmp_path, capsys, "--card", "abacus")
    assert "one of a100, h100, h200" in capsys.readouterr().err


def test_a_search_and_a_distillation_print_what_they_took(source, tmp_path, capsys):
    given = [str(source), str(tmp_path / "out"), *SHORT]
    assert run_convert([*given, "--search", str(tmp_path / "texts.jsonl")]) == 0
    assert re.search(r"^search: [\d.]+ s$", capsys.readouterr().out, re.MULTILINE)
    given[1] = str(tmp_path / "distilled")
    assert run_distill([*given, "--texts", str(tmp_path / "texts.jsonl"), "--steps", "2", "--rows", "2"]) == 0
    assert re.search(r"^distillation: [\d.]+ s$", capsys.readouterr().out, re.MULTILINE)


def test_spending_prints_its_seconds(capsys):
    with spending("a part", "cpu"):
        pass
    assert re.fullmatch(r"a part: 0\.0\d s\n", capsys.readouterr().out)


@pytest.mark.parametrize(("step", "kept"), [(4, True), (6, True), (10, False), (12, True)])
def test_the_last_step_is_saved_only_where_a_checkpoint_is_due(tmp_path, step, kept):
    state = TrainerState(global_step=step, max_steps=10 if step == 10 else 12, save_steps=4)
    control = TrainerControl(should_save=True)
    NoLastCheckpoint().on_step_end(TrainingArguments(str(tmp_path), use_cpu=True), state, control)
    assert control.should_save == kept


def test_the_benchmark_of_costs_reads_the_commands_own_lines():
    from benchmarks.hysparse.conversion_cost import compared

    stored = {
        "plan": "search on one h200: 12.50 s, 20.00 s at most, and 8.00 GiB of GPU memory, of 139.8 [calculated]",
        "run": "search: 10.00 s, at most 7.50 GiB of GPU memory\nlayers run: 40\n",
    }
    seconds, memory, runs = compared("tiny", "search", json.loads(json.dumps(stored)))
    assert "12.50 | 10.00 | 1.250 | off" in seconds
    assert "8.00 | 7.50 | 1.067 | within 10 %" in memory
    assert f"| {expected_runs(4) + 16:.0f} | 40 |" in runs
