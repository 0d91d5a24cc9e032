"""Block indices from cache slots to a training sample and into the model: every part against loops."""

import errno
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from judgerlvr.engine.in_training.block_metrics import Compared, block_metrics, effective_share
from judgerlvr.hysparse.replay.rollout_choices import from_parameters, to_parameters
from judgerlvr.hysparse.vllm import choice_store as store_module
from judgerlvr.hysparse.vllm.choice_store import IndexStore, slots_of
from tests.helpers.hysparse_models import NAMES, make_model, random_ids


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A worker's and the scheduler's view of one store of 2 layers, 12 slots, 3 heads and 4 blocks."""
    monkeypatch.setattr("judgerlvr.hysparse.vllm.choice_store.FOLDERS", (tmp_path,))
    views = [IndexStore("engine", (2, 12, 3, 4)) for _ in range(2)]
    views[1].forget()
    assert not list(tmp_path.iterdir())
    return views


def indices(seed, tokens, heads):
    return torch.randint(0, 9, (tokens, heads, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)


def test_the_scheduler_reads_what_workers_wrote(store):
    """Two ranks, of one and of two KV heads. A padded token has slot -1."""
    worker, scheduler = store
    first, others = indices(0, 3, 1), indices(1, 3, 2)
    others[0, 0, 2:] = -1
    slots = torch.tensor([7, 2, -1])
    worker.write(1, slots, 0, first)
    worker.write(1, slots, 1, others)
    found = scheduler.read(1, np.array([2, 7]))
    assert found.dtype == np.int16
    assert found.tolist() == [torch.cat([first[row], others[row]]).tolist() for row in (1, 0)]


def test_the_stores_size_and_what_it_is_made_of_is_one_line(store, tmp_path):
    line = store[0].describe("block indices")
    assert line == (f"block indices: 0.0 MiB of host memory in {tmp_path} (2 x 12 x 3 x 4 values of 2 bytes)")


def test_a_slot_that_no_rank_or_not_every_rank_wrote_to_is_an_error(store):
    worker, scheduler = store
    worker.write(0, torch.tensor([3]), 0, indices(0, 1, 3))
    worker.write(0, torch.tensor([4]), 1, indices(0, 1, 2))
    with pytest.raises(RuntimeError, match="no choices for 2 of 3 tokens"):
        scheduler.read(0, np.array([3, 4, 5]))


def test_a_folder_without_room_is_left_to_the_next(tmp_path, monkeypatch):
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    monkeypatch.setattr("judgerlvr.hysparse.vllm.choice_store.FOLDERS", (small, large))
    reserve = store_module._allocate

    def allocate(path, size):
        if path.parent == small:
            path.touch()
            raise OSError(errno.ENOSPC, "No space left on device")
        return reserve(path, size)

    monkeypatch.setattr("judgerlvr.hysparse.vllm.choice_store._allocate", allocate)
    worker, scheduler = [IndexStore("engine", (1, 4, 1, 4)) for _ in range(2)]
    assert worker.path == scheduler.path == large / "judgerlvr-blocks-engine"
    assert not list(small.iterdir())


def test_slots_follow_the_block_table():
    blocks, page = [5, 0, 9], 4
    assert slots_of(blocks, page, 10).tolist() == [blocks[t // page] * page + t % page for t in range(10)]


@pytest.mark.parametrize("tokens", [5, 7])
def test_rows_of_other_tokens_are_an_error(tokens):
    with pytest.raises(ValueError, match="block indices of 5 tokens"):
        from_parameters(to_parameters(np.zeros((5, 2, 3, 4), dtype=np.int16), 5), tokens)


@pytest.mark.parametrize("parameters", [None, {}, {"do_remote_prefill": True}])
def test_an_engine_without_the_connector_is_an_error(parameters):
    with pytest.raises(ValueError, match="KV connector is missing"):
        from_parameters(parameters, 6)


def test_a_model_shows_the_blocks_it_used_and_those_it_would_have():
    model, ids = make_model(), random_ids(1, 60)
    own = model(ids, output_blocks=True)
    assert torch.equal(own.used_blocks, own.chosen_blocks)
    given = own.chosen_blocks.clone()
    given[0, :, :, 50:] = given[0, :, :, 40:41]
    replayed = model(ids, block_indices=given, output_blocks=True)
    assert torch.equal(replayed.used_blocks, given)
    # The first selecting layer sees the same hidden states whatever is replayed.
    assert torch.equal(replayed.chosen_blocks[0], own.chosen_blocks[0])
    assert model(ids).used_blocks is None


def test_differing_choices_are_counted_by_token():
    from judgerlvr.engine.private.block_engine import compared

    one = torch.randint(0, 2, (2, 1, 3, 8, 2))
    other = torch.randint(0, 2, (2, 1, 3, 8, 2))
    experts = torch.tensor([[[0, 1], [2, 3]] * 4, [[2, 3]] * 8])[:, None]
    reversed_ones = torch.tensor([[[1, 0]] * 8, [[3, 2]] * 8])[:, None]
    output = SimpleNamespace(used_blocks=other, chosen_blocks=one, chosen_experts=experts)
    carried = {"block_indices": other, "expert_indices": reversed_ones}
    by_name = compared(output, carried, torch.tensor([0, 4, 7]))
    assert [sample.tolist() for sample in by_name["differing_used"].unbind()] == [[0] * 4, [0] * 3]
    assert [sample.tolist() for sample in by_name["differing_experts"].unbind()] == [[0, 1, 0, 1], [0, 1, 0]]
    found = by_name["differing_chosen"]
    counts = [
        sum(
            one[layer, 0, head, t].tolist() != other[layer, 0, head, t].tolist()
            for layer in (0, 1)
            for head in (0, 1, 2)
        )
        for t in range(7)
    ]
    assert [sample.tolist() for sample in found.unbind()] == [counts[:4], counts[4:]]
    assert sum(counts) > 0


def test_metrics_of_a_step_equal_loops():
    config, draw = make_model("tiny-moe").config, torch.Generator().manual_seed(0)
    layers_heads = len(config.selecting_layers) * config.num_key_value_heads
    samples = []
    for tokens, response in ((40, 12), (25, 20)):
        counts = torch.randint(0, 2, (2, tokens), generator=draw) * torch.randint(1, 4, (2, tokens), generator=draw)
        routed = torch.randint(0, 8, (tokens,), generator=draw)
        samples.append(Compared(*counts, *-torch.rand(2, response, generator=draw), experts=routed))
    found = block_metrics(samples, config)

    crowded = judged = unequal = rerouted = 0
    gaps = {True: [], False: []}
    used = []
    for sample in samples:
        tokens, response = len(sample.used), len(sample.rollout)
        for row in range(tokens - 1):
            many = row // config.select_block + 1 > config.selection.count
            crowded, judged = crowded + many, judged + many * layers_heads
            unequal += int(sample.chosen[row])
        for token in range(response):
            row = tokens - response + token - 1
            used.append(int(sample.used[row]) > 0)
            rerouted += int(sample.experts[row])
            gaps[int(sample.chosen[row]) > 0].append(abs(float(sample.trainer[token] - sample.rollout[token])))
    assert found["hysparse/crowded_rows"] == pytest.approx(crowded / (39 + 24))
    assert found["hysparse/equal_choices"] == pytest.approx(1 - unequal / judged)
    assert found["hysparse/differing_rows"] == pytest.approx(sum(used) / len(used)) and 0 < sum(used) < len(used)
    assert found["hysparse/equal_experts"] == pytest.approx(1 - rerouted / (32 * 7)) and rerouted > 0
    assert found["hysparse/mismatch_agreeing"] == pytest.approx(sum(gaps[False]) / len(gaps[False]))
    assert found["hysparse/mismatch_differing"] == pytest.approx(sum(gaps[True]) / len(gaps[True]))
    carried = sum(2 + (tokens - 1) * 7 * 2 + max(0, tokens - 1 - 4 * 4) * layers_heads * 4 for tokens in (40, 25))
    assert found["hysparse/replay_mib"] == pytest.approx(carried * 2 / 2**20)
    assert 0 < found["hysparse/ess_sequences"] < found["hysparse/ess"] < 1


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.5, 2.0, 1.5, 1.0], [1e-8, 1.0]])
def test_effective_sample_size(weights):
    size = sum(weights) ** 2 / sum(w * w for w in weights)
    assert effective_share(torch.tensor(weights, dtype=torch.float64).log()) == pytest.approx(size / len(weights))


@pytest.mark.parametrize("replays", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_an_engine_replays_in_updates_too_and_compares_without_gradients(replays, grad, name):
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    from judgerlvr.engine.private import block_engine

    engine = object.__new__(block_engine.ReplayingEngine if replays else block_engine.ComparingEngine)
    engine.pad_to_length = engine.use_ulysses_sp = False
    engine.head = SimpleNamespace(ask=lambda question: None)
    engine.model_config = SimpleNamespace(hf_config=make_model(name).config)
    experts = np.zeros((4, 7, 2), dtype=np.int16) if name == "tiny-moe" else None
    nothing = np.zeros((0, 2, 2, 4), dtype=np.int16)
    values = [
        from_parameters(to_parameters(nothing, tokens - 1, None if experts is None else experts[: tokens - 1]), tokens)
        for tokens in (5, 3)
    ]
    nested = {
        "input_ids": [torch.arange(5), torch.arange(3)],
        "position_ids": [torch.arange(5), torch.arange(3)],
        block_engine.CARRIED: [torch.tensor(carried) for carried in values],
    }
    fields = {name: torch.nested.as_nested_tensor(rows, layout=torch.jagged) for name, rows in nested.items()}
    batch = TensorDict(fields, batch_size=2)
    tu.assign_non_tensor(batch, temperature=1.0)
    with torch.set_grad_enabled(grad):
        inputs, arguments = engine.prepare_model_inputs(batch)
    assert ("block_indices" in inputs) == replays
    assert ("expert_indices" in inputs) == (replays and name == "tiny-moe")
    assert ("output_blocks" in inputs) == ("carried" in arguments) == (not grad)
