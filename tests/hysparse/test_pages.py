"""Kernels over a paged cache against the reference. ``tests/hysparse/test_kernels.py`` says where they run."""

from dataclasses import replace

import pytest
import torch

# isort: off
from tests.hysparse.test_kernels import CLOSE, DEVICE  # skips where kernels cannot run

from judgerlvr.hysparse.ops import reference
from judgerlvr.hysparse.ops.selection import PADDING, Selection, blocks_of
from judgerlvr.hysparse.ops.triton import decode as decoding
from judgerlvr.hysparse.ops.triton import page as paged
from judgerlvr.hysparse.ops.segments import whole
# isort: on

KV_HEADS, DIM, BLOCK, COUNT, LONGEST = 2, 16, 16, 3, 160
SELECTION = Selection(BLOCK, COUNT)
# Crowded rows that end inside a block, at its end and just after. Rows with fewer blocks than chosen. One token.
# Padding.
LENGTHS = [139, 128, 129, 40, 1, 0, 160]


class Case:
    """Rows of a paged cache in shuffled pages, NaN where nothing was written."""

    def __init__(self, group=4, page=BLOCK, lengths=LENGTHS):
        draw = torch.Generator().manual_seed(0)
        self.lengths = lengths
        count = blocks_of(LONGEST, page)
        order = torch.randperm(len(lengths) * count, generator=draw) + 1
        table = order.view(len(lengths), count).int()
        cache = torch.full((len(order) + 1, KV_HEADS, page, 2 * DIM), torch.nan)
        self.keys = [torch.randn(KV_HEADS, length, 2 * DIM, generator=draw) for length in lengths]
        for row, keys in enumerate(self.keys):
            for number in range(blocks_of(lengths[row], page)):
                part = keys[:, number * page : (number + 1) * page]
                cache[table[row, number], :, : part.shape[1]] = part
        # queries lie between other things, as slices of a joint projection do
        wide = 2 * torch.randn(len(lengths), 3 * KV_HEADS * group * DIM, generator=draw)
        heads = KV_HEADS * group
        self.q = wide.to(DEVICE)[:, heads * DIM : 2 * heads * DIM].unflatten(-1, (heads, DIM))
        self.sinks = torch.randn(heads, generator=draw).to(DEVICE)
        counted = torch.tensor(lengths, dtype=torch.int32, device=DEVICE)
        self.pages = paged.Pages(cache.to(DEVICE), table.to(DEVICE), counted, LONGEST)
        self.selected = torch.full((len(lengths), KV_HEADS, COUNT), 7, dtype=torch.int32, device=DEVICE)
        self.out = torch.full(self.q.shape, torch.nan, device=DEVICE)

    def alone(self):
        """(row, q, k, v, segments) of each row that has keys, as the reference takes them."""
        for row, length in enumerate(self.lengths):
            if length:
                k, v = self.keys[row].to(DEVICE)[None].chunk(2, dim=-1)
                yield row, self.q[row][None, :, None], k, v, whole(1, 1, length - 1, DEVICE)


@pytest.fixture(params=[1, 4], ids=["whole", "split"], autouse=True)
def splits(request, monkeypatch):
    monkeypatch.setattr(decoding, "PROGRAMS", request.param * KV_HEADS * len(LENGTHS))


@pytest.mark.parametrize("page", [BLOCK, 2 * BLOCK])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("sunk", [False, True])
def test_full_attention_and_its_selection(group, page, sunk):
    case = Case(group, page)
    sinks = case.sinks if sunk else None
    paged.full_decode(case.q, case.pages, SELECTION, case.selected, case.out, sinks)
    for row, q, k, v, segments in case.alone():
        expected, chosen = reference.full_attention_with_selection(q, k, v, segments, SELECTION, sinks)
        torch.testing.assert_close(case.out[row], expected[0, :, 0], **CLOSE)
        assert torch.equal(case.selected[row], chosen[0, :, 0])


@pytest.mark.parametrize("page", [BLOCK, 2 * BLOCK])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("sunk", [False, True])
def test_attention_over_selected_blocks(group, page, sunk):
    case = Case(group, page)
    sinks = case.sinks if sunk else None
    for row, q, k, v, segments in case.alone():
        chosen = reference.full_attention_with_selection(q, k, v, segments, SELECTION)[1]
        case.selected[row] = chosen[0, :, 0]
    paged.sparse_decode(case.q, case.pages, BLOCK, case.selected, case.out, sinks)
    for row, q, k, v, segments in case.alone():
        indices = case.selected[row][None, :, None]
        expected = reference.sparse_attention(q, k, v, indices, segments, BLOCK, sinks)
        torch.testing.assert_close(case.out[row], expected[0, :, 0], **CLOSE)


def test_rows_without_keys_give_zeros():
    case = Case()
    row = LENGTHS.index(0)
    paged.full_decode(case.q, case.pages, SELECTION, case.selected, case.out)
    assert case.out[row].eq(0).all()
    case.out.fill_(torch.nan)
    paged.sparse_decode(case.q, case.pages, BLOCK, case.selected, case.out)
    assert case.out[row].eq(0).all()


def test_forced_blocks_are_the_references():
    case, selection = Case(), Selection(BLOCK, COUNT, first=1, local=1)
    paged.full_decode(case.q, case.pages, selection, case.selected, case.out)
    for row, q, k, v, segments in case.alone():
        chosen = reference.full_attention_with_selection(q, k, v, segments, selection)[1]
        assert torch.equal(case.selected[row], chosen[0, :, 0])


def test_a_row_that_selects_every_block_attends_to_all():
    case, every = Case(), Selection(BLOCK, blocks_of(LONGEST, BLOCK))
    selected = torch.full((len(LENGTHS), KV_HEADS, every.count), PADDING, dtype=torch.int32, device=DEVICE)
    paged.full_decode(case.q, case.pages, every, selected, case.out, case.sinks)
    sparse = torch.empty_like(case.out)
    paged.sparse_decode(case.q, case.pages, BLOCK, selected, sparse, case.sinks)
    torch.testing.assert_close(sparse, case.out, **CLOSE)


@pytest.mark.parametrize("kv_heads", [1, 2, 3])
def test_written_rows_are_gathered(kv_heads):
    """Tokens without a slot change nothing."""
    page, width = 32, 3 * kv_heads * DIM
    projected = torch.randn(7, width, device=DEVICE)
    key, value = (
        projected[:, n * kv_heads * DIM :][:, : kv_heads * DIM].unflatten(-1, (kv_heads, DIM)) for n in (1, 2)
    )
    cache = torch.zeros(4, kv_heads, page, 2 * DIM, device=DEVICE)
    slots = torch.tensor([5, 127, -1, 64, 63, -1], device=DEVICE)
    paged.write(key, value, cache, slots)
    kept = slots >= 0
    k, v = paged.gather(cache, slots[kept].view(2, 2))
    for found, tokens in ((k, key), (v, value)):
        assert torch.equal(found.transpose(1, 2).flatten(0, 1), tokens[:6][kept])
    assert cache.ne(0).any(dim=-1).sum() == 4 * kv_heads


def apart(cache):
    """The cache as one layer of a tensor whose pages hold three layers, NaN elsewhere."""
    layers = torch.full((len(cache), 3, *cache.shape[1:]), torch.nan, device=DEVICE)
    layers[:, 1] = cache
    assert not layers[:, 1].is_contiguous()
    return layers[:, 1]


def test_pages_may_lie_apart():
    """vLLM may put other things between pages, so every kernel steps by the strides."""
    near, far = Case(), Case()
    far.pages = replace(far.pages, cache=apart(far.pages.cache))
    for case in (near, far):
        paged.full_decode(case.q, case.pages, SELECTION, case.selected, case.out, case.sinks)
    assert torch.equal(near.out, far.out) and torch.equal(near.selected, far.selected)
    for case in (near, far):
        case.out.fill_(torch.nan)
        paged.sparse_decode(case.q, case.pages, BLOCK, case.selected, case.out, case.sinks)
    assert torch.equal(near.out, far.out)


def test_rows_are_written_and_gathered_apart():
    keys = torch.randn(2, 3, KV_HEADS, DIM, device=DEVICE)
    cache = apart(torch.zeros(4, KV_HEADS, BLOCK, 2 * DIM, device=DEVICE))
    slots = torch.tensor([63, 0, 17], device=DEVICE)
    paged.write(*keys, cache, slots)
    for found, written in zip(paged.gather(cache, slots[None]), keys, strict=True):
        assert torch.equal(found[0].transpose(0, 1), written)
    assert cache.ne(0).any(dim=-1).sum() == 3 * KV_HEADS
