"""The candidate kernels compile for a Hopper GPU with the configurations that compete. The tests need no GPU."""

import pytest

pytest.importorskip("triton")

from benchmarks.hysparse.kernels.candidates import backward_kernels, list_kernels, mixed_kernels, reader_kernels
from benchmarks.hysparse.kernels.candidates.kinds import KINDS
from tests.hysparse.test_compile import SHARED_MEMORY, TYPES, compiled

NAMES = ("entries", "firsts", "sizes", "begins", "owners", "bounds", "ranks", "task_ends", "alone", "shared")
LISTS = TYPES | dict.fromkeys(NAMES, "*i32") | {"parts": "*bf16", "part_lse": "*fp32"}
TASKS = ("slots", "slot_bounds", "slot_ends", "followers")
BACKWARD = LISTS | dict.fromkeys(TASKS, "*i32") | {"grads": "*bf16", "more_k": "*fp32", "more_v": "*fp32"}
SHAPE = {"HEADS": 32, "GROUP": 4, "DIM": 128, "COUNT": 16, "KEPT": 16, "BLOCK": 64, "KV_HEADS": 8, "HAS_SINKS": True}


@pytest.mark.parametrize("options", KINDS["outer"].options, ids=str)
def test_partials_and_merge(options):
    built = {"num_warps": options.warps, "num_stages": options.stages, "maxnreg": options.registers}
    kernel = compiled(reader_kernels.partial_kernel, built, 0, 64, LISTS, **SHAPE, READERS=options.rows // 4)
    assert kernel.metadata.shared <= SHARED_MEMORY
    assert "wgmma" in kernel.asm["ptx"]
    assert compiled(reader_kernels.merge_kernel, {}, 0, 0, LISTS, **SHAPE, TOKENS=options.merged // 4)


@pytest.mark.parametrize("options", KINDS["mixed"].options, ids=str)
def test_mixed(options):
    built = {"num_warps": options.tile_warps, "num_stages": options.tile_stages, "maxnreg": options.tile_registers}
    kernel = compiled(mixed_kernels.mixed_kernel, built, "4,16", 64, LISTS, **SHAPE, WIDTH=16)
    assert kernel.metadata.shared <= SHARED_MEMORY
    assert "wgmma" in kernel.asm["ptx"]


@pytest.mark.parametrize("options", KINDS["outer_backward"].options[:3], ids=str)
def test_backward(options):
    built = {"num_warps": options.warps, "num_stages": options.stages, "maxnreg": options.registers}
    kernel = compiled(
        backward_kernels.outer_backward_kernel, built, 0, 64, BACKWARD, **SHAPE, READERS=options.rows // 4
    )
    assert kernel.metadata.shared <= SHARED_MEMORY
    assert "wgmma" in kernel.asm["ptx"]


def test_sums_of_the_backward_pass():
    assert compiled(backward_kernels.add_tasks_kernel, {}, 0, 0, BACKWARD, **SHAPE)
    assert compiled(backward_kernels.sum_parts_kernel, {}, 0, 0, BACKWARD, **SHAPE, TOKENS=8)


def test_lists_and_split():
    assert compiled(list_kernels.count_kernel, {}, 0, 0, LISTS, **SHAPE, STEP=1024)
    assert compiled(list_kernels.slot_kernel, {}, 0, 0, BACKWARD, **SHAPE, STEP=1024)
    assert compiled(list_kernels.fill_kernel, {}, 0, 0, LISTS, **SHAPE, STEP=1024)
    assert compiled(mixed_kernels.split_kernel, {}, 0, 0, LISTS, **SHAPE, WIDTH=16)
