"""Memory that the kernels hold for a moment, as both plans and vLLM count it."""

import pytest

from judgerlvr.hysparse.ops.kernel_shapes import (
    OUTER_QUERIES,
    PAIR_BYTES,
    PREFILL_BYTES,
    PREFILL_KEYS,
    prefill_reserve,
    sparse_scratch,
)

GIB = 2**30
SMALL = {"count": 16, "block": 64, "group": 2, "kv_heads": 6, "head_dim": 64}


def test_rows_that_keep_union_tiles_need_no_scratch():
    assert sparse_scratch(OUTER_QUERIES - 1, **SMALL, grad=True) == 0


def test_a_model_without_selection_needs_no_scratch():
    assert sparse_scratch(OUTER_QUERIES, **SMALL | {"count": 0}, grad=True) == 0


def test_a_forward_pass_below_the_bound_holds_a_row_and_a_normaliser_a_pair():
    pairs = 10_000 * 16 * 6
    assert sparse_scratch(10_000, **SMALL, grad=False) == pairs * 2 * (64 * 2 + 4) + PAIR_BYTES * pairs


def test_a_long_row_is_treated_span_by_span():
    pairs = 65_536 * 16 * 6
    rows = pairs // 4 * 2 * 64 * 2
    further = rows * 4 * 64 // (512 * 2)
    assert sparse_scratch(65_536, **SMALL, grad=True) == rows + further + PAIR_BYTES * pairs


def test_the_documented_bound_of_a_wide_model():
    """1 GiB and an eighth at group 4, head dim 128 and blocks of 64, whatever the length."""
    wide = {"count": 16, "block": 64, "group": 4, "kv_heads": 8, "head_dim": 128}
    assert sparse_scratch(131_072, **wide, grad=True) == 1.125 * GIB + PAIR_BYTES * 131_072 * 16 * 8


@pytest.mark.parametrize("group", [1, 4, 16])
@pytest.mark.parametrize("head_dim", [16, 128])
def test_vllm_reserves_what_a_prefill_of_long_pieces_takes(group, head_dim):
    taken = sparse_scratch(16_384, 16, 64, group, 8, head_dim, grad=False)
    assert taken + GIB // 4 <= PREFILL_BYTES


def test_vllm_reserves_copies_of_the_longest_request():
    short, long = (prefill_reserve(longest, 8, 128) for longest in (4_096, 2 * PREFILL_KEYS))
    assert short == 2**30 + PREFILL_BYTES
    assert long - short == 2**30
