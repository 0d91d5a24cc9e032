"""Lengths of responses: the stated mean and tail come back, records are read, and other numbers are refused."""

import random
from math import ceil

import pytest

from judgerlvr.planning.lengths import LARGEST_TAIL, LAST_STEPS, Lengths, lognormal, quantile, recorded
from judgerlvr.runs.rollout_log import ROLLOUTS, LoggedRollout, write_step
from rewards.errors import InputError


@pytest.mark.parametrize("mean", [300.0, 5000.0])
@pytest.mark.parametrize("tail", [1.5, 4.0, 10.0])
def test_a_lognormal_has_the_mean_and_the_tail_that_were_asked_for(mean, tail):
    lengths = lognormal(mean, tail, 10**9)
    # The thickest tail has a part of its mean beyond the last of the quantiles.
    assert lengths.mean == pytest.approx(mean, rel=0.01 if tail < 10 else 0.05)
    assert quantile(lengths.tokens, 0.99) == pytest.approx(tail * mean, rel=0.01)


def test_no_tail_is_one_length():
    assert set(lognormal(700, 1.0, 1000).tokens) == {700}


@pytest.mark.parametrize("mean", [100, 1000])
def test_a_cut_leaves_no_longer_response(mean):
    lengths = lognormal(mean, 4.0, 2 * mean)
    assert lengths.longest == 2 * mean and lengths.mean < mean
    share = sum(length == 2 * mean for length in lengths.tokens) / len(lengths.tokens)
    assert f"{share:.1%} cut at {2 * mean}" in lengths.described(2 * mean)


@pytest.mark.parametrize("seed", range(20))
def test_a_quantile_is_the_first_number_with_that_share_below_or_at(seed):
    draw = random.Random(seed)
    numbers = sorted(draw.randint(1, 30) for _ in range(draw.randint(1, 300)))
    share = draw.choice([0.01, 0.5, 0.9, 0.99, 1.0])
    naive = next(one for one in numbers if sum(other <= one for other in numbers) >= ceil(share * len(numbers)))
    assert quantile(numbers, share) == naive


@pytest.mark.parametrize(("mean", "tail"), [(0, 2), (1001, 2), (500, 0.9), (500, LARGEST_TAIL + 0.1)])
def test_no_such_lognormal_is_refused(mean, tail):
    with pytest.raises(InputError):
        lognormal(mean, tail, 1000)


def write(folder, step, tokens):
    rollouts = [LoggedRollout(step, "a", number, "", "", 1.0, "", count) for number, count in enumerate(tokens)]
    write_step(folder / ROLLOUTS, step, rollouts)


@pytest.mark.parametrize("inside", ["", ROLLOUTS])
def test_the_last_steps_of_a_run_are_read(tmp_path, inside):
    for step in range(1, LAST_STEPS + 3):
        write(tmp_path, step, [step, 5000])
    lengths = recorded(tmp_path / inside, 1000)
    assert lengths.tokens == (*range(3, LAST_STEPS + 3), *[1000] * LAST_STEPS)


def test_a_folder_without_rollouts_is_refused(tmp_path):
    with pytest.raises(InputError, match="no logged rollouts"):
        recorded(tmp_path, 1000)


def test_the_tail_is_the_99th_percentile_over_the_mean():
    assert Lengths((1,) * 98 + (101, 101), "made").tail == pytest.approx(101 / 3)
