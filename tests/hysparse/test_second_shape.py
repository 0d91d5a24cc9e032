"""The page of the search on a second shape: goals, plain placements beside the found one, and missing parts."""

import json

import pytest

from benchmarks.hysparse.deeper_base import deeper
from benchmarks.hysparse.deeper_search import kept, part_file, plain, store
from benchmarks.hysparse.second_shape import write_page
from judgerlvr.hysparse.conversion.source_tokenizer import read_tokenizer
from judgerlvr.hysparse.model.layout import FULL, with_full
from judgerlvr.tinyworld.making.checkpoint import base_path


def figures(heldout):
    points = [
        {"full_layers": list(range(count)), "kv_bytes": 1024 * count, "searched": 1.0, "heldout": heldout}
        for count in range(12, 0, -1)
    ]
    plain_ones = {str(count): 2.0 for count in range(1, 12)}
    return {
        "curve": points,
        "plain": {"first": plain_ones, "even": plain_ones, "heldout": {"loss": 0.2, "tokens": 9, "rows": 2}},
        "seconds": 3.0,
    }


def test_the_page_judges_each_set_and_names_what_is_missing(tmp_path):
    store(part_file(tmp_path, "qwen3", "base"), {"said": "7 steps", "device": "cuda", "seconds": 61.0})
    store(part_file(tmp_path, "qwen3", "mixed"), figures(1.049))
    store(part_file(tmp_path, "qwen3", "judging"), figures(1.051))
    text = write_page(tmp_path)
    assert "| mixed | 1.049 | 2.000 | 2.000 | met |" in text
    assert "| solving | not run | | | |" in text
    assert "| judging | 1.051 | 2.000 | 2.000 | missed |" in text
    assert "| 4 | 4 | 1.000 | 1.049 | 2.000 | 2.000 | 0,1,2,3 |" in text
    assert "qwen3_moe: not trained" in text
    assert (tmp_path / "page.md").read_text() == text


def test_the_plain_placements_name_as_many_layers_as_asked():
    for kind, full in plain(12):
        assert with_full(12, full).count(FULL) == len(full)
        gaps = {after - before for before, after in zip(full, [*full[1:], 12], strict=True)}
        assert full[0] == 0 and (kind == "first" or max(gaps) - min(gaps) <= 1)


def test_a_part_is_stored_whole(tmp_path):
    store(tmp_path / "part.json", {"one": 1})
    assert json.loads((tmp_path / "part.json").read_text()) == {"one": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["part.json"]


def test_texts_that_are_too_short_for_the_search_are_left_out():
    rows = [{"prompt": "a=1\n", "text": "b" * length} for length in (10, 200, 20, 300, 400)]
    assert kept(rows, 2, read_tokenizer(base_path())) == [rows[1], rows[3]]


@pytest.mark.parametrize("architecture", ["qwen3", "qwen3_moe"])
def test_a_deeper_base_has_twelve_layers_of_which_each_adds_half(architecture):
    model = deeper(architecture, 0)
    layers = model.model.layers
    assert len(layers) == 12
    assert (layers[0].self_attn.o_proj.weight == layers[6].self_attn.o_proj.weight).all()
