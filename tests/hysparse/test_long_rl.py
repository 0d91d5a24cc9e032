"""The long recall task of ``benchmarks.hysparse.long_rl``: its prompts, its reward, its turns and its figures."""

import math
from itertools import islice

import numpy as np
import pytest
import torch

from benchmarks.hysparse.long_rl.equal import paired, verdict
from benchmarks.hysparse.long_rl.figures import (
    Group,
    Step,
    Wait,
    agreement_of,
    held,
    paired_rate,
    pairs,
    rate,
    slope,
    steps_of,
    token_bytes,
)
from benchmarks.hysparse.long_rl.landing import bracket, crossing, move_between, snapshot
from benchmarks.hysparse.long_rl.options import lessons_of, parse_arguments, rl_task
from benchmarks.hysparse.long_rl.policy import accuracy, chances_of, make_policy
from benchmarks.hysparse.long_rl.record import paired_lines
from benchmarks.hysparse.long_rl.sft import batch, row_tokens
from benchmarks.hysparse.long_rl.stages import TRAINING
from benchmarks.hysparse.long_rl.task import HELDOUT, examples, response, row_of, same_walk
from benchmarks.hysparse.long_rl.turns import Arbiter, number_in, write
from benchmarks.hysparse.long_rl.words import UNKNOWN, make_tokenizer
from benchmarks.hysparse.recall.models import twin
from data.identity import make_problem
from judgerlvr.models.prompt_tokens import encode_prompt
from judgerlvr.runs.metrics import StepRow
from rewards.types import Reason


@pytest.fixture(scope="module")
def task():
    return rl_task(parse_arguments("", ["out", "--tiny"]))


@pytest.fixture(scope="module")
def texts(task):
    return task.words.texts


def drawn(task, seed, count):
    return list(islice(examples(task, seed), count))


def solve(problem):
    """A literal reader of the text: follow the pairs from the last word until no pair goes on."""
    *words, asked = problem.split()
    links = dict(word.split(">") for word in words if ">" in word)
    walk = []
    while asked in links:
        asked = links[asked]
        walk.append(asked)
    return walk


def rows(task, texts, seed=TRAINING, count=5):
    return [row_of(task, example, number, texts) for number, example in enumerate(drawn(task, seed, count))]


def graded(row, completion):
    problem = make_problem(row["problem"], row["gold"], meta={"walk": row["walk"]})
    return same_walk(problem, completion)


def test_a_literal_solver_finds_every_walk(task, texts):
    for row in rows(task, texts):
        assert [*row["walk"].split()[:-1], row["gold"]] == solve(row["problem"])


def test_prompts_have_the_asked_lengths(task):
    lengths = [len(example.prompt) for example in drawn(task, TRAINING, 200)]
    assert task.low <= min(lengths) and max(lengths) <= task.high and len(set(lengths)) > 50


def test_the_tokenizer_counts_a_prompt_exactly(task, texts):
    tokenizer = make_tokenizer(task.words)
    (example,) = drawn(task, TRAINING, 1)
    chat = [{"role": "user", "content": row_of(task, example, 0, texts)["problem"]}]
    assert encode_prompt(tokenizer, chat) == example.prompt.tolist()


def test_every_word_is_a_token_of_its_own(task, texts):
    tokenizer = make_tokenizer(task.words)
    ids = tokenizer(" ".join(texts), add_special_tokens=False).input_ids
    assert ids == list(range(task.words.size)) and ids.count(tokenizer.convert_tokens_to_ids(UNKNOWN)) == 1


def test_the_gap_holds_fillers_alone(task):
    for example in drawn(task, TRAINING, 20):
        assert example.prompt[-task.gap - 1 : -1].min() >= task.words.first_filler


def test_every_pair_stands_once(task):
    for example in drawn(task, TRAINING, 20):
        pairs = example.prompt[(example.prompt >= task.words.first_pair) & (example.prompt < task.words.first_filler)]
        assert len(pairs) == len(set(pairs)) == sum(task.lengths)


def test_pairs_lie_in_the_asked_number_of_blocks(task):
    for example in drawn(task, TRAINING, 20):
        places = np.flatnonzero((example.prompt >= task.words.first_pair) & (example.prompt < task.words.first_filler))
        assert len(set(places // task.block)) == task.clusters


def test_the_right_walk_is_paid(task, texts):
    assert all(graded(row, row["walk"]).reason is Reason.CORRECT for row in rows(task, texts))


def test_a_walk_to_another_answer_is_not_paid(task, texts):
    (row,) = rows(task, texts, count=1)
    other = "\\boxed{a0}" if row["gold"] != "a0" else "\\boxed{a1}"
    assert graded(row, " ".join([*row["walk"].split()[:-1], other])).score == 0


def test_a_walk_that_skips_a_link_is_not_paid(task, texts):
    (row,) = rows(task, texts, count=1)
    assert graded(row, " ".join(row["walk"].split()[1:])).reason is Reason.WRONG


def test_heldout_problems_are_none_of_training(task, texts):
    seen = {row["problem"] for row in rows(task, texts, TRAINING, 50)}
    assert not seen & {row["problem"] for row in rows(task, texts, HELDOUT, 50)}


def test_no_lesson_draws_from_the_seed_of_rl(task):
    assert len(lessons_of(parse_arguments("", ["out"]))) < TRAINING < HELDOUT


def test_the_shipped_prompts_have_16k_to_32k_tokens():
    task = rl_task(parse_arguments("", ["out"]))
    assert task.low >= 16_384 and task.high <= 32_768


def test_a_row_of_sft_teaches_the_responses_of_all_its_turns(task):
    (example,) = drawn(task, TRAINING, 1)
    ids, places = row_tokens(task, example, np.arange(len(task.lengths)))
    wanted = [token for chain in example.chains for token in response(task, chain)]
    assert [ids[place + 1] for place in places] == wanted


def test_a_batch_of_sft_holds_rows_of_one_length(task):
    ids, places = batch(task, 3, np.random.default_rng(0))
    assert places.shape == (3, sum(task.lengths))
    assert ids.shape[1] == ids[0, : places[0, 0] + 1].numel() + sum(task.lengths) + len(task.lengths) - 1


def test_the_accuracy_of_sampling_is_the_product_of_probabilities(task):
    model = make_policy("hysparse", task.words, 1024, tiny=True)
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 3, model.config.hidden_size, generator=draw)
    right = torch.tensor([[3, 4, 5], [6, 7, 8]])
    chances = [
        math.prod(float(model.lm_head(h).softmax(-1)[t].detach()) for h, t in zip(states, tokens, strict=True))
        for states, tokens in zip(hidden, right, strict=True)
    ]
    assert accuracy(*chances_of(model, hidden, right)).sampled == pytest.approx(sum(chances) / 2, rel=1e-4)


def test_half_way_weights_are_the_mean_of_both_ends(task):
    model = make_policy("full", task.words, 1024, tiny=True)
    one = snapshot(model)
    two = {name: value + 1 for name, value in one.items()}
    move_between(model, one, two, 0.5)
    assert all(torch.allclose(value, one[name] + 0.5, atol=1e-5) for name, value in model.named_parameters())


@pytest.mark.parametrize("place", [0.03, 0.4, 0.97])
def test_a_landing_finds_the_share_that_has_the_target(place):
    def rises(share):
        return 1 / (1 + math.exp(-12 * (share - place)))

    low, high = bracket(rises, 0.5, 2)
    assert low <= place <= high
    assert rises(crossing(rises, max(0.0, low - 0.1), min(1.0, high + 0.1), 0.5)) == pytest.approx(0.5, abs=0.06)


def test_a_landing_without_a_crossing_takes_the_nearest_point():
    assert crossing(lambda share: 0.1 * share, 0.2, 0.8, 0.5) == 0.8


def test_a_paired_difference_is_that_of_its_gaps():
    one, two = [0.5, 0.9, 0.1], [0.4, 0.5, 0.3]
    found, gaps = paired(one, two), [0.1, 0.4, -0.2]
    mean = sum(gaps) / 3
    error = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / 2 / 3)
    assert (found.mean, found.half) == pytest.approx((mean, 1.96 * error))


def test_the_first_turn_waits_for_all_runs(tmp_path):
    arbiter = Arbiter(tmp_path, ["a", "b"])
    write(tmp_path / "a.asked", 1)
    assert arbiter.grant(["a", "b"]) == ""


def test_turns_alternate(tmp_path):
    arbiter, granted = Arbiter(tmp_path, ["a", "b"]), []
    asked = {"a": 1, "b": 1}
    for _ in range(6):
        for name, number in asked.items():
            write(tmp_path / f"{name}.asked", number)
        granted.append(arbiter.grant(["a", "b"]))
        asked[granted[-1]] += 1
    assert granted == ["a", "b"] * 3


def test_no_turn_is_granted_while_another_is_held(tmp_path):
    arbiter = Arbiter(tmp_path, ["a", "b"])
    write(tmp_path / "a.asked", 1)
    write(tmp_path / "b.asked", 1)
    arbiter.grant(["a", "b"])
    assert arbiter.grant(["a", "b"]) == "" and number_in(tmp_path / "b.granted") == 0


def test_a_run_that_ended_gives_its_turn_back(tmp_path):
    arbiter = Arbiter(tmp_path, ["a", "b"])
    write(tmp_path / "a.asked", 1)
    write(tmp_path / "b.asked", 1)
    arbiter.grant(["a", "b"])
    assert arbiter.grant(["b"]) == "b"


def steps(rewards, seconds=2.0):
    parts = {"gen": 1.0, "old_log_prob": 0.5, "update_actor": 0.5, "update_weights": 0.1, "save_checkpoint": 0.0}
    return [
        Step(n, n * seconds, reward, 0, 1, 8, 100, {**parts, "step": seconds}, n == 1)
        for n, reward in enumerate(rewards, 1)
    ]


GROUP = Group(prompts=8, samples=8, agreement=0.1)


def test_speed_leaves_out_the_first_step():
    first, *later = steps([0.5] * 3)
    slow = Step(1, 0, 0.5, 0, 1, 8, 100, {**first.seconds, "step": 50.0}, True)
    assert rate([slow, *later], "step") == 50


def timed(seconds, tokens=100.0, save=0.0):
    """A step of each number of seconds, the first of which begins a process."""
    parts = {"gen": 1.0, "save_checkpoint": save}
    return [
        Step(n, 0, 0.5, 0, 1, 8, tokens, {**parts, "step": taken + save}, n == 1) for n, taken in enumerate(seconds, 1)
    ]


def test_pairs_leave_out_the_first_steps_of_both_and_the_steps_behind():
    one, two = timed([9.0, 5.0, 1.0, 1.0]), timed([2.0] * 3)
    assert [(a.number, b.number) for a, b in pairs(one, two, 2)] == [(3, 3)]


def test_a_paired_rate_is_that_of_all_tokens():
    one, two = timed([9.0, 4.0, 2.0, 6.0], 120.0), timed([9.0, 2.0, 5.0, 3.0], 90.0)
    expected = (360 / 12) / (270 / 10)
    assert paired_rate(pairs(one, two, 1), "step").value == pytest.approx(expected)


def test_a_paired_rate_leaves_checkpoints_out():
    one, two = timed([9.0, 4.0, 2.0], save=3.0), timed([9.0, 4.0, 2.0])
    assert paired_rate(pairs(one, two, 1), "step").value == 1


def test_the_interval_of_a_paired_rate_is_that_of_its_residuals():
    one, two = [4.0, 2.0, 6.0], [2.0, 5.0, 3.0]
    ratio = sum(two) / sum(one)
    misses = [b - ratio * a for a, b in zip(one, two, strict=True)]
    error = math.sqrt(sum(miss**2 for miss in misses) / 2 / 3) / (sum(one) / 3)
    found = paired_rate(pairs(timed([9.0, *one]), timed([9.0, *two]), 1), "step")
    assert (found.high - found.value, found.value - found.low) == pytest.approx((4.302653 * error,) * 2)


def test_intervals_of_a_paired_rate_hold_the_truth():
    draw, hits = np.random.default_rng(0), 0
    for _ in range(400):
        common = draw.normal(10, 1, 6)
        one, two = (list(common * scale + draw.normal(0, 0.5, 6)) for scale in (1.0, 0.9))
        found = paired_rate(pairs(timed([9.0, *one]), timed([9.0, *two]), 1), "step")
        hits += found.low <= 0.9 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_a_single_pair_bounds_nothing():
    found = paired_rate(pairs(timed([9.0, 2.0]), timed([9.0, 4.0]), 1), "step")
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_the_page_gives_both_counts_of_steps_that_compile(monkeypatch):
    monkeypatch.setattr("benchmarks.hysparse.long_rl.record.RATES", {"step": "whole step"})
    lines = paired_lines({"a": timed([9.0, 8.0, 2.0, 2.0]), "b": timed([9.0, 4.0, 2.0, 2.0])})
    assert lines[-2:] == ["| 2, 3, 4 | 0.67 [-0.05, 1.38] |", "| 3, 4 | 1.00 [1.00, 1.00] |"]


def test_the_wait_for_a_turn_is_no_part_of_a_step():
    values = {"response/mean_tokens": 8.0, "critic/score/mean": 0.5, "timing_s/step": 30.0}
    (step,) = steps_of([StepRow(1, "generate", 30.0, values)], GROUP, {1: Wait(25.0, True)})
    assert step.seconds["step"] == step.clock == 5


def test_the_first_step_of_a_resumed_run_is_marked():
    rows = [StepRow(n, "generate", 1.0, {"response/mean_tokens": 8.0, "critic/score/mean": 0.5}) for n in (1, 2, 3)]
    marks = [step.first for step in steps_of(rows, GROUP, {1: Wait(0, True), 2: Wait(0, False), 3: Wait(0, True)})]
    assert marks == [True, False, True]


def test_the_slope_is_that_of_least_squares():
    rewards = [0.5, 0.55, 0.7, 0.72]
    assert slope(steps(rewards), GROUP)[0] == pytest.approx(np.polyfit([1, 2, 3, 4], rewards, 1)[0])


def test_responses_that_agree_are_worth_one():
    assert Group(8, 8, 1.0).worth == 8 and Group(8, 8, 0.0).worth == 64


def test_agreement_is_the_share_of_variance_between_problems():
    always_or_never = {"sampled": 0.5, "problems": 100, "sampled_error": 0.05}
    assert agreement_of(always_or_never) == pytest.approx(1.0)


def policies(one, two, count=400, noise=0.05):
    draw = np.random.default_rng(0)
    return {name: list(mean + draw.normal(0, noise, count)) for name, mean in (("a", one), ("b", two))}


def test_two_gaining_policies_with_equal_starts_and_ends_may_be_compared_over_time():
    assert verdict(policies(0.50, 0.51), policies(0.80, 0.81))[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (policies(0.50, 0.51), policies(0.80, 0.51)),
        (policies(0.50, 0.51), policies(0.80, 0.70)),
        (policies(0.50, 0.54), policies(0.80, 0.80)),
        (policies(0.50, 0.51), policies(0.45, 0.45)),
        (policies(0.50, 0.51, 20), policies(0.80, 0.80, 20, 0.3)),
        (policies(0.50, 0.51), {"a": [0.8] * 400}),
        ({"a": [0.5] * 400}, {"a": [0.8] * 400}),
    ],
    ids=["flat", "lower end", "unequal start", "both lose", "too few problems", "a stage cut", "one policy"],
)
def test_anything_else_leaves_speed_alone(before, after):
    assert not verdict(before, after)[0]


def test_equal_bytes_hold_more_prompts_of_hysparse():
    hysparse = twin("HySparse", num_hidden_layers=13, sparse_ratio=3, closing_full=True)
    full = twin("full attention", num_hidden_layers=13)
    assert (token_bytes(hysparse), token_bytes(full)) == (4 * 1024, 13 * 1024)
    assert held(full, 16_384, 13 * 1024 * 16_384 * 4) == 4
    assert held(hysparse, 16_384, 1024 * (4 * 16_384 + 12 * 128)) == 1
    assert held(hysparse, 16_384, 1024 * (4 * 16_384 + 9 * 128), two_kinds=True) == 1
