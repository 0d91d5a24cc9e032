"""Cache groups by arithmetic are those of vLLM's own rule, and give the requests that two records of one H200 held."""

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


def by_vllm(config):
    """Groups of vLLM's own function. Pages of another kind stand for the note of 0.24, which 0.31 does not have."""
    pytest.importorskip("vllm")
    from vllm.v1.core.kv_cache_utils import _get_kv_cache_groups_uniform_page_size
    from vllm.v1.kv_cache_interface import FullAttentionSpec, SlidingWindowSpec

    sizes = {"block_size": PAGE, "num_kv_heads": 4, "head_size": 128, "dtype": torch.bfloat16}
    specs = {}
    for row in config.rows:
        if row.full:
            note = {"state_content_bytes": 512} if row.layer in config.selecting_layers else {}
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


def test_a_last_full_layer_makes_a_group_of_each_layer():
    assert cache_groups(rollouts("49", "hysparse")) == CacheGroups(1, 5, 44)


@pytest.mark.parametrize("model", ["hysparse", "full"])
@pytest.mark.parametrize("shape", RECORDS)
def test_recorded_requests_are_those_of_the_groups(shape, model):
    config = rollouts(shape, model)
    groups, page = cache_groups(config), 4 * config.num_key_value_heads * config.head_dim * PAGE
    record = (ROOT / "benchmarks" / "results" / RECORDS[shape]).read_text()
    told, found = {}, {}
    for line in record.splitlines():
        if line.startswith(f"| {TITLES[shape]} | {model} | "):
            context, held = map(int, line.split("|")[3:5])
            window = -(-(config.sliding_window + PAGE) // PAGE)
            pages = groups.full * -(-(context + 512) // PAGE) + groups.windows * window
            told[context], found[context] = held, (CACHE // (page * groups.layers) - 1) // pages
    assert len(told) == 4 and found == told
