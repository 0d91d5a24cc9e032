"""The trainer's peaks by the plan, beside the recorded ones of the training engine on one H100."""

import json
from dataclasses import replace
from itertools import islice

import pytest

from benchmarks.stages.engine_speed.shapes import SHAPES
from judgerlvr.config.cards import CARDS
from judgerlvr.config.choices import Recompute
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.engine.policy_passes import head_log_probs
from judgerlvr.hysparse.model.presets import preset
from judgerlvr.planning.constants import HEAD_LOGITS
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.memory import BUCKET_GIB, engine_gib, phases
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.proposals import _candidates, change, rollout_share
from judgerlvr.planning.report import plan_lines
from judgerlvr.planning.shapes import shape_of

RECORD = ROOT / "benchmarks" / "results" / "engine-speed-h100-2026-11-28" / "rows.jsonl"
# The product's variants: fused norms, sequences of 2,048 to 4,096 tokens, several passes an update.
ROWS = [
    ("moe", "norms", "4k, wide", 32_768, Recompute.all, 0.10),
    ("moe", "norms", "4k, 64k a pass", 65_536, Recompute.all, 0.10),
    ("moe", "none-norms", "4k, wide", 32_768, Recompute.none, 0.12),
    ("dense", "none-norms", "4k, wide", 32_768, Recompute.none, 0.10),
]


def recorded(policy, variant, load):
    rows = [json.loads(line) for line in RECORD.read_text().splitlines()]
    names = {"policy": policy, "variant": variant, "load": load}
    (row,) = [row for row in rows if all(row.get(name) == value for name, value in names.items())]
    return row


def planned(policy, tokens, recompute, **changes):
    load = load_of("generate", load_config("configs/qwen3_0.6b.yaml"))
    load = replace(load, micro_batch_tokens=tokens, prompts=256, recompute=recompute, **changes)
    return {phase.name: phase.trainer for phase in phases(shape_of(SHAPES[policy]), load, CARDS["h100"])}


@pytest.mark.parametrize(("policy", "variant", "load", "tokens", "recompute", "limit"), ROWS)
def test_peaks_of_updates_are_the_recorded_ones(policy, variant, load, tokens, recompute, limit):
    peak = recorded(policy, variant, load)["update_peak_gib"]
    assert planned(policy, tokens, recompute)["update"] == pytest.approx(peak, rel=limit)


@pytest.mark.parametrize("tokens", [32_768, 65_536])
def test_peaks_of_log_probs_are_the_recorded_ones(tokens):
    name = "compiled" if tokens == 32_768 else "buckets"
    load = "32k" if tokens == 32_768 else "one of 64k"
    peak = recorded("dense", name, load)["log_prob_peak_gib"]
    assert planned("dense", tokens, Recompute.all)["log-prob"] == pytest.approx(peak, rel=0.10)


def test_the_head_holds_the_engines_chunk():
    assert head_log_probs.CHUNK_ELEMENTS["cuda"] == HEAD_LOGITS


@pytest.mark.parametrize("policy", ["moe", "dense"])
def test_what_is_kept_costs_memory(policy):
    peaks = [planned(policy, 32_768, kept)["update"] for kept in (Recompute.all, Recompute.attention, Recompute.none)]
    assert peaks == sorted(peaks)
    assert planned(policy, 32_768, Recompute.all, compile=False)["update"] > peaks[0]


@pytest.mark.parametrize("policy", ["moe", "dense"])
def test_states_are_shared_among_ranks(policy):
    """16 bytes a parameter, as float32 weights, gradients and two moments."""
    one, eight = (planned(policy, 8192, Recompute.all, gpus_per_node=ranks)["update"] for ranks in (1, 8))
    assert one - eight == pytest.approx(16 * shape_of(SHAPES[policy]).parameters * 7 / 8 / 2**30)


def test_cards_of_the_rollout_alone_hold_no_trainer():
    shared = load_of("generate", load_config("configs/qwen3_0.6b.yaml"))
    own = replace(shared, rollout_gpus_per_node=2)
    shape, card = shape_of(SHAPES["dense"]), CARDS["h100"]
    there = {phase.name: phase for phase in phases(shape, own, card)}
    assert not any("trainer" in part for name in ("rollout", "weights received") for part in there[name].parts)
    assert not any("rollout" in part for name in ("log-prob", "update", "weights sent") for part in there[name].parts)
    assert there["weights sent"].parts["buckets"] == 2 * BUCKET_GIB
    assert rollout_share(shape, own, card) >= rollout_share(shape, shared, card)
    assert (own.engines, own.samples_per_engine) == (2, shared.samples // 2)


def test_the_plan_names_the_rollout_s_cards_and_what_overlaps():
    own = ["cluster.trainer_mode=separate_async", "cluster.rollout_gpus_per_node=2"]
    config = load_config("configs/qwen3_0.6b.yaml", own)
    made = make_plan("generate", config, shape_of(SHAPES["dense"]), Machine("h100", 0.0, 0.0, 50.0))
    text = "\n".join(plan_lines(made))
    assert "1 x 2 more for the rollout alone" in text
    assert "if all overlaps, which nobody measured" in text


def test_a_share_that_holds_a_sequence_is_proposed_for_the_rollout_s_cards():
    own = replace(load_of("generate", load_config("configs/qwen3_0.6b.yaml")), rollout_gpus_per_node=1)
    found = change(shape_of(SHAPES["dense"]), replace(own, rollout_share=0.02), CARDS["h100"])
    assert found == "cluster.rollout_gpu_share=0.9"


@pytest.mark.parametrize(("trainer", "rollout", "nodes"), [(1, 1, 1), (4, 4, 1), (4, 3, 1), (6, 2, 2), (3, 4, 2)])
def test_proposed_engines_fill_the_rollout_s_cards(trainer, rollout, nodes):
    load = load_of("generate", load_config("configs/qwen3_0.6b.yaml"))
    load = replace(load, gpus_per_node=trainer, rollout_gpus_per_node=rollout, nodes=nodes)
    for candidate in islice(_candidates(load), 40):
        size = candidate.tensor_parallel
        assert candidate.rollout_per_node % size == 0 and candidate.separate
        assert candidate.nodes == 1 or candidate.gpus_per_node % size == 0


@pytest.fixture
def sparse():
    """Shapes of a HySparse preset, and of the same layers without selection."""
    shape = shape_of(preset("7b").to_dict())
    return shape, replace(shape, blocks=0)


@pytest.mark.parametrize(("phase", "further"), [("log-prob", 1 / 64), ("update", 1 / 8)])
def test_scratch_of_sparse_kernels_is_counted(sparse, phase, further):
    """Scratch of a GiB and ``further``, and 16 bytes for each query, block and KV head. The head is small."""
    load = replace(load_of("generate", load_config("configs/qwen3_0.6b.yaml")), micro_batch_tokens=32_768, prompts=256)
    small = [phases(replace(shape, vocabulary=512), load, CARDS["h200"]) for shape in sparse]
    more, less = ({found.name: found.trainer for found in every}[phase] for every in small)
    pairs = load.micro_batch * sparse[0].blocks * sparse[0].kv_heads
    assert more - less == pytest.approx(1 + further + 16 * pairs / 2**30)


def test_an_engine_sets_a_prefills_memory_aside(sparse):
    load = replace(load_of("generate", load_config("configs/qwen3_0.6b.yaml")), kv_cache_bytes=2**30)
    with_choice, without = (engine_gib(shape, load, CARDS["h200"]) for shape in sparse)
    copies = 2 * 2 * 2**18 * sparse[0].kv_heads * sparse[0].head_dim
    assert with_choice - without == pytest.approx(copies / 2**30 + 1.625)
