"""Every kernel compiles for a Hopper GPU with the tiles of its table. The tests need triton and no GPU.

The interpreter accepts code that the compiler refuses. A kernel tested on a CPU alone may not exist on a GPU.
"""

import os

import pytest

pytest.importorskip("triton")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("Triton's interpreter takes the compiler's place", allow_module_level=True)

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from judgerlvr.hysparse.ops.kernel_shapes import MOST_GROUP
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton import decode_kernels as decode
from judgerlvr.hysparse.ops.triton import gate_kernels as gating
from judgerlvr.hysparse.ops.triton import page as paged
from judgerlvr.hysparse.ops.triton import page_kernels as pages
from judgerlvr.hysparse.ops.triton import range_kernels as flash
from judgerlvr.hysparse.ops.triton import selection as blocks
from judgerlvr.hysparse.ops.triton import selection_kernels as select
from judgerlvr.hysparse.ops.triton import sparse_kernels as sparse
from judgerlvr.hysparse.ops.triton.tile_shapes import TABLE, union_options

HOPPER = GPUTarget("cuda", 90, 32)
SHARED_MEMORY = 227 * 1024
TYPES = (
    dict.fromkeys(("q", "k", "v", "out", "grad_out", "grad_q"), "*bf16")
    | dict.fromkeys(("lse", "maxima", "delta", "sinks", "grad_k", "grad_v"), "*fp32")
    | dict.fromkeys(("parts", "lse_parts", "near_sinks"), "*fp32")
    | dict.fromkeys(("gate", "near_gate", "one", "other", "gate_one", "gate_other"), "*bf16")
    | dict.fromkeys(("grad_one", "grad_other", "grad_gate_one", "grad_gate_other"), "*bf16")
    | dict.fromkeys(("cache", "key", "value"), "*bf16")
    | dict.fromkeys(("table", "lengths"), "*i32")
    | dict.fromkeys(("starts", "bits"), "*i64")
    | dict.fromkeys(("begins", "counts", "entries", "lows", "highs", "ends", "order", "indices"), "*i32")
    | {"scale": "fp32"}
)


def compiled(kernel, options, rows, cols, types=TYPES, **constants):
    """The kernel, compiled for head dim 128 in bfloat16. ``rows`` and ``cols`` are its descriptors' boxes."""
    described = dict.fromkeys(("queries_of", "grads_of", "outputs_of", "query_grads_of"), rows)
    described |= dict.fromkeys(("keys_of", "values_of", "near_keys_of", "near_values_of"), cols)
    types = {name: f"tensordesc<bf16[{size},128]>" for name, size in described.items()} | types
    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in kernel.arg_names}
    return triton.compile(ASTSource(kernel, signature, constants), target=HOPPER, options=options)


@pytest.mark.parametrize("group", [1, 4, MOST_GROUP])
@pytest.mark.parametrize(
    ("kernel", "entry"),
    [
        (sparse.sparse_forward_kernel, "sparse_forward"),
        (sparse.sparse_backward_q_kernel, "sparse_backward_q"),
        (sparse.sparse_backward_kv_kernel, "sparse_backward_kv"),
    ],
)
def test_kernels_over_selected_blocks(kernel, entry, group):
    width = TABLE["sparse_forward"].rows // group
    options = union_options(entry, width * group, 128, 2)
    shape = {"HEADS": 8 * group, "GROUP": group, "DIM": 128, "WIDTH": width, "BLOCK": 64, "HAS_SINKS": True}
    assert compiled(kernel, options, f"{group},{width}", 64, **shape).metadata.shared <= SHARED_MEMORY


@pytest.mark.parametrize(
    ("kernel", "entry", "emit", "windowed"),
    [
        (flash.forward_kernel, "forward", True, False),
        (flash.forward_kernel, "forward", False, False),
        (flash.forward_kernel, "window", False, True),
        (flash.backward_q_kernel, "backward_q", False, False),
        (flash.backward_q_kernel, "backward_q", False, True),
        (flash.backward_kv_kernel, "backward_kv", False, False),
        (flash.backward_kv_kernel, "backward_kv", False, True),
    ],
)
def test_kernels_over_ranges(kernel, entry, emit, windowed):
    tiles = TABLE[entry]
    shape = {"HEADS": 32, "GROUP": 4, "DIM": 128, "BLOCK_M": tiles.rows, "BLOCK_N": tiles.cols, "BLOCK": 64}
    flags = {"HAS_SINKS": windowed, "EMIT": emit, "WINDOWED": windowed}
    built = compiled(kernel, tiles.options, tiles.rows, tiles.cols, **shape, **flags)
    assert built.metadata.shared <= SHARED_MEMORY


def test_the_largest_block_fits_the_forward_that_emits_maxima():
    tiles, cols = TABLE["forward"], 128  # a tile holds whole blocks
    shape = {"HEADS": 32, "GROUP": 4, "DIM": 128, "BLOCK_M": tiles.rows, "BLOCK_N": cols, "BLOCK": 128}
    flags = {"HAS_SINKS": False, "EMIT": True, "WINDOWED": False}
    built = compiled(flash.forward_kernel, tiles.options, tiles.rows, cols, **shape, **flags)
    assert built.metadata.shared <= SHARED_MEMORY
    assert "wgmma" in built.asm["ptx"]


def test_delta():
    assert compiled(flash.delta_kernel, {}, 0, 0, DIM=128, ROWS=64)


@pytest.mark.parametrize("wide", [True, False])
def test_gates(wide):
    shape = {"HEADS": 32, "DIM": 128, "ROWS": attention.GATE_ROWS, "WIDE": wide}
    assert compiled(gating.gated_sum_kernel, {}, 0, 0, **shape)
    assert compiled(gating.gated_sum_backward_kernel, {}, 0, 0, **shape)


@pytest.mark.parametrize("group", [1, 4, MOST_GROUP])
def test_selection_and_union(group):
    tiles = TABLE["select_sorted"]
    shape = {"HEADS": 8 * group, "GROUP": group, "TOKENS": tiles.rows, "KEPT": 16, "STEP": tiles.cols}
    assert compiled(select.select_kernel, tiles.options, 0, 0, **shape)
    tiles, held = TABLE["select"], 512
    shape = {"HEADS": 8 * group, "GROUP": group, "TOKENS": tiles.rows, "KEPT": 16, "HELD": held}
    warps = tiles.rows * held // (32 * tiles.cols)
    built = compiled(select.threshold_kernel, {"num_warps": warps, "maxnreg": blocks.REGISTERS}, 0, 0, **shape)
    assert ".maxnreg 128" in built.asm["ptx"]
    assert compiled(select.union_kernel, {}, 0, 0, KV_HEADS=8, WIDTH=64 // group, KEPT=16)


@pytest.mark.parametrize("group", [1, 4, MOST_GROUP])
def test_decoding(group):
    options = TABLE["decode"].options
    shape = {"HEADS": 8 * group, "GROUP": group, "ROWS": 16, "DIM": 128, "BLOCK": 64, "EMIT": True, "KEPT": 16}
    flags = {"SPLITS": 4, "HAS_SINKS": True, "GATED": True}
    for kernel in (decode.split_kernel, decode.merge_kernel, decode.sparse_decode_kernel):
        assert compiled(kernel, options, 0, 64, **shape, **flags).metadata.shared <= SHARED_MEMORY
    tiles = TABLE["decode_select"]
    shape |= {"TOKENS": tiles.rows, "STEP": tiles.cols}
    assert compiled(select.select_kernel, tiles.options, 0, 0, **shape)


@pytest.mark.parametrize("group", [1, 4, MOST_GROUP])
@pytest.mark.parametrize("selected", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_decoding_over_pages(group, selected, split):
    shape = {"HEADS": 8 * group, "GROUP": group, "ROWS": 16, "DIM": 128, "BLOCK": 64, "PAGE": 128, "KEPT": 16}
    flags = {"SELECTED": selected, "SPLIT": split, "HAS_SINKS": True}
    built = compiled(pages.decode_kernel, TABLE["decode"].options, 0, 0, **shape, **flags)
    assert built.metadata.shared <= SHARED_MEMORY


def test_moves_over_pages():
    shape = {"KV_HEADS": 8, "DIM": 128, "PAGE": 128}
    assert compiled(pages.write_kernel, {}, 0, 0, TYPES | {"slots": "*i64"}, ROWS=8, **shape)
    assert compiled(pages.gather_kernel, {}, 0, 0, TYPES | {"slots": "*i64"}, TILE=paged.GATHERED_ROWS, **shape)
