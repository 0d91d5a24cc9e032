"""The KV-outer kernels compile for a Hopper GPU with all configurations that compete. The tests need no GPU."""

import pytest

pytest.importorskip("triton")

from benchmarks.hysparse.kernels.candidates.kinds import KINDS
from judgerlvr.hysparse.ops.triton import kv_outer_backward_kernels as backward_kernels
from judgerlvr.hysparse.ops.triton import kv_outer_kernels, list_kernels
from judgerlvr.hysparse.ops.triton.kv_outer import OuterOptions
from judgerlvr.hysparse.ops.triton.kv_outer_backward import BackwardOptions
from tests.hysparse.test_compile import SHARED_MEMORY, TYPES, compiled

NAMES = ("entries", "firsts", "sizes", "begins", "owners", "bounds", "ranks", "task_ends")
LISTS = TYPES | dict.fromkeys(NAMES, "*i32") | {"parts": "*bf16", "part_lse": "*fp32"}
TASKS = ("slots", "slot_bounds", "slot_ends", "followers")
BACKWARD = LISTS | dict.fromkeys(TASKS, "*i32") | {"grads": "*bf16", "more_k": "*fp32", "more_v": "*fp32"}
SHAPE = {"HEADS": 32, "GROUP": 4, "DIM": 128, "COUNT": 16, "KEPT": 16, "BLOCK": 64, "KV_HEADS": 8, "HAS_SINKS": True}


def fits(kernel, options, **shape):
    """Whether a kernel that visits readers compiles to matrix instructions within shared memory."""
    readers = options.rows // shape["GROUP"]
    built = compiled(kernel, options.launch, 0, shape["BLOCK"], BACKWARD, **shape, READERS=readers)
    return built.metadata.shared <= SHARED_MEMORY and "wgmma" in built.asm["ptx"]


@pytest.mark.parametrize("options", KINDS["outer"].options, ids=str)
def test_partials_and_merge(options):
    assert fits(kv_outer_kernels.partial_kernel, options, **SHAPE)
    assert compiled(kv_outer_kernels.merge_kernel, {}, 0, 0, LISTS, **SHAPE, TOKENS=options.merged // 4)


@pytest.mark.parametrize("options", KINDS["outer_backward"].options[:2], ids=str)
def test_backward(options):
    assert fits(backward_kernels.outer_backward_kernel, options, **SHAPE)


@pytest.mark.parametrize("group", [1, 16])
@pytest.mark.parametrize("block", [16, 128])
def test_the_outermost_shapes_that_are_served(group, block):
    shape = SHAPE | {"HEADS": 8 * group, "GROUP": group, "BLOCK": block}
    assert fits(kv_outer_kernels.partial_kernel, OuterOptions(), **shape)
    assert fits(backward_kernels.outer_backward_kernel, BackwardOptions(), **shape)
    tokens = OuterOptions().merged // group
    assert compiled(kv_outer_kernels.merge_kernel, {}, 0, 0, LISTS, **shape, TOKENS=tokens)
    assert compiled(backward_kernels.sum_parts_kernel, {}, 0, 0, BACKWARD, **shape, TOKENS=tokens)


def test_sums_of_the_backward_pass():
    assert compiled(backward_kernels.add_tasks_kernel, {}, 0, 0, BACKWARD, **SHAPE)
    assert compiled(backward_kernels.sum_parts_kernel, {}, 0, 0, BACKWARD, **SHAPE, TOKENS=8)


def test_lists():
    assert compiled(list_kernels.count_kernel, {}, 0, 0, LISTS, **SHAPE, STEP=1024)
    assert compiled(list_kernels.slot_kernel, {}, 0, 0, BACKWARD, **SHAPE, STEP=1024)
    assert compiled(list_kernels.fill_kernel, {}, 0, 0, LISTS, **SHAPE, STEP=1024)
