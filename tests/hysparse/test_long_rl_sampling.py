"""The pure parts of ``benchmarks.hysparse.long_rl.sampling``: variants, the split of a round, and the table."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks.hysparse.long_rl import sampling, sampling_engine
from benchmarks.hysparse.long_rl.record import row
from benchmarks.hysparse.long_rl.sampling import (
    call_of,
    main,
    measure_engine,
    missing,
    parse_arguments,
    results_of,
    share,
)
from benchmarks.hysparse.long_rl.sampling_engine import PROBLEMS, cache_bytes, group_of, grouped
from benchmarks.hysparse.long_rl.sampling_rounds import HEAD, Event, Part, Result, chunks_of, split, table
from benchmarks.hysparse.long_rl.sampling_variants import in_turn, numbers, variants, wanted
from benchmarks.hysparse.long_rl.stages import TRAINING
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.ops.dispatch import UNION

RESERVED = 2 * (1 << 18) * 2 * 64 * 2 + 13 * 2**27  # keys and values of 2 heads in half precision, and the rest
EVENTS = [
    Event(1.0, frozenset(), 80, chunk=True),
    Event(2.0, frozenset({0}), 60),
    Event(2.5, frozenset({0, 1}), 3, chunk=True),
    Event(2.7, frozenset({0, 1}), 4),
    Event(2.8, frozenset({1}), 0),
]


def numbered(number):
    return next(variant for variant in variants(None) if variant.number == number)


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
    outer, plain = numbered(7), numbered(3).engine
    assert (outer.engine.policy, outer.engine.connector, outer.engine.asynchronous) == (
        plain.policy,
        plain.connector,
        plain.asynchronous,
    )
    assert outer.engine.backend == "by-overlap"


def test_variant_8_differs_from_variant_5_in_the_reserve_alone():
    assert numbered(8).engine == replace(numbered(5).engine, reserve=True)


def test_an_engine_with_the_reserve_has_a_name_of_its_own():
    assert numbered(8).engine.name == "full-async-reserve"


def test_seven_engines_serve_all_variants():
    assert len({engine.name for engine in in_turn(variants(None))}) == 7


@pytest.mark.parametrize("backend", [None, UNION])
def test_variants_stand_in_the_order_of_their_numbers(backend):
    found = [variant.number for variant in variants(backend)]
    assert found == [number for number in numbers() if number != 7 or backend is None]


def called(monkeypatch, out, *words):
    monkeypatch.setattr("sys.argv", ["sampling.py", str(out), *words])
    return parse_arguments()


def with_policies(folder, *names):
    for name in names:
        config = HySparseConfig(num_key_value_heads=2, head_dim=64)
        config.save_pretrained(folder / "policies" / name)
    return folder


def test_the_cache_of_variant_8_has_hysparse_s_reserve_too(monkeypatch, tmp_path):
    options = called(monkeypatch, with_policies(tmp_path, "hysparse"), "--kv-bytes", "1000")
    assert cache_bytes(numbered(8).engine, options) == 1000 + RESERVED


@pytest.mark.parametrize("number", range(1, 8))
def test_the_cache_of_other_variants_has_the_bytes_asked_for(monkeypatch, tmp_path, number):
    assert cache_bytes(numbered(number).engine, called(monkeypatch, tmp_path, "--kv-bytes", "1000")) == 1000


def refusal(monkeypatch, capsys, out, *words):
    called(monkeypatch, out, *words)
    code, said = main(), capsys.readouterr().err
    return code, said


def test_variant_8_without_hysparse_s_policy_is_refused_by_the_policy_s_name(monkeypatch, capsys, tmp_path):
    code, said = refusal(monkeypatch, capsys, with_policies(tmp_path, "full"), "--only", "8")
    assert (code, said.count("\n"), "policies/hysparse holds no policy" in said) == (2, 1, True)


def test_variant_5_does_without_hysparse_s_policy(monkeypatch, tmp_path):
    options = called(monkeypatch, with_policies(tmp_path, "full"), "--only", "5")
    assert missing(options, in_turn(wanted(options))) == ""


def test_numbers_of_no_variant_are_refused_with_the_numbers_there_are(monkeypatch, capsys, tmp_path):
    assert refusal(monkeypatch, capsys, tmp_path, "--only", "9") == (
        2,
        "error: --only 9 names no variant; give numbers from 1 to 8\n",
    )


def test_all_variants_are_the_default(monkeypatch, tmp_path):
    assert called(monkeypatch, tmp_path).only == list(range(1, 9))


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Measure variant 8 with an engine and works that only note their calls: the result, and the works' names."""

    def measure_with(*words):
        seen = list[str]()
        options = called(monkeypatch, tmp_path, "--only", "8", *words)
        (tmp_path / "sampling").mkdir()
        sampler = SimpleNamespace(asynchronous=True, cache=3_000, groups=4)
        for name, stand_in in {
            "register_policies": lambda: None,
            "start": lambda *_: None,
            "Sampler": lambda *_: sampler,
            "measure": lambda _sampler, _variant, result, _until: (seen.append("measure"), result.rounds.append({})),
            "profile": lambda *_: seen.append("profile"),
        }.items():
            monkeypatch.setattr(sampling_engine, name, stand_in)
        monkeypatch.setattr(sampling, "prepare_environment", lambda: None)
        monkeypatch.setattr(sampling, "write", lambda _: None)
        monkeypatch.setattr("sys.stdin", io.StringIO("0.0\n"))
        measure_engine(numbered(8).engine, options)
        return results_of(options)[0], seen

    return measure_with


def test_a_result_records_the_cache_and_its_groups(measured):
    result = measured()[0]
    assert (result.cache, result.groups) == (3_000, 4)


@pytest.mark.parametrize(("words", "works"), [([], ["measure", "profile"]), (["--no-profile"], ["measure"])])
def test_no_profile_leaves_out_the_profiled_round(measured, words, works):
    assert measured(*words)[1] == works


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


@pytest.mark.parametrize("rounds", [[], [a_round(2.0)]])
def test_a_row_shows_the_cache_and_its_groups(rounds):
    line = shown(Result(1, "one", cache=3_013_265_920, groups=4, rounds=rounds))[2]
    cells = dict(zip(HEAD, line.strip("| ").split(" | "), strict=False))
    assert (cells["cache, GB"].strip(), cells["cache groups"].strip()) == ("3.01", "4")


def test_a_failed_variant_shows_its_note():
    assert "out of memory" in shown(Result(1, "one", note="out of memory"))[2]


def test_kernels_have_a_row_for_each_part():
    result = Result(1, "one", gpu={"prefill": {"attention": 0.5, "other": 0.25}}, top={"prefill": {"flash": 0.5}})
    assert "| one | prefill | 0.500 | 0.000 | 0.000 | 0.000 | 0.250 | 0.750 |  |" in shown(result)


def test_an_engine_names_the_options_of_the_whole_call():
    assert call_of(["sampling.py", "OUT", "--rounds", "2", "--engine", "full-async"]) == "--rounds 2"


@pytest.mark.parametrize(("left", "later", "seconds"), [(560, 5, 335), (480, 6, 210), (200, 5, 200 / 6), (60, 0, 60)])
def test_an_engine_leaves_seconds_to_later_engines(left, later, seconds):
    assert share(left, later) == pytest.approx(seconds)
