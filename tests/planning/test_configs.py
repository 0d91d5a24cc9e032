"""The shipped configurations for GPUs are true: each fits the cards that it names, by the plan of both stages."""

from pathlib import Path

import pytest

from judgerlvr.config.check import check_config
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.planning.constraints import Node, check_constraints, needed_cpus
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.report import plan_lines
from judgerlvr.planning.shapes import read_shape

SHAPES = Path(__file__).parent / "shapes"
MACHINE = Machine(card="h100", host_gib=1500.0, disk_gib=4000.0, network_gb_s=50.0)
CONFIGS = [path.name for path in sorted((ROOT / "configs").glob("*.yaml")) if path.name != "tiny.yaml"]


def plan_of(name, kind, *overrides):
    config = load_config(ROOT / "configs" / name, list(overrides))
    return make_plan(kind, config, read_shape(SHAPES / Path(config.model.path).name.lower()), MACHINE)


@pytest.mark.parametrize("kind", ["judge", "generate"])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_plan_fits(name, kind):
    assert plan_of(name, kind).shortfalls == []


@pytest.mark.parametrize("kind", ["judge", "generate"])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_numbers_divide(name, kind):
    config = load_config(ROOT / "configs" / name)
    check_config(config)
    load = load_of(kind, config)
    cpus = -(-needed_cpus(load, "gpu") // load.nodes)
    shape = read_shape(SHAPES / Path(config.model.path).name.lower())
    check_constraints(load, shape, "gpu", [Node(cpus, load.gpus_per_node)] * load.nodes)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_samples_many_sequences_at_once(name):
    """A cache that holds a few sequences alone makes a step several times longer."""
    cache = plan_of(name, "generate").cache
    assert cache.sequences >= min(24, cache.wanted)


@pytest.mark.parametrize(
    ("override", "phase"),
    [
        ("cluster.nodes=1", "update"),
        ("cluster.rollout_gpu_share=0.97", "rollout"),
        ("cluster.rollout_gpu_share=0.4", "rollout"),
        ("cluster.offload=false", "rollout"),
    ],
)
def test_what_does_not_fit_is_named_with_a_change_that_fits(override, phase):
    plan = plan_of("qwen3_30b_a3b.yaml", "generate", override)
    assert plan.shortfalls[0].startswith(f"{phase}: ")
    changed = plan_of("qwen3_30b_a3b.yaml", "generate", override, *plan.change.split())
    assert changed.shortfalls == []


def test_the_proposals_are_the_largest_that_fit():
    plan = plan_of("qwen3_30b_a3b.yaml", "generate")
    share, tokens = f"cluster.rollout_gpu_share={plan.share}", f"cluster.micro_batch_tokens={plan.tokens}"
    assert plan_of("qwen3_30b_a3b.yaml", "generate", share, tokens).fits
    assert any("largest that fits: cluster.rollout_gpu_share" in line for line in plan_lines(plan))


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_largest_micro_batch_is_the_largest(nodes):
    base = [f"cluster.nodes={nodes}", "generate.max_response_tokens=4096"]
    tokens = plan_of("qwen3_30b_a3b.yaml", "generate", *base).tokens
    assert plan_of("qwen3_30b_a3b.yaml", "generate", *base, f"cluster.micro_batch_tokens={tokens}").fits
    if tokens < 65_536:
        more = f"cluster.micro_batch_tokens={tokens + 1024}"
        assert not plan_of("qwen3_30b_a3b.yaml", "generate", *base, more).fits


def test_a_full_disk_is_a_shortfall():
    plan = plan_of("qwen3_30b_a3b.yaml", "generate", "generate.checkpoint.keep=0", "generate.checkpoint.every=5")
    assert plan.shortfalls[0].startswith("disk: 30 checkpoints")
