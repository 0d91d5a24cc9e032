"""The overlap of neighbouring queries' choices, of files and of a checkpoint that reads prompts."""

import itertools
import json

import pytest
import torch

from benchmarks.hysparse.kernels import indices, overlap
from benchmarks.hysparse.kernels.index_files import read, write_small
from benchmarks.hysparse.kernels.indices import popular
from judgerlvr.tinyworld.making.checkpoint import base_path

BLOCK = 16


def literal(indices, block):
    """Both numbers over the last 2,048 queries, by Python sets."""
    overlaps, unions = [], []
    for head in indices[0].tolist():
        sets = [{index for index in row if index >= 0} for row in head[-2048:]]
        overlaps += [len(a & b) / len(a | b) for a, b in itertools.pairwise(sets)]
        whole = sets[len(sets) % 16 :]
        unions += [len(set().union(*whole[low : low + 16])) for low in range(0, len(whole), 16)]
    return sum(overlaps) / len(overlaps), sum(unions) / len(unions)


@pytest.mark.parametrize("tokens", [300, 304, 2500])
def test_overlap_is_that_of_sets(tokens):
    indices = popular(tokens, 2, BLOCK, 3, 1.0, "cpu")
    assert overlap.overlap(indices, BLOCK) == pytest.approx(literal(indices, BLOCK))


@pytest.mark.parametrize(("tokens", "chunk"), [(300, 7), (304, 303), (2500, 16384)])
def test_overlap_of_all_queries_is_that_of_sets(monkeypatch, tokens, chunk):
    monkeypatch.setattr(indices, "CHUNK", chunk)
    drawn = indices.popular(tokens, 2, BLOCK, 3, 1.0, "cpu")
    pairs = [itertools.pairwise([{i for i in row if i >= 0} for row in head]) for head in drawn[0].tolist()]
    overlaps = [len(a & b) / len(a | b) for head in pairs for a, b in head]
    assert indices.jaccard_of_all(drawn) == pytest.approx(sum(overlaps) / len(overlaps))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The tiny base over two prompts."""
    out = tmp_path_factory.mktemp("overlap")
    texts = out / "texts.jsonl"
    texts.write_text("".join(json.dumps({"problem": text}) + "\n" for text in ("1+2*3 " * 12, "1+2*3 " * 60)))
    model = ["--model", str(base_path("hysparse")), "--texts", str(texts), "--training-seconds", "5"]
    assert overlap.main([str(out / "out"), *model, "--name", "tiny", "--contexts", "48", "100", "100000"]) == 0
    [record] = json.loads((out / "out/overlap-tiny.json").read_text())
    return out, record


def test_a_context_counts_the_texts_that_reach_it(run):
    record = run[1]
    reach = [sum(tokens >= context for tokens in record["tokens"]) for context in (48, 100, 100000)]
    assert reach == [2, 1, 0]
    assert [row["texts"] for row in record["by context"]] == reach


def test_the_file_of_a_checkpoint_gives_the_same_numbers(run):
    out, record = run
    longest = max(record["tokens"])
    indices, about = read(out / f"out/tiny-{longest}.zip")
    assert (about["of heads"], about["training seconds"]) == (indices.shape[1], 5)
    args = [str(out / "again"), "--indices", str(out / f"out/tiny-{longest}.zip"), "--contexts", str(longest)]
    assert overlap.main(args) == 0
    [again] = json.loads((out / "again/overlap-model.json").read_text())
    found = again["by context"][0]
    assert (found["jaccard"], found["union of 16 queries"]) == pytest.approx(literal(indices, BLOCK))


def test_results_are_not_overwritten(run, capsys):
    with pytest.raises(SystemExit):
        overlap.main([str(run[0] / "again"), "--indices", "any.zip"])
    assert "overlap-model.json exists" in capsys.readouterr().err


def test_a_row_without_a_text_is_named(tmp_path, capsys):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"problem": "1"}\n{"prompt": "2"}\n')
    args = [str(tmp_path / "out"), "--model", str(base_path("hysparse")), "--texts", str(texts)]
    assert overlap.main(args) == 2
    told = capsys.readouterr().err
    assert "row 2" in told
    assert told.count("\n") == 1


def test_a_spoilt_file_of_choices_is_one_line(tmp_path, capsys):
    path = tmp_path / "cut.zip"
    write_small(path, torch.zeros(1, 1, 20, 1, dtype=torch.int16), BLOCK, {})
    path.write_bytes(path.read_bytes()[:-30])
    assert overlap.main([str(tmp_path / "out"), "--indices", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {path}: no file of choices")
    assert told.count("\n") == 1
