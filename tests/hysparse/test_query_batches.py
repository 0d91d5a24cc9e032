"""Ragged, paged steps cut into rectangles: against each request alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from judgerlvr.hysparse.model.presets import preset
from judgerlvr.hysparse.ops.reference import full_attention_with_selection, sparse_attention
from judgerlvr.hysparse.ops.segments import whole
from judgerlvr.hysparse.ops.selection import Selection
from judgerlvr.hysparse.vllm import backend
from judgerlvr.hysparse.vllm.backend import HySparseImpl, HySparseMetadata, HySparseMetadataBuilder
from judgerlvr.hysparse.vllm.query_batches import (
    FOR_KERNELS,
    FOR_REFERENCE,
    keys_and_values,
    pieces,
    query_batches,
    write,
)
from judgerlvr.hysparse.vllm.weights import apart, split_experts

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


BOUNDS = {"whole": FOR_REFERENCE, "chunked": replace(FOR_REFERENCE, queries=5), "kernels": FOR_KERNELS}


@pytest.fixture(params=BOUNDS)
def bounds(request):
    return BOUNDS[request.param]


def batches_of(starts, lengths, table, bounds):
    return query_batches(pieces(starts.tolist(), lengths.tolist(), bounds.queries), bounds, table, PAGE)


def test_every_token_is_in_one_batch(bounds):
    _, _, table, starts, lengths, _ = make_step()
    tokens = torch.cat([batch.tokens.flatten() for batch in batches_of(starts, lengths, table, bounds)])
    assert sorted(tokens.tolist()) == list(range(int(starts[-1])))


def test_equals_each_request_alone(bounds):
    q, cache, table, starts, lengths, keys = make_step()
    full, sparse = torch.full((2, *q.shape), torch.nan)
    selected = torch.zeros(len(q), KV_HEADS, SELECTION.count, dtype=torch.int32)
    for batch in batches_of(starts, lengths, table, bounds):
        k, v = keys_and_values(cache, batch.slots)
        rows = q[batch.tokens].transpose(1, 2)
        out, indices = full_attention_with_selection(rows, k, v, batch.segments, SELECTION)
        chosen = sparse_attention(rows, k, v, indices, batch.segments, SELECTION.block)
        full[batch.tokens], sparse[batch.tokens] = out.transpose(1, 2), chosen.transpose(1, 2)
        selected[batch.tokens] = indices.transpose(1, 2)
    for row, (begin, end) in enumerate(zip(starts.tolist(), starts[1:].tolist(), strict=False)):
        if begin < end:
            one = alone(q[begin:end], keys[row], end - begin, int(lengths[row]))
            expected, indices = full_attention_with_selection(*one, SELECTION)
            torch.testing.assert_close(full[begin:end], expected[0].transpose(0, 1))
            assert torch.equal(selected[begin:end], indices[0].transpose(0, 1))
            expected = sparse_attention(*one[:3], indices, one[3], SELECTION.block)
            torch.testing.assert_close(sparse[begin:end], expected[0].transpose(0, 1))


def test_products_are_bounded():
    _, _, table, starts, lengths, _ = make_step()
    for batch in batches_of(starts, lengths, table, replace(FOR_REFERENCE, queries=5, products=100)):
        assert batch.tokens.numel() * batch.slots.shape[1] <= 100 or len(batch.tokens) == 1


def test_keys_are_bounded():
    _, _, table, starts, lengths, _ = make_step()
    batches = batches_of(starts, lengths, table, replace(FOR_KERNELS, keys=50))
    assert any(len(batch.tokens) > 1 for batch in batches_of(starts, lengths, table, FOR_KERNELS))
    assert all(batch.slots.numel() <= 50 for batch in batches)


def test_requests_without_cached_keys_are_one_row():
    _, _, table, starts, lengths, _ = make_step()
    *_, packed = batches_of(starts, lengths, table, FOR_KERNELS)
    assert packed.tokens.tolist() == [[*range(20), 36]]
    assert packed.segments.starts.tolist() == [[0] * 20 + [20]]


@pytest.mark.parametrize(("spare", "keeps"), [(0, True), (-1, False)])
def test_copies_are_kept_within_their_bound(spare, keeps):
    _, _, table, starts, lengths, _ = make_step()
    keys = 2 * 31 + 2 * 45 + 21  # two rectangles of two rows, padded to the longer, and the packed row
    batches = batches_of(starts, lengths, table, replace(FOR_KERNELS, kept=keys + spare))
    assert {batch.keeps for batch in batches} == {keeps}


def run_blocks(monkeypatch, bounds):
    """Outputs of two hybrid blocks of a full and two sparse layers, whose copies of keys may outlive a layer."""
    monkeypatch.setattr(backend, "bounds_for", lambda device_type: bounds)
    _, _, table, starts, lengths, _ = make_step()
    found = list(pieces(starts.tolist(), lengths.tolist(), bounds.queries))
    step = HySparseMetadata(lengths, table, None, longest=64, decodes=0, pieces=found)
    outputs = []
    for seed in range(2):
        _, cache, *_ = make_step(0)
        cache = cache + seed
        sizes = {"num_heads": HEADS, "head_size": DIM, "scale": DIM**-0.5, "num_kv_heads": KV_HEADS}
        full = HySparseImpl(**sizes, selection=SELECTION, max_tokens=int(starts[-1]))
        layers = [full, *(HySparseImpl(**sizes, selection=SELECTION, source=full) for _ in range(2))]
        for number, layer in enumerate(layers):
            q = torch.randn(int(starts[-1]), HEADS, DIM, generator=torch.Generator().manual_seed(10 * seed + number))
            outputs.append(layer.forward(None, q, None, None, cache, step, torch.full_like(q, torch.nan)))
    return torch.stack(outputs)


def test_copies_that_sparse_layers_share_are_of_their_own_block(monkeypatch):
    expected = run_blocks(monkeypatch, FOR_REFERENCE)
    torch.testing.assert_close(run_blocks(monkeypatch, FOR_KERNELS), expected)
    torch.testing.assert_close(run_blocks(monkeypatch, replace(FOR_KERNELS, kept=0)), expected)


def test_padded_tokens_are_not_written():
    key, value = torch.randn(2, 4, KV_HEADS, DIM)
    cache = torch.zeros(3, KV_HEADS, PAGE, 2 * DIM)
    write(key, value, cache, torch.tensor([17, -1, 8]))
    assert torch.equal(cache[2, :, 1], torch.cat([key[0], value[0]], dim=-1))
    assert torch.equal(cache[1, :, 0], torch.cat([key[2], value[2]], dim=-1))
    assert cache.ne(0).any(dim=-1).sum() == 2 * KV_HEADS


def test_pages_may_lie_apart():
    """vLLM may put other things between pages: the caches of two layers here, NaN."""
    key, value = torch.randn(2, 3, KV_HEADS, DIM)
    cache = torch.full((3, 2, KV_HEADS, PAGE, 2 * DIM), torch.nan)[:, 1]
    slots = torch.tensor([17, 0, 8])
    write(key, value, cache, slots)
    k, v = keys_and_values(cache, slots[None])
    assert torch.equal(k[0], key.transpose(0, 1)) and torch.equal(v[0], value.transpose(0, 1))
    assert cache.isfinite().all(dim=-1).sum() == 3 * KV_HEADS


def common_metadata(new, lengths):
    """What vLLM says of a step: requests with one new token come first."""
    starts = torch.tensor([0, *torch.tensor(new).cumsum(0).tolist()], dtype=torch.int32)
    counted = torch.tensor(lengths, dtype=torch.int32)
    return SimpleNamespace(
        query_start_loc_cpu=starts,
        seq_lens=counted,
        seq_lens_cpu_upper_bound=counted,
        num_reqs=len(new),
        num_actual_tokens=sum(new),
        max_query_len=max(new),
        block_table_tensor=torch.zeros(len(new), 1),
        slot_mapping=torch.zeros(sum(new)),
    )


def builder(has_kernels, bounds):
    made = HySparseMetadataBuilder.__new__(HySparseMetadataBuilder)
    made.has_kernels, made.bounds, made.longest = has_kernels, bounds, 64
    return made


@pytest.mark.parametrize(("new", "decodes"), [([1, 1, 1], 3), ([1, 1, 0], 3), ([1, 1, 7, 20], 2), ([7, 1], 0)], ids=str)
def test_kernels_take_the_requests_with_one_new_token(new, decodes):
    found = builder(True, FOR_KERNELS).build(0, common_metadata(new, [30] * len(new)))
    assert found.decodes == decodes
    assert [(piece.row, piece.queries) for piece in found.pieces] == list(enumerate(new))[decodes:]


def test_the_reference_takes_all_requests_as_pieces():
    found = builder(False, FOR_REFERENCE).build(0, common_metadata([1, 1, 7], [30, 4, 9]))
    assert (found.decodes, [piece.keys for piece in found.pieces]) == (0, [30, 4, 9])


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


def test_projections_of_lent_inputs_get_names_of_their_own():
    """A full layer of the cross-decoder has all three, and a sparse layer has queries alone."""
    config = preset("hysparse2-tiny")
    joint, lent, alone = (f"model.layers.{layer}.self_attn" for layer in (1, 5, 10))
    given = [(f"{joint}.k_proj.weight", 1), (f"{lent}.q_proj.weight", 2), (f"{lent}.v_proj.bias", 3)]
    given += [(f"{alone}.q_proj.weight", 4), (f"{alone}.o_proj.weight", 5)]
    named = [f"{joint}.k_proj.weight", f"{lent}.apart.query.weight", f"{lent}.apart.value.bias"]
    named += [f"{alone}.apart.query.weight", f"{alone}.o_proj.weight"]
    assert list(apart(given, config.rows)) == list(zip(named, range(1, 6), strict=True))
