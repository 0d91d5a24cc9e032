"""The pure parts of ``benchmarks.hysparse.long_rl.sampling``: variants, the split of a round, and the table."""

import pytest

from benchmarks.hysparse.long_rl.record import row
from benchmarks.hysparse.long_rl.sampling import call_of, share
from benchmarks.hysparse.long_rl.sampling_engine import PROBLEMS, group_of, grouped
from benchmarks.hysparse.long_rl.sampling_rounds import HEAD, Event, Part, Result, chunks_of, split, table
from benchmarks.hysparse.long_rl.sampling_variants import in_turn, variants
from benchmarks.hysparse.long_rl.stages import TRAINING
from judgerlvr.hysparse.ops.dispatch import UNION

EVENTS = [
    Event(1.0, frozenset(), 80, chunk=True),
    Event(2.0, frozenset({0}), 60),
    Event(2.5, frozenset({0, 1}), 3, chunk=True),
    Event(2.7, frozenset({0, 1}), 4),
    Event(2.8, frozenset({1}), 0),
]


def test_prefill_ends_with_the_first_token_of_the_last_prompt():
    assert split(EVENTS, 2)[0] == Part(2.5, 3, 143)


def test_the_rest_is_decoding_and_a_step_without_tokens_is_none():
    decoding = split(EVENTS, 2)[1]
    assert (decoding.seconds, decoding.steps, decoding.tokens) == (pytest.approx(0.3), 1, 4)


def test_steps_with_prompts_are_counted_wherever_they_lie():
    assert chunks_of(EVENTS) == Part(1.5, 2, 83)


def test_a_round_may_have_no_decoding():
    assert split(EVENTS[:3], 2)[1] == Part(0.0, 0, 0)


def test_a_prompt_without_a_token_is_an_error():
    with pytest.raises(ValueError, match="2 of 3"):
        split(EVENTS, 3)


def test_five_engines_serve_the_first_six_variants():
    assert len({variant.engine for variant in variants(None)[:6]}) == len(in_turn(variants(None)[:6])) == 5


def test_both_policies_as_in_training_go_first():
    assert [engine.name for engine in in_turn(variants(None))][:2] == ["hysparse-connector-sync", "full-async"]


def test_kv_outer_kernels_differ_from_variant_3_in_the_backend_alone():
    *_, outer = variants(None)
    plain = variants(None)[2].engine
    assert (outer.engine.policy, outer.engine.connector, outer.engine.asynchronous) == (
        plain.policy,
        plain.connector,
        plain.asynchronous,
    )
    assert outer.engine.backend == "by-overlap"


def test_an_asked_backend_is_that_of_all_hysparse_engines():
    engines = [variant.engine for variant in variants(UNION)]
    assert {engine.backend for engine in engines if engine.policy == "hysparse"} == {UNION}


def test_the_problems_are_none_of_training():
    assert PROBLEMS > TRAINING


@pytest.mark.parametrize(
    ("kernel", "group"),
    [
        ("_ZN5flash11flash_fwdE", "attention"),
        ("sparse_forward_kernel", "attention"),
        ("select_kernel", "choice"),
        ("DeviceRadixSortOnesweepKernel", "choice"),
        ("reshape_and_cache_flash_kernel", "cache"),
        ("gather_kernel", "cache"),
        ("Memcpy DtoH (Device -> Pageable)", "copies"),
        ("nvjet_tst_128x128", "other"),
    ],
)
def test_kernels_have_groups(kernel, group):
    assert group_of(kernel) == group


def test_groups_hold_all_seconds():
    kernels = {"select_kernel": 0.5, "union_kernel": 0.25, "gemm": 1.0}
    assert grouped(kernels) == {"choice": 0.75, "other": 1.0}


def a_round(seconds):
    parts = {name: {"seconds": seconds / 2, "steps": 3, "tokens": 10} for name in ("prefill", "decoding", "chunks")}
    return {"seconds": seconds, "adding": 0.1, **parts, "tokens": 40, "most": 8, "mib": 0.0, "connector": {}}


def shown(result):
    return table([result])


def test_a_row_has_a_cell_for_each_heading():
    rows = [shown(Result(1, "one", rounds=[a_round(2.0)]))[2], shown(Result(1, "one", note="failed"))[2]]
    assert {line.count("|") for line in rows} == {row(HEAD).count("|")}


def test_a_row_shows_the_median_of_its_rounds():
    cells = shown(Result(1, "one", rounds=[a_round(seconds) for seconds in (2.0, 9.0, 4.0)]))[2].split(" | ")
    assert cells[2:4] == ["2.00 9.00 4.00", "4.000"]


def test_a_failed_variant_shows_its_note():
    assert "out of memory" in shown(Result(1, "one", note="out of memory"))[2]


def test_kernels_have_a_row_for_each_part():
    result = Result(1, "one", gpu={"prefill": {"attention": 0.5, "other": 0.25}}, top={"prefill": {"flash": 0.5}})
    assert "| one | prefill | 0.500 | 0.000 | 0.000 | 0.000 | 0.250 | 0.750 |  |" in shown(result)


def test_an_engine_names_the_options_of_the_whole_call():
    assert call_of(["sampling.py", "OUT", "--rounds", "2", "--engine", "full-async"]) == "--rounds 2"


@pytest.mark.parametrize(("left", "later", "seconds"), [(560, 5, 335), (200, 5, 200 / 6), (60, 0, 60)])
def test_an_engine_leaves_seconds_to_later_engines(left, later, seconds):
    assert share(left, later) == pytest.approx(seconds)
