"""Each update holds the same samples on any number of ranks."""

import inspect
import random
from types import SimpleNamespace

import pytest
from verl.trainer.ppo.v1 import trainer_base
from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions
from verl.workers.engine_workers import TrainingWorker

from judgerlvr.engine.private.balancing import SameUpdates, spread_updates


def lengths(count, seed):
    draw = random.Random(seed)
    return [draw.randint(1, 16384) for _ in range(count)]


def updates(parts, samples):
    """The places of each update, as ranks that cut their parts in order make them."""
    own = samples // len(parts)
    return [
        sorted(place for part in parts for place in part[start : start + own]) for start in range(0, len(parts[0]), own)
    ]


@pytest.mark.parametrize(("samples", "count"), [(16, 4), (128, 4), (1024, 8)])
@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_an_update_holds_the_same_samples_on_any_number_of_ranks(samples, count, ranks, seed):
    work = lengths(samples * count, seed)
    parts = spread_updates(samples, work, ranks)
    assert updates(parts, samples) == [list(range(at, at + samples)) for at in range(0, samples * count, samples)]
    assert {len(part) for part in parts} == {len(work) // ranks}


@pytest.mark.parametrize("seed", range(5))
def test_one_rank_keeps_verls_order(seed):
    work = lengths(48, seed)
    assert spread_updates(12, work, 1) == get_seqlen_balanced_partitions(work, 1, True)


@pytest.mark.parametrize(("samples", "ranks"), [(32, 2), (64, 8)])
@pytest.mark.parametrize("seed", range(5))
def test_each_update_is_spread_by_length(samples, ranks, seed):
    """No rank has more of an update than by the cut into equal runs of places."""
    work = lengths(2 * samples, seed)
    own = samples // ranks
    for part_of in range(2):
        cut = [sum(work[at : at + own]) for at in range(part_of * samples, (part_of + 1) * samples, own)]
        parts = spread_updates(samples, work, ranks)
        spread = [sum(work[place] for place in part[part_of * own : (part_of + 1) * own]) for part in parts]
        assert max(spread) <= max(cut)


def test_verl_still_asks_the_name_that_is_replaced():
    source = inspect.getsource(trainer_base.PPOTrainer._balance_batch)
    assert "get_seqlen_balanced_partitions(workload_lst, k_partitions=dp_size, equal_size=True)" in source
    assert "_balance_batch(batch, metrics=metrics)" in inspect.getsource(trainer_base.PPOTrainer._step_once)


def test_a_worker_still_cuts_its_part_in_order():
    source = inspect.getsource(TrainingWorker.train_mini_batch)
    assert "mini_batch_size_per_gpu = mini_batch_size // self.engine.get_data_parallel_size()" in source


class Trainer:
    """Balances as verl does, by the name in verl's module."""

    def _balance_batch(self, batch, metrics):
        return trainer_base.get_seqlen_balanced_partitions(batch, k_partitions=2, equal_size=True)


class Ours(SameUpdates, Trainer):
    config = SimpleNamespace(
        actor_rollout_ref=SimpleNamespace(actor=SimpleNamespace(ppo_mini_batch_size=2), rollout=SimpleNamespace(n=2))
    )


def test_the_replacement_ends_with_the_call():
    before = trainer_base.get_seqlen_balanced_partitions
    work = [9, 9, 1, 1, 1, 1, 9, 9]
    assert updates(Ours()._balance_batch(work, metrics={}), 4) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert trainer_base.get_seqlen_balanced_partitions is before
