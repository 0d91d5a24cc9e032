"""Cache groups by arithmetic are those of vLLM's own rule, and give the requests that two records of one H200 held."""

import re
from types import SimpleNamespace

import pytest
import torch

from benchmarks.hysparse.cache_groups import CacheGroups, cache_groups
from benchmarks.hysparse.rollouts.engine import TITLES, configuration
from judgerlvr.config.load import ROOT
from judgerlvr.hysparse.model.presets import preset

RECORDS = {"36": "hysparse-rollouts-h200-2026-11-30.md", "49": "hysparse-rollouts-h200-2026-11-26.md"}
PAGE, CACHE = 64, 48 << 30
SHAPES = {
    "13 at 1:3, last full": {"num_hidden_layers": 13, "sparse_ratio": 3},
    "36 at 1:3": {"num_hidden_layers": 36, "sparse_ratio": 3, "closing_full": False},
    "49 at 1:11, last full": {"num_hidden_layers": 49, "sparse_ratio": 11},
    "7 at 1:1, last full": {"num_hidden_layers": 7, "sparse_ratio": 1},
    "full attention": {"num_hidden_layers": 13, "sparse_ratio": 0},
}


def rollouts(shape, model):
    """The configuration that the records served."""
    sizes = {"hidden": 64, "ffn": 64, "vocab": 512, "dim": 128, "layers": 0, "contexts": [65_536], "output": 512}
    return configuration(shape, model, SimpleNamespace(**sizes))


def by_stride(backend):
    """vLLM 0.24's ``AttentionBackend.indexes_kv_by_block_stride``, which 0.31 lacks: pages lie before layers."""
    order = getattr(backend, "get_kv_cache_stride_order", None)
    if order is None:
        return False
    plain, layered = (order(include_num_layers_dimension=with_layers) for with_layers in (False, True))
    return len(layered) == len(plain) + 1 and layered[0] != 0


def own_note(config):
    """The note of the caches of full layers that select. FlashAttention's note is True."""
    from judgerlvr.hysparse.vllm.backend import backend_for

    return by_stride(backend_for(config.selection.block))


def by_vllm(config, note=True):
    """Groups of vLLM's own function. ``note`` is that of the caches of our backend, and FlashAttention's is True.

    Pages of another kind stand for another note, which 0.31 does not have.
    """
    pytest.importorskip("vllm")
    from vllm.v1.core.kv_cache_utils import _get_kv_cache_groups_uniform_page_size
    from vllm.v1.kv_cache_interface import FullAttentionSpec, SlidingWindowSpec

    sizes = {"block_size": PAGE, "num_kv_heads": 4, "head_size": 128, "dtype": torch.bfloat16}
    specs = {}
    for row in config.rows:
        if row.full:
            other = {"state_content_bytes": 512} if row.layer in config.selecting_layers and not note else {}
            specs[f"full.{row.layer}"] = FullAttentionSpec(**sizes, **other)
        if row.window is not None:
            specs[f"window.{row.layer}"] = SlidingWindowSpec(**sizes, sliding_window=row.window)
    return _get_kv_cache_groups_uniform_page_size(specs)


def counted(groups):
    """vLLM's groups as the arithmetic tells them."""
    windows = sum(group.layer_names[0].startswith("window") for group in groups)
    return CacheGroups(max(len(group.layer_names) for group in groups), len(groups) - windows, windows)


@pytest.mark.parametrize("two_kinds", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_groups_are_those_of_vllm(shape, two_kinds):
    config = preset("small", **SHAPES[shape])
    assert cache_groups(config, two_kinds) == counted(by_vllm(config, note=not two_kinds))


# Layouts by layers and ratio, with the last layer sparse and full.
LAYOUTS = [
    (layers, ratio, closing)
    for ratio in (1, 3, 5, 11)
    for layers in (4, 12, 13, 36, 49)
    for closing in (False, True)
    if layers % (ratio + 1) in ((0, 1) if closing else (0,)) and layers > ratio
]


@pytest.mark.parametrize(("layers", "ratio", "closing"), LAYOUTS)
def test_full_layers_of_both_backends_are_one_kind(layers, ratio, closing):
    """Our backend's own answer to 0.24 gives the groups that 0.31 makes without a question."""
    config = preset("small", num_hidden_layers=layers, sparse_ratio=ratio, closing_full=closing)
    assert counted(by_vllm(config, own_note(config))) == cache_groups(config) == counted(by_vllm(config))


@pytest.mark.parametrize(("name", "groups"), [("small", 4), ("7b", 4), ("80b-a3b", 10)])
def test_groups_of_the_presets(name, groups):
    config = preset(name)
    found = by_vllm(config, own_note(config))
    assert len(found) == groups


def test_pages_are_outermost_in_the_order_that_the_backend_names():
    """The order names each dimension of the cache once, and of a tensor of many layers too."""
    from judgerlvr.hysparse.vllm.backend import HySparseBackend

    shape = HySparseBackend.get_kv_cache_shape(7, 64, 2, 16)
    for layered, sizes in ((False, shape), (True, (3, *shape))):
        order = HySparseBackend.get_kv_cache_stride_order(include_num_layers_dimension=layered)
        assert sorted(order) == list(range(len(sizes))) and sizes[order[0]] == 7


def documented():
    """Cells of the rows of layers in the docs."""
    page = (ROOT / "docs" / "hysparse-vllm.md").read_text().partition("## Cache groups")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (\d+) at 1:(\d+), the last is (\w+) \|(.*)\|$", page, re.MULTILINE)
    return {tuple(row[:3]): [int(number) for number in re.findall(r"\d+", row[3])] for row in found}


@pytest.mark.parametrize("layers", documented())
def test_documented_groups(layers):
    count, ratio = map(int, layers[:2])
    config = preset("small", num_hidden_layers=count, sparse_ratio=ratio, closing_full=layers[2] == "full")
    before, now = cache_groups(config, two_kinds=True), counted(by_vllm(config, own_note(config)))
    empty = now.layers * now.count - count
    places = [empty] if empty else []
    expected = [len(config.full_layers), now.count, now.layers, *places, before.count, before.layers]
    assert documented()[layers] == expected


def requests(config, groups, context):
    """Requests of ``context`` tokens and their output whose pages fit."""
    page = 4 * config.num_key_value_heads * config.head_dim * PAGE * groups.layers
    window = -(-(config.sliding_window + PAGE) // PAGE)
    return (CACHE // page - 1) // (groups.full * -(-(context + 512) // PAGE) + groups.windows * window)


def recorded(shape, model):
    """Requests that were held, by context."""
    record = (ROOT / "benchmarks" / "results" / RECORDS[shape]).read_text().splitlines()
    rows = [line.split("|")[3:5] for line in record if line.startswith(f"| {TITLES[shape]} | {model} | ")]
    return {int(context): int(held) for context, held in rows}


@pytest.mark.parametrize("model", ["hysparse", "full"])
@pytest.mark.parametrize("shape", RECORDS)
def test_recorded_requests_are_those_of_the_groups(shape, model):
    config, told = rollouts(shape, model), recorded(shape, model)
    assert len(told) == 4 and told == {
        context: requests(config, cache_groups(config, two_kinds=True), context) for context in told
    }


def test_documented_requests_of_both_rules():
    config = rollouts("49", "hysparse")
    held = [requests(config, cache_groups(config, two_kinds), 4096) for two_kinds in (True, False)]
    page = " ".join((ROOT / "docs" / "hysparse-vllm.md").read_text().split())
    assert "49 groups hold the {} requests of the record, and 10 groups would hold {}.".format(*held) in page


def test_documented_planning_of_a_group():
    """Steps of synchronous scheduling less their kernels, by request and group."""
    record = (ROOT / "benchmarks" / "results" / RECORDS["49"]).read_text()
    step, kernels, wide = re.search(
        r"([\d.]+) ms a step at 32k .*?, ([\d.]+) ms of\s+kernels\) and ([\d.]+) ms", record
    ).groups()
    kernels_wide = next(line for line in record.splitlines() if "| hysparse | 4096 | 799 |" in line).split("|")[9]
    costs = [
        (float(wide) - float(kernels_wide)) / 512,
        (float(step) - float(kernels)) / recorded("49", "hysparse")[32_768],
    ]
    told = "{:.1f} to {:.1f} us".format(*(1000 * cost / 49 for cost in costs))
    assert told in record and told in (ROOT / "docs" / "hysparse-vllm.md").read_text()
