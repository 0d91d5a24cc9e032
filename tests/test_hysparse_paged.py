"""Ragged, paged steps cut into rectangles: against each request alone."""

import pytest
import torch

from judgerlvr.hysparse.ops.reference import full_attention_with_selection, sparse_attention
from judgerlvr.hysparse.ops.selection import Selection
from judgerlvr.hysparse.segments import whole
from judgerlvr.hysparse.vllm import paged
from judgerlvr.hysparse.vllm.paged import keys_and_values, query_batches
from judgerlvr.hysparse.vllm.weights import split_experts

HEADS, KV_HEADS, DIM, PAGE = 4, 2, 8, 8
SELECTION = Selection(block=4, count=3)
# New tokens and total length of each request: prefill, chunks on a cache, decodes of two lengths, a padded row.
STEP = [(20, 20), (7, 31), (1, 45), (1, 9), (7, 12), (0, 0), (1, 1)]


def make_step(seed=0):
    """Queries, a cache in shuffled pages with NaN where nothing was written, and the ragged description."""
    torch.manual_seed(seed)
    pages_of = [-(-length // PAGE) for _, length in STEP]
    order = (torch.randperm(sum(pages_of)) + 1).tolist()
    cache = torch.full((sum(pages_of) + 1, KV_HEADS, PAGE, 2 * DIM), torch.nan)
    table = torch.zeros(len(STEP), max(pages_of), dtype=torch.int32)
    keys = [torch.randn(length, KV_HEADS, 2 * DIM) for _, length in STEP]
    for row in range(len(STEP)):
        for number in range(pages_of[row]):
            table[row, number] = order.pop()
            part = keys[row][number * PAGE : (number + 1) * PAGE]
            cache[table[row, number], :, : len(part)] = part.transpose(0, 1)
    starts = torch.tensor([0, *torch.tensor([new for new, _ in STEP]).cumsum(0).tolist()])
    lengths = torch.tensor([length for _, length in STEP])
    return torch.randn(int(starts[-1]), HEADS, DIM), cache, table, starts, lengths, keys


def alone(q, keys, new, length):
    """(q, k, v, segments) of one request as the operations take them."""
    k, v = keys.transpose(0, 1)[None].chunk(2, dim=-1)
    return q.transpose(0, 1)[None], k, v, whole(1, new, length - new)


@pytest.fixture(params=[256, 5], ids=["whole", "chunked"])
def step(request, monkeypatch):
    monkeypatch.setattr(paged, "QUERY_CHUNK", request.param)
    return make_step()


def test_every_token_is_in_one_batch(step):
    _, _, table, starts, lengths, _ = step
    tokens = torch.cat([batch.tokens.flatten() for batch in query_batches(starts, lengths, table, PAGE)])
    assert sorted(tokens.tolist()) == list(range(int(starts[-1])))


def test_equals_each_request_alone(step):
    q, cache, table, starts, lengths, keys = step
    for batch in query_batches(starts, lengths, table, PAGE):
        k, v = keys_and_values(cache, batch.slots)
        rows = q[batch.tokens].transpose(1, 2)
        out, indices = full_attention_with_selection(rows, k, v, batch.segments, SELECTION)
        sparse = sparse_attention(rows, k, v, indices, batch.segments, SELECTION.block)
        for row, tokens in enumerate(batch.tokens):
            request = int(torch.searchsorted(starts, tokens[0], right=True)) - 1
            begin, end = int(starts[request]), int(starts[request + 1])
            one = alone(q[begin:end], keys[request], end - begin, int(lengths[request]))
            expected, chosen = full_attention_with_selection(*one, SELECTION)
            part = slice(int(tokens[0]) - begin, int(tokens[-1]) - begin + 1)
            torch.testing.assert_close(out[row], expected[0, :, part])
            assert torch.equal(indices[row], chosen[0, :, part])
            expected = sparse_attention(*one[:3], chosen, one[3], SELECTION.block)
            torch.testing.assert_close(sparse[row], expected[0, :, part])


def test_batches_are_bounded(step, monkeypatch):
    monkeypatch.setattr(paged, "PRODUCTS", 100)
    _, _, table, starts, lengths, _ = step
    for batch in query_batches(starts, lengths, table, PAGE):
        assert batch.tokens.numel() * batch.slots.shape[1] <= 100 or len(batch.tokens) == 1


def test_fused_experts_become_single_ones_and_back():
    gate_up, down = torch.randn(3, 8, 5), torch.randn(3, 5, 4)
    names = {"model.layers.0.mlp.experts.gate_up_proj": gate_up, "model.layers.0.mlp.experts.down_proj": down}
    single = dict(split_experts(names.items()))
    assert len(single) == 9
    parts = [
        torch.cat([single[f"model.layers.0.mlp.experts.{expert}.{name}.weight"] for name in ("gate_proj", "up_proj")])
        for expert in range(3)
    ]
    assert torch.equal(torch.stack(parts), gate_up)
    assert torch.equal(single["model.layers.0.mlp.experts.2.down_proj.weight"], down[2])


def test_other_names_pass_unchanged():
    given = [("lm_head.weight", torch.ones(1)), ("model.layers.0.mlp.experts.0.up_proj.weight", torch.ones(2))]
    assert list(split_experts(given)) == given
