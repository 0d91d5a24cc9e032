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


def by_vllm(config, noted=True):
    """Groups of vLLM's own function. Pages of another kind stand for the note of 0.24, which 0.31 does not have."""
    pytest.importorskip("vllm")
    from vllm.v1.core.kv_cache_utils import _get_kv_cache_groups_uniform_page_size
    from vllm.v1.kv_cache_interface import FullAttentionSpec, SlidingWindowSpec

    sizes = {"block_size": PAGE, "num_kv_heads": 4, "head_size": 128, "dtype": torch.bfloat16}
    specs = {}
    for row in config.rows:
        if row.full:
            note = {"state_content_bytes": 512} if noted and row.layer in config.selecting_layers else {}
            specs[f"full.{row.layer}"] = FullAttentionSpec(**sizes, **note)
        if row.window is not None:
            specs[f"window.{row.layer}"] = SlidingWindowSpec(**sizes, sliding_window=row.window)
    return _get_kv_cache_groups_uniform_page_size(specs)


@pytest.mark.parametrize("shape", SHAPES)
def test_groups_are_those_of_vllm(shape):
    config = preset("small", **SHAPES[shape])
    found = by_vllm(config)
    windows = sum(name.startswith("window") for group in found for name in group.layer_names[:1])
    longest = max(len(group.layer_names) for group in found)
    assert cache_groups(config) == CacheGroups(longest, len(found) - windows, windows)


def documented():
    """Cells of the rows of layers in the docs."""
    page = (ROOT / "docs" / "hysparse-vllm.md").read_text().partition("## Cache groups")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (\d+) at 1:(\d+), the last is (\w+) \|(.*)\|$", page, re.MULTILINE)
    return {tuple(row[:3]): [int(number) for number in re.findall(r"\d+", row[3])] for row in found}


@pytest.mark.parametrize("layers", documented())
def test_documented_groups(layers):
    count, ratio = map(int, layers[:2])
    config = preset("small", num_hidden_layers=count, sparse_ratio=ratio, closing_full=layers[2] == "full")
    own, plain = cache_groups(config), by_vllm(config, noted=False)
    longest = max(len(group.layer_names) for group in plain)
    empty = longest * len(plain) - count
    expected = [len(config.full_layers), own.count, own.layers, len(plain), longest, *([empty] if empty else [])]
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
    assert len(told) == 4 and told == {context: requests(config, cache_groups(config), context) for context in told}


def test_documented_requests_of_both_rules():
    config = rollouts("49", "hysparse")
    held = [requests(config, groups, 4096) for groups in (cache_groups(config), CacheGroups(5, 1, 9))]
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
