"""Files of a trained model's choices: the small file against the original, its prefix, and unreadable files."""

import argparse
from itertools import product

import numpy as np
import pytest
import torch

from benchmarks.hysparse import language
from benchmarks.hysparse.kernels.index_files import (
    alternating,
    description,
    packed,
    read,
    refusals,
    stored,
    write_small,
)
from benchmarks.hysparse.kernels.indices import jaccard, popular
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.model.presets import LONG_ROPE, preset

BLOCK, COUNT, TOKENS = 16, 3, 150


@pytest.fixture(scope="module")
def choices():
    return popular(TOKENS, 4, BLOCK, COUNT, 1.0, "cpu")


@pytest.fixture
def small(tmp_path, choices):
    path = tmp_path / "language-150.zip"
    write_small(path, choices, BLOCK, {"training seconds": 7.0})
    return path


def test_a_small_file_gives_all_heads_back(small, choices):
    assert torch.equal(read(small)[0].int(), choices)


def test_a_limit_keeps_the_first_heads(tmp_path, choices):
    path = tmp_path / "few.zip"
    heads = write_small(path, choices, BLOCK, {}, most=2 * len(packed(choices[0, 0], BLOCK)) + 20)
    assert 1 < heads < 4
    assert torch.equal(read(path)[0].int(), choices[:, :heads])


def test_one_head_is_kept_at_any_limit(tmp_path, choices):
    assert write_small(tmp_path / "one.zip", choices, BLOCK, {}, most=0) == 1


def test_equal_choices_give_equal_bytes(tmp_path, small, choices):
    write_small(tmp_path / "again.zip", choices, BLOCK, {"training seconds": 7.0})
    assert (tmp_path / "again.zip").read_bytes() == small.read_bytes()


@pytest.mark.parametrize("kind", ["small", "whole"])
def test_stored_heads_are_repeated_and_cut(tmp_path, small, choices, kind):
    """Head n of six is head n modulo 4 of the file, at a naive loop over 100 tokens."""
    if kind == "whole":
        small = tmp_path / "whole.pt"
        torch.save({"indices": choices.to(torch.int16), "block": BLOCK}, small)
    found = stored(small, 100, 6, BLOCK, "cpu")
    assert (found.dtype, found.shape) == (torch.int32, (1, 6, 100, COUNT))
    for head in range(6):
        assert torch.equal(found[0, head], choices[0, head % 4, :100])


def test_a_longer_context_is_refused(small):
    with pytest.raises(ValueError, match="holds 150 tokens"):
        stored(small, 151, 4, BLOCK, "cpu")


def test_layers_alternate():
    layers = torch.arange(6).view(3, 1, 2, 1, 1)
    assert alternating(layers).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_a_description_tells_where_choices_come_from(small):
    told = description(small)
    assert told.startswith("language-150.zip, sha256 ")
    assert told.endswith("KV heads in the file 4, 7 s of training")


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def wrong_bits(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def other_text(path):
    path.write_text("no choices\n")


def no_file(path):
    path.unlink()


@pytest.mark.parametrize("suffix, spoil", [(".zip", wrong_bits), *product((".zip", ".pt"), (cut, other_text, no_file))])
def test_a_spoilt_file_is_one_line(tmp_path, choices, spoil, suffix):
    path = tmp_path / f"spoilt{suffix}"
    if suffix == ".zip":
        write_small(path, choices, BLOCK, {})
    else:
        torch.save({"indices": choices, "block": BLOCK}, path)
    spoil(path)
    [told] = refusals([path], BLOCK, COUNT)
    assert told.startswith(f"{path}: no file of choices")
    assert "\n" not in told


def test_other_sizes_are_refused(small):
    assert refusals([small], BLOCK, COUNT) == []
    assert refusals([small], 64, 16) == [f"{small} has --block 16 --count 3, not 64 and 16"]


def test_files_of_one_name_are_refused(tmp_path, small):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / small.name
    other.write_bytes(small.read_bytes())
    assert "another file is called language-150 too" in refusals([small, other], BLOCK, COUNT)[0]


def made_model():
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 4, "sparse_ratio": 1, "hidden_size": 64, "num_attention_heads": 4, "head_dim": 16}
    sizes |= {"num_key_value_heads": 2, "intermediate_size": 64, "select_block": BLOCK, "select_tokens": BLOCK * COUNT}
    config = preset("small", **sizes, vocab_size=256, rope_parameters=LONG_ROPE, qk_norm=True)
    return HySparseForCausalLM(config).to(language.DEVICE)


@pytest.fixture(scope="module")
def model():
    return made_model().eval()


@pytest.fixture(scope="module")
def text():
    return np.random.default_rng(0).integers(1, 256, 400).astype(np.uint8)


def test_a_prefix_of_a_text_makes_the_same_choices(model, text):
    long, short = language.choose(model, text, 400), language.choose(model, text, 250)
    assert torch.equal(long[..., :250, :], short)


TOLD = {"training seconds": 7.0, "training steps": 3}


def store(folder, model, text, ending=""):
    options = argparse.Namespace(out=folder, overlap=0.5, contexts=[400, 250])
    return language.store_small(model, text, options, TOLD, ending)


def test_the_language_model_stores_a_small_file_for_each_context(tmp_path, model, text):
    records = store(tmp_path, model, text, "-7")
    assert [record["file"] for record in records] == ["language-250-7.zip", "language-400-7.zip"]
    for context in (250, 400):
        whole = alternating(language.choose(model, text, context))
        assert torch.equal(read(tmp_path / f"language-{context}-7.zip")[0], whole)


def test_the_small_file_says_how_far_the_model_is_trained(tmp_path, model, text):
    store(tmp_path, model, text)
    about = read(tmp_path / "language-250.zip")[1]
    assert TOLD.items() <= about.items() and about["weight of overlap"] == 0.5


def test_the_record_has_the_overlap_of_the_heads_in_the_file(tmp_path, model, text, monkeypatch):
    """A file for one head alone, whose overlap differs from that of all heads."""
    monkeypatch.setattr(language, "write_small", lambda *_: 1)
    one, many = store(tmp_path, model, text)[0], alternating(language.choose(model, text, 250))
    block = model.config.select_block
    assert one["jaccard"] == jaccard(many[:, :1], block) != jaccard(many, block)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--seconds 0", "--seconds 0.0 is no time"),
        ("--seconds nan", "--seconds nan is no time"),
        ("--seconds 10 --moments 20", "--moments 20.0 lies outside"),
        ("--overlap 1 --length 512", "give a --length above 1025"),
    ],
)
def test_options_that_could_not_train_are_refused(tmp_path, capsys, words, told):
    with pytest.raises(SystemExit, match="2"):
        language.parse_arguments([str(tmp_path), *words.split()])
    assert told in capsys.readouterr().err


def test_training_stores_choices_at_its_moments(tmp_path, text):
    options = argparse.Namespace(
        out=tmp_path, length=200, rows=1, lr=1e-3, seconds=0.5, moments=[0.2], contexts=[250], overlap=1.0, pairs=4
    )
    curve, stored = language.train(made_model(), text, text, options)
    assert [record["file"] for record in stored] == ["language-250-0.zip"]
    assert 0 < stored[0]["training steps"] <= curve[-1]["step"]
