"""How much is copied of a rollout's choices, from a step to shared memory and from there to a request's output."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from judgerlvr.hysparse.replay.rollout_choices import KEY, REQUEST, from_parameters
from judgerlvr.hysparse.vllm import choice_store
from judgerlvr.hysparse.vllm.choice_store import IndexStore, slots_of

PAGE, PAGES, KV_HEADS, COUNT, UNCROWDED = 16, 640, 2, 4, 64


@pytest.fixture
def connector(tmp_path, monkeypatch):
    """A function that makes a connector of ``groups``, one a layer, with ``routers`` layers of experts."""
    pytest.importorskip("vllm")
    from judgerlvr.hysparse.vllm import connector as module

    monkeypatch.setattr(choice_store, "FOLDERS", (tmp_path,))
    monkeypatch.setattr(module, "get_tensor_model_parallel_rank", lambda: 0)

    def make(groups, routers=0):
        made = module.BlockIndexConnector.__new__(module.BlockIndexConnector)
        made.groups, made.pages, made.uncrowded = groups, [PAGE] * len(groups), UNCROWDED
        made.names = [f"layer.{number}" for number in range(len(groups))]
        made.routers = [f"router.{number}" for number in range(routers)]
        made.store = IndexStore(f"engine-{len(groups)}", (len(groups), PAGE * PAGES, KV_HEADS, COUNT))
        experts = (1, PAGE * PAGES, routers, COUNT)
        made.experts = IndexStore(f"experts-{len(groups)}", experts) if routers else None
        return made

    return make


def step_of(made, slots, seed=0):
    """A step's context: ``slots`` [tokens] of each group, and choices that count up within a row."""
    draw = torch.Generator().manual_seed(seed)

    def rows(heads):
        return torch.randint(0, 500, (len(slots[0]) + 3, heads, COUNT), generator=draw, dtype=torch.int32)

    layers = {name: SimpleNamespace(impl=SimpleNamespace(selected=rows(KV_HEADS))) for name in made.names}
    routers = {name: SimpleNamespace(router=SimpleNamespace(capture_fn=SimpleNamespace(chosen=rows(1)[:, 0])))
               for name in made.routers}  # fmt: skip
    metadata = {name: SimpleNamespace(slots=slots[group]) for name, group in zip(made.names, made.groups, strict=True)}
    return SimpleNamespace(attn_metadata=metadata, no_compile_layers=layers | routers)


def finish(made, blocks, tokens):
    """The values that a request of ``tokens`` computed tokens carries."""
    request = SimpleNamespace(num_tokens=tokens + 1, num_computed_tokens=tokens, **REQUEST)
    delayed, parameters = made.request_finished_all_groups(request, blocks)
    assert not delayed
    return parameters


@pytest.mark.parametrize("routers", [0, 3])
@pytest.mark.parametrize("groups", [[0, 0, 0], [1, 0, 1]])
def test_a_request_carries_what_its_steps_chose(connector, monkeypatch, groups, routers):
    """Three steps with padded tokens, against loops over tokens, layers and heads. Parts of 7 rows are read at once."""
    from judgerlvr.hysparse.vllm import connector as module

    monkeypatch.setattr(choice_store, "ROWS", 7)
    made, draw, tokens = connector(groups, routers), np.random.default_rng(0), 150
    blocks = [draw.permutation(PAGES)[: -(-tokens // PAGE)].tolist() for _ in range(2)]
    slots = [torch.tensor(slots_of(of_group, PAGE, tokens)) for of_group in blocks]
    expected, routed = [], []
    for begin, end in ((0, 70), (70, 149), (149, 150)):
        padded = [torch.cat([where[begin:end], torch.tensor([-1, -1])]) for where in slots]
        context = step_of(made, padded, seed=begin)
        monkeypatch.setattr(module, "get_forward_context", lambda context=context: context)
        made.wait_for_save()
        for row in range(end - begin):
            layers = [context.no_compile_layers[name].impl.selected[row] for name in made.names]
            expected.append([layer.tolist() for layer in layers])
            experts = [context.no_compile_layers[name].router.capture_fn.chosen[row] for name in made.routers]
            routed.append([layer.tolist() for layer in experts])
    values = from_parameters(finish(made, blocks, tokens), tokens + 1)
    assert values[:2].tolist() == [tokens, 0]
    own = np.array(routed, dtype=np.int16).size
    assert values[2 : 2 + own].tolist() == np.array(routed).ravel().tolist()
    assert values[2 + own :].tolist() == np.array(expected[UNCROWDED:]).ravel().tolist()


def test_copies_from_the_device_do_not_grow_with_layers(connector, monkeypatch):
    """A step waits for the device at each copy. Layers of one cache group share their slots."""
    from judgerlvr.hysparse.vllm import connector as module

    copied = []
    kept = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copied.append(tensor.shape) or kept(tensor))
    for groups in ([0], [0] * 9):
        made = connector(groups)
        context = step_of(made, [torch.arange(40)])
        monkeypatch.setattr(module, "get_forward_context", lambda context=context: context)
        made.wait_for_save()
    assert copied == [(40,), (1, 40, KV_HEADS, COUNT), (40,), (9, 40, KV_HEADS, COUNT)]


def test_a_finished_request_takes_memory_for_two_copies(connector):
    """The values and the bytes that travel. Twice the tokens take twice the memory."""
    made, peaks = connector([0] * 9), []
    made.store.rows[...] = 1
    for tokens in (5_000, 10_000):
        blocks = [list(range(PAGES))]
        finish(made, blocks, tokens)
        tracemalloc.start()
        carried = len(finish(made, blocks, tokens)[KEY])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert peaks[-1] <= 2.5 * carried
    assert peaks[1] <= 2.2 * peaks[0]
