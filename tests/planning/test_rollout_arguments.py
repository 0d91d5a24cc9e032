"""Arguments of the rollout engine decide cache, slots and verdict of a plan, and other arguments are named."""

from pathlib import Path

import pytest

from judgerlvr.config.load import load_config
from judgerlvr.engine.private.engine_arguments import engine_arguments
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import GIB, Machine
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.report import plan_lines
from judgerlvr.planning.rollout_arguments import COUNTED, NEUTRAL, WHERE, uncounted
from judgerlvr.planning.shapes import read_shape
from rewards.errors import InputError

SHAPES = Path(__file__).parent / "shapes"
MACHINE = Machine(card="h100", host_gib=1500.0, disk_gib=4000.0, network_gb_s=50.0)
VERL = "engine.actor_rollout_ref.rollout"
SMALL = "qwen3_1.7b"


def plan_with(*words, name=SMALL):
    shape = read_shape(SHAPES / name.replace("_", "-"))
    return make_plan("generate", load_config(f"configs/{name}.yaml", list(words)), shape, MACHINE)


def test_a_cache_larger_than_the_card_does_not_fit_and_the_change_does():
    asked = f"{WHERE}.kv_cache_memory_bytes=80000000000"
    plan = plan_with(asked)
    assert plan.cache.gib == pytest.approx(80e9 / GIB)
    assert plan.shortfalls[0].startswith("rollout: ")
    changed = plan_with(asked, *plan.change.split())
    assert "kv_cache_memory_bytes=" in plan.change and changed.fits


def test_a_cache_in_bytes_is_the_same_cache_as_by_the_share():
    share = plan_with()
    asked = plan_with(f"{WHERE}.kv_cache_memory_bytes={round(share.cache.gib * GIB)}", "cluster.rollout_gpu_share=0.1")
    assert asked.cache.sequences == pytest.approx(share.cache.sequences)
    assert asked.phases[0].gib == pytest.approx(share.phases[0].gib)
    assert asked.seconds == pytest.approx(share.seconds)
    assert not any("rollout_gpu_share" in line for line in plan_lines(asked))


@pytest.mark.parametrize("words", [[f"{WHERE}.max_num_seqs=4"], [f"{VERL}.max_num_seqs=4"]])
def test_few_slots_make_a_step_longer(words):
    """A step of an engine runs four sequences, so that at least so many steps are needed."""
    plan, plain = plan_with(*words), plan_with()
    assert any("(4.0 full sequences at once" in line for line in plan_lines(plan))
    least = plan.load.samples_per_engine * plan.load.response / 4
    assert plan.seconds["sampling"] >= least * 0.003 > plain.seconds["sampling"]
    assert plan.phases == plain.phases and plan.fits


def test_an_argument_of_vllm_wins_over_the_setting_of_verl():
    load = load_of("generate", load_config(None, [f"{VERL}.max_num_seqs=4", f"{WHERE}.max_num_seqs=8"]))
    assert load.slots == 8


def test_vllms_own_share_stands_for_the_key():
    own, key = plan_with(f"{WHERE}.gpu_memory_utilization=0.3"), plan_with("cluster.rollout_gpu_share=0.3")
    assert (own.phases, own.cache, own.seconds) == (key.phases, key.cache, key.seconds)
    assert any(f"{WHERE}.gpu_memory_utilization={own.share}" in line for line in plan_lines(own))
    over = plan_with(f"{WHERE}.gpu_memory_utilization=0.97")
    assert plan_with(f"{WHERE}.gpu_memory_utilization=0.97", *over.change.split()).fits


def test_vllm_starts_only_where_its_whole_context_fits():
    """A sequence of 40,960 tokens takes 4.4 GiB, and the longest of the stage an eighth."""
    words = [f"{WHERE}.kv_cache_memory_bytes=2000000000"]
    assert plan_with(*words).fits
    assert "one full sequence takes 4.4" in plan_with(*words, f"{WHERE}.max_model_len=40960").shortfalls[0]


@pytest.mark.parametrize(
    "word",
    [
        "kv_cache_memory_bytes=80G",
        "kv_cache_memory_bytes=-1",
        "max_num_seqs=0",
        "max_num_seqs=true",
        "max_model_len=1.5",
        "gpu_memory_utilization=1.5",
        "gpu_memory_utilization=half",
    ],
)
def test_a_value_of_another_kind_names_the_argument(word):
    with pytest.raises(InputError) as caught:
        plan_with(f"{WHERE}.{word}")
    assert caught.value.field == f"{WHERE}.{word.split('=')[0]}" and "\n" not in str(caught.value)


def test_what_is_not_counted_is_named():
    words = [
        f"{WHERE}.kv_cache_dtype=fp8",
        f"{WHERE}.attention_backend=TRITON_ATTN",
        f"{VERL}.enforce_eager=true",
        "engine.algorithm.rollout_correction.rollout_rs=seq_mean_k1",
        "cluster.attention=eager",
        "cluster.trainer_mode=colocate_async",
    ]
    named = ["cluster.attention", "cluster.trainer_mode", f"{WHERE}.kv_cache_dtype", f"{VERL}.enforce_eager"]
    assert plan_with(*words).uncounted == named
    assert any(line.startswith("not counted, ") and named[2] in line for line in plan_lines(plan_with(*words)))
    assert not any(line.startswith("not counted") for line in plan_lines(plan_with()))


def test_a_cpu_counts_none_of_them():
    config = load_config(None, [f"{WHERE}.kv_cache_memory_bytes=1000", f"{WHERE}.attention_backend=X"])
    assert uncounted(config.cluster, config.engine, "cpu") == [f"{WHERE}.kv_cache_memory_bytes"]


def test_the_arguments_are_vllms():
    ours = {name.removeprefix(f"{WHERE}.") for name in COUNTED if name.startswith(WHERE)} | NEUTRAL
    assert ours <= engine_arguments()
