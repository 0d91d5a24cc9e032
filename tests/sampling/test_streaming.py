"""Samples survive every death: each key once after the resume, and the samples of a run in which nothing died."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.plan import Job, Rounds
from judgerlvr.sampling.samples import generate_items
from judgerlvr.sampling.store import key_of
from judgerlvr.sampling.streaming import NoEngine, sample_items
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from rewards.types import Problem
from tests.helpers.fake_engines import FakeEngines

MODEL = base_path("qwen3_moe")


class DriverKilled(BaseException):
    """Stands for a signal that ends the driver."""


def make_items(count=9):
    return generate_items([Problem(f"p{n}", f"a={n}", str(n)) for n in range(count)], "{{problem}}", "candidates")


def jobs(n=3, **changes):
    return [
        Job(MODEL, Decoding(n=n, seed=1, max_tokens=8, **changes), "warm"),
        Job(MODEL, Decoding(n=1, temperature=0.0, max_tokens=8), "greedy"),
    ]


def draw(folder, engines=None, items=None, asked=None, **settings):
    return sample_items(folder, items or make_items(), asked or jobs(), engines or FakeEngines(), **settings)


def texts(store, items=None):
    found = store.samples(items or make_items())
    return {(job, sample.item.id, sample.index): sample.response for job, sample in found}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return texts(draw(tmp_path_factory.mktemp("whole"), FakeEngines(1)))


def keys(store):
    return Counter(key_of(record) for record in store.records())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_number_of_engines_and_their_order_change_no_sample(tmp_path, undisturbed, count):
    assert texts(draw(tmp_path, FakeEngines(count, seed=count))) == undisturbed


@pytest.mark.parametrize("seed", range(6))
def test_lost_engines_cost_no_sample_and_give_none_twice(tmp_path, undisturbed, seed):
    deaths = random.Random(seed)
    store = draw(tmp_path, FakeEngines(3, seed=seed, dies=lambda turn: deaths.random() < 0.12))
    assert set(keys(store).values()) == {1}
    assert texts(store) == undisturbed


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_driver_resumes_with_each_key_once(tmp_path, undisturbed, seed):
    deaths = random.Random(seed)

    def killed(turn):
        if deaths.random() < 0.3:
            raise DriverKilled
        return False

    for _ in range(100):
        try:
            store = draw(tmp_path, FakeEngines(2, seed=seed, dies=killed))
            break
        except DriverKilled:
            shard = sorted((tmp_path / "shards").glob("*"))[-1:]
            for path in shard:  # the last line is torn anywhere
                content = path.read_bytes() or b"-"
                path.write_bytes(content[: len(content) - deaths.randrange(len(content.splitlines()[-1] + b"-"))])
    assert set(keys(store).values()) == {1}
    assert texts(store) == undisturbed


def test_engines_run_on_while_their_samples_are_graded(tmp_path):
    engines = FakeEngines(1, width=2)
    graded = []

    def grade(samples):
        graded.append((engines.turns, len(engines.asked)))
        return [True] * len(samples)

    draw(tmp_path, engines, make_items(40), jobs()[:1], rounds=Rounds(3, grade))
    # The turn whose samples are graded, and a further one. The last samples leave nothing to hand over.
    turns = [turn for turn, asked in graded if asked < 120]
    assert turns[0] >= 2 and len(turns) > 5
    assert all(later > before for before, later in pairwise(turns))


def test_a_complete_folder_starts_no_engine(tmp_path, undisturbed):
    draw(tmp_path)
    engines = FakeEngines()
    assert texts(draw(tmp_path, engines)) == undisturbed
    assert engines.loaded == []


def test_a_resume_asks_for_what_is_missing_alone(tmp_path):
    store = draw(tmp_path)
    shard = store.shards[0]
    lines = shard.read_text().splitlines(keepends=True)
    shard.write_text("".join(lines[:-5]))
    engines = FakeEngines()
    draw(tmp_path, engines)
    assert len(engines.asked) == 5


CHANGED = {
    "temperature changed from 1.0 to 0.5": {"asked": jobs(temperature=0.5)},
    "max_tokens changed from 8 to 9": {"asked": [Job(MODEL, Decoding(n=3, seed=1, max_tokens=9), "warm"), jobs()[1]]},
    "2 pairs of model and decoding before, now 1": {"asked": jobs()[:1]},
    "the name changed": {"asked": [Job(MODEL, jobs()[0].decoding, "other"), jobs()[1]]},
    "the problems changed": {"items": make_items(8)},
    "the prompts changed": {"items": generate_items([i.problem for i in make_items()], "Go {{problem}}", "candidates")},
    "the engine changed": {"engine": {"dtype": "float16"}},
    "the rounds changed": {"rounds": Rounds(2, lambda samples: [True] * len(samples))},
}


@pytest.mark.parametrize("line", CHANGED)
def test_other_settings_refuse_to_resume_with_one_line(tmp_path, line):
    before = texts(draw(tmp_path))
    with pytest.raises(InputError, match=line) as refusal:
        draw(tmp_path, **CHANGED[line])
    assert "\n" not in str(refusal.value)
    assert texts(draw(tmp_path)) == before


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_changed_model_refuses_to_resume(tmp_path, name):
    model = tmp_path / "model"
    model.mkdir()
    for file in MODEL.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    asked = [Job(model, Decoding(n=1, max_tokens=8), "base")]
    draw(tmp_path / "out", asked=asked)
    (model / name).write_text((model / name).read_text() + " ")
    with pytest.raises(InputError, match="weights changed" if name == "config.json" else "tokenizer or chat template"):
        draw(tmp_path / "out", asked=asked)


def test_other_settings_begin_afresh_where_that_is_asked(tmp_path):
    draw(tmp_path)
    store = draw(tmp_path, asked=jobs(n=2), afresh=True)
    assert len(texts(store)) == 9 * 3


def test_engine_arguments_of_capacity_may_change(tmp_path):
    before = texts(draw(tmp_path, engine={"gpu_memory_utilization": 0.5}))
    assert texts(draw(tmp_path, engine={"gpu_memory_utilization": 0.9, "tensor_parallel_size": 2})) == before


def test_one_job_given_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="one model with one decoding"):
        draw(tmp_path, asked=[jobs()[0], Job(MODEL, jobs()[0].decoding, "again")])


def test_engines_that_always_die_end_the_run_with_their_cause(tmp_path):
    with pytest.raises(NoEngine, match="killed"):
        draw(tmp_path, FakeEngines(2, dies=lambda turn: True))


def test_an_engine_that_always_dies_leaves_its_work_to_the_others(tmp_path, undisturbed):
    engines = FakeEngines(2)
    start = engines.start
    engines.start = lambda slot, *rest: start(slot, *rest) if slot else engines.events.append(lost(slot))

    def lost(slot):
        from judgerlvr.sampling.engines import Lost

        return Lost(slot, "no room")

    assert texts(draw(tmp_path, engines)) == undisturbed


def test_a_model_is_loaded_once_an_engine_for_all_its_decodings(tmp_path):
    engines = FakeEngines(2)
    draw(tmp_path, engines)
    assert sorted(engines.loaded) == [(0, MODEL), (1, MODEL)]


def test_an_engine_holds_no_more_than_twice_what_runs_at_once(tmp_path):
    engines = FakeEngines(1, width=4)
    draw(tmp_path, engines, make_items(40))
    assert engines.most_held == 8


def test_few_requests_are_shared_by_all_engines(tmp_path):
    engines = FakeEngines(3, width=100)
    first = {}
    turn = engines.turn
    engines.turn = lambda slot, requests: (first.setdefault(slot, len(requests)), turn(slot, requests))
    draw(tmp_path, engines)
    assert sorted(first.values()) == [12, 12, 12]


def test_a_second_writer_is_refused(tmp_path):
    engines = FakeEngines(1)
    turn = engines.turn

    def meanwhile(slot, requests):
        import subprocess
        import sys

        code = (
            f"from pathlib import Path; from judgerlvr.runs.lock import held\nwith held(Path({str(tmp_path)!r})): pass"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "in use by process" in done.stderr
        engines.turn = turn
        turn(slot, requests)

    engines.turn = meanwhile
    draw(tmp_path, engines)


def test_prompt_without_room_is_a_counted_sample_and_needs_no_engine(tmp_path):
    items = generate_items([Problem("long", "a=1\n" * 400, "1")], "{{problem}}", "candidates")
    store = draw(tmp_path, FakeEngines(0), items)
    assert [(sample.finish_reason, sample.tokens) for _, sample in store.samples(items)] == [("prompt_too_long", 0)] * 4


def in_rounds(folder, engines, right, n=6, size=2):
    """Samples in rounds. ``right`` says of problem and response whether the response is right."""
    rounds = Rounds(size, lambda samples: [right(s.item.id, s.response) for s in samples], "fake")
    asked = [Job(MODEL, Decoding(n=n, seed=1, max_tokens=8), "warm")]
    return draw(folder, engines, asked=asked, rounds=rounds)


def by_digit(problem, text):
    """Right for all of p0, wrong for all of p1, and for the rest by the text."""
    return {"p0": True, "p1": False}.get(problem, int(text[-1], 16) % 2 == 0)


def naive_counts(whole, n=6, size=2):
    """Samples of each problem under the rule, from all n samples."""
    counts = {}
    for problem in {key[1] for key in whole}:
        right = [by_digit(problem, whole[key]) for key in sorted(whole) if key[1] == problem]
        sizes = range(size, n + 1, size)
        counts[problem] = next((k for k in sizes if len(set(right[:k])) == 2), n)
    return counts


@pytest.mark.parametrize("seed", range(4))
def test_rounds_stop_at_both_classes_whatever_dies(tmp_path, seed):
    asked = [Job(MODEL, Decoding(n=6, seed=1, max_tokens=8), "warm")]
    whole = texts(draw(tmp_path / "whole", asked=asked))
    deaths = random.Random(seed)
    store = in_rounds(tmp_path / "rounds", FakeEngines(2, seed=seed, dies=lambda _: deaths.random() < 0.1), by_digit)
    found = texts(store)
    assert Counter(key[1] for key in found) == naive_counts(whole)
    assert found.items() <= whole.items()


def killed(turns):
    """Kills the driver where the turns are used up."""
    if next(turns, None) is None:
        raise DriverKilled
    return False


def test_rounds_go_on_where_a_death_left_them(tmp_path):
    whole = in_rounds(tmp_path / "whole", FakeEngines(1), by_digit)
    for _ in range(50):
        turns = iter(range(4))
        try:
            store = in_rounds(tmp_path / "killed", FakeEngines(1, dies=lambda _, turns=turns: killed(turns)), by_digit)
            break
        except DriverKilled:
            continue
    assert texts(store) == texts(whole)


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    shard = draw(tmp_path).shards[0]
    lines = shard.read_text().splitlines(keepends=True)
    shard.write_text("".join([*lines[:3], lines[3][:20] + "\n", *lines[4:]]))
    with pytest.raises(InputError, match="row 4"):
        draw(tmp_path)


def test_shards_begin_anew_above_their_size(tmp_path, monkeypatch, undisturbed):
    monkeypatch.setattr("judgerlvr.sampling.store.SHARD_BYTES", 2000)
    store = draw(tmp_path)
    assert len(store.shards) > 3
    assert texts(store) == undisturbed
