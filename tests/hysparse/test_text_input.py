"""Texts and tokenizers as people have them: each fault is one line before a model is loaded, none changes the ids."""

import itertools
import json
import random
import shutil

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from data.jsonl import write_jsonl
from judgerlvr.hysparse.conversion.conversion import config_from
from judgerlvr.hysparse.conversion.derived_files import copy_files
from judgerlvr.hysparse.conversion.model_limits import check_texts, context_of, reach_notes
from judgerlvr.hysparse.conversion.source_tokenizer import FILES, read_tokenizer
from judgerlvr.hysparse.conversion.texts import Text, pack, read_texts
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from tests.helpers.checkpoint_faults import POINTER, edit_config
from tests.helpers.commands import exit_code_of

SIZES = {"hidden_size": 32, "intermediate_size": 64, "head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
SIZES |= {"vocab_size": 512, "num_hidden_layers": 4, "max_position_embeddings": 64}
SHAPE = ["--select-block", "16", "--select-tokens", "16", "--window", "6"]
COMMANDS = ("search", "search plan", "distill", "distill plan", "student", "student plan")
SAMPLE = "12+5= so the answer is 17. \n\n ok"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A source with tokenizer, a student of the source, and texts."""
    root = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SIZES)).save_pretrained(root / "source")
    copy_files(base_path("qwen3"), root / "source")
    assert run_convert([str(root / "source"), str(root / "student"), *SHAPE]) == 0
    write_jsonl(root / "texts.jsonl", [{"text": f"{n}+{n}=" * 14} for n in range(9)])
    return root


def run(name, source, texts, made, out, *more):
    """The exit code of a command."""
    paths, length = [str(source), str(out)], ["--heldout", "3", "--length", "64"]
    extra = ["--plan"] if name.endswith("plan") else []
    if name.startswith("search"):
        return exit_code_of(run_convert, [*paths, *SHAPE, "--search", str(texts), *length, *extra, *more])
    way = ["--student", str(made / "student")] if name.startswith("student") else SHAPE
    return exit_code_of(
        run_distill, [*paths, "--texts", str(texts), *length, "--steps", "1", "--rows", "2", *way, *extra, *more]
    )


@pytest.fixture
def refused(made, tmp_path, capsys, monkeypatch):
    """The one line with which a command ends before a model is loaded. Nothing is left."""
    for module in ("distillation.distillation", "conversion.search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))

    def line(name, source, texts, *more):
        capsys.readouterr()
        code, error = run(name, source, texts, made, tmp_path / "out", *more), capsys.readouterr().err
        assert (code, error.count("\n"), (tmp_path / "out").exists()) == (2, 1, False), error
        return error

    return line


def dangling(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "deleted": lambda path: path.unlink(),
    "dangling": dangling,
    "a folder": folder,
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(b"\xff\x00garbage"),
    "a list": lambda path: path.write_bytes(b"[]"),
    "a Git LFS pointer": lambda path: path.write_bytes(POINTER),
}
BOTH = ("tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("files", [BOTH[:1], BOTH[1:], BOTH], ids="+".join)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tokenizer_is_one_line(damage, files, name, made, tmp_path, refused):
    source = shutil.copytree(made / "source", tmp_path / "faulty")
    for file in files:
        DAMAGES[damage](source / file)
    assert "faulty" in refused(name, source, made / "texts.jsonl")


def two_forms(directory):
    """A tokenizer with its vocabulary in either form, as Qwen3's folders have."""
    shutil.copytree(base_path("qwen3"), directory)
    edited = json.loads((directory / "tokenizer_config.json").read_text()) | {"tokenizer_class": "Qwen2Tokenizer"}
    (directory / "tokenizer_config.json").write_text(json.dumps(edited))
    model = json.loads((directory / "tokenizer.json").read_text())["model"]
    (directory / "vocab.json").write_text(json.dumps(model["vocab"]))
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, model["merges"])]) + "\n")
    return directory


FORMS = ("tokenizer.json", "vocab.json", "merges.txt")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_tokenizer_splits_as_the_whole_one_or_is_refused(damage, tmp_path):
    """Every set of damaged files of both forms of the vocabulary."""
    whole = two_forms(tmp_path / "whole")
    ids = read_tokenizer(whole)(SAMPLE)["input_ids"]
    sets = [names for count in (1, 2, 3) for names in itertools.combinations(FORMS, count)]
    read = 0
    for number, names in enumerate(sets):
        faulty = shutil.copytree(whole, tmp_path / str(number))
        for name in names:
            DAMAGES[damage](faulty / name)
        try:
            found = read_tokenizer(faulty)(SAMPLE)["input_ids"]
        except InputError:
            continue
        assert found == ids, names
        read += 1
    assert read < len(sets)


@pytest.mark.parametrize("name", FILES)
def test_an_empty_file_of_a_tokenizer_is_refused_by_name(name, tmp_path):
    faulty = two_forms(tmp_path / "faulty")
    (faulty / name).write_bytes(b"")
    with pytest.raises(InputError, match=name):
        read_tokenizer(faulty)


BLANK = ("", " ", "\n\n", "\t \u3000")


@pytest.mark.parametrize("place", [0, 1, 3, 9])
@pytest.mark.parametrize("row", [{"text": ""}, {"text": "", "prompt": "1+1="}, {"text": "", "prompt": None}], ids=str)
def test_a_blank_text_is_left_out_and_counted(row, place, made, tmp_path, capsys):
    rows = [{"text": f"{n}+{n}=" * 14} for n in range(9)]
    rows.insert(place, row)
    write_jsonl(tmp_path / "texts.jsonl", rows)
    tokenizer = read_tokenizer(made / "source")
    found = read_texts(tmp_path / "texts.jsonl", tokenizer, 64)
    assert "1 of 10 texts blank, left out" in capsys.readouterr().out
    assert found == read_texts(made / "texts.jsonl", tokenizer, 64)


@pytest.mark.parametrize("name", ["search", "distill"])
@pytest.mark.parametrize("blank", BLANK, ids=repr)
def test_a_file_that_begins_with_blank_texts_is_read_or_refused(blank, name, made, tmp_path, capsys):
    write_jsonl(tmp_path / "texts.jsonl", [{"text": blank}] * 4 + [{"text": f"{n}+{n}=" * 14} for n in range(9)])
    code = run(name, made / "source", tmp_path / "texts.jsonl", made, tmp_path / "out", "--device", "cpu")
    # Spaces are tokens, and one token alone teaches nothing.
    assert code == 0 or (name == "distill" and blank and "no token to learn" in capsys.readouterr().err)


@pytest.mark.parametrize("name", COMMANDS)
def test_blank_texts_alone_are_one_line(name, made, tmp_path, refused):
    write_jsonl(tmp_path / "texts.jsonl", [{"text": "", "prompt": "1"}] * 9)
    assert "every text is blank" in refused(name, made / "source", tmp_path / "texts.jsonl")


@pytest.mark.parametrize("field", ["text", "prompt"])
def test_characters_that_become_no_token_are_refused_by_row_and_field(field, tmp_path):
    write_jsonl(tmp_path / "texts.jsonl", [{"text": "a", "prompt": "a"}, {"text": "a", "prompt": "a", field: "lost"}])

    def losing(text, **_):
        return {"input_ids": [] if text == "lost" else [1]}

    with pytest.raises(InputError, match=f"row 2, field '{field}': the tokenizer makes no token"):
        read_texts(tmp_path / "texts.jsonl", losing, 8)


@pytest.mark.parametrize("half", ["\ud800", "\udfff", "a \udc00 b"], ids=ascii)
@pytest.mark.parametrize("field", ["text", "prompt"])
@pytest.mark.parametrize("name", COMMANDS)
def test_half_of_a_surrogate_pair_is_one_line(name, field, half, made, tmp_path, refused):
    rows = [{"text": f"{n}+{n}=" * 14, "prompt": "1"} for n in range(9)]
    rows[4][field] = half
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    error = refused(name, made / "source", tmp_path / "texts.jsonl")
    assert f"row 5, field '{field}': holds half of a surrogate pair" in error and "write the whole character" in error


def test_a_prompt_that_is_null_is_absent(made, tmp_path):
    write_jsonl(tmp_path / "null.jsonl", [{"text": "1+1=2", "prompt": None}])
    write_jsonl(tmp_path / "absent.jsonl", [{"text": "1+1=2"}])
    tokenizer = read_tokenizer(made / "source")
    null, absent = (read_texts(tmp_path / f"{name}.jsonl", tokenizer, 64) for name in ("null", "absent"))
    assert null == absent


@pytest.mark.parametrize("row", [{}, {"text": None}, {"text": 3}, {"text": ["a"]}, {"text": "a", "prompt": 3}], ids=str)
def test_a_field_that_is_no_text_is_refused_by_row(row, made, tmp_path):
    write_jsonl(tmp_path / "texts.jsonl", [{"text": "a"}, row])
    with pytest.raises(InputError, match=r"row 2, field '(text|prompt)': (no text in the row|not a text)"):
        read_texts(tmp_path / "texts.jsonl", read_tokenizer(made / "source"), 64)


@pytest.mark.parametrize("name", COMMANDS[:4])
def test_ids_beyond_the_vocabulary_are_one_line(name, made, tmp_path, refused):
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SIZES | {"vocab_size": 19})).save_pretrained(tmp_path / "faulty")
    copy_files(made / "source", tmp_path / "faulty")
    error = refused(name, tmp_path / "faulty", made / "texts.jsonl")
    assert "and the model has 19 tokens" in error


@pytest.mark.parametrize(("highest", "taken"), [(510, True), (511, True), (512, False), (10**6, False)])
def test_the_last_id_of_the_vocabulary_is_taken(highest, taken):
    config, texts = Qwen3Config(**SIZES), [Text([3]), Text([1, highest, 2]), Text([4])]
    try:
        check_texts(texts, config, "texts.jsonl", "source")
    except InputError as error:
        assert not taken and f"token id {highest}" in str(error)
    else:
        assert taken


ROPES = [
    ({"rope_type": "default"}, 64),
    ({"rope_type": "linear", "factor": 2.0}, 128),
    ({"rope_type": "dynamic", "factor": 4.0}, 256),
    ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, 128),
    # The length in the configuration is stretched already.
    ({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32}, 64),
]


@pytest.mark.parametrize(("rope", "context"), ROPES, ids=str)
def test_a_text_may_fill_the_context_and_no_more(rope, context):
    config = Qwen3Config(**SIZES, rope_parameters={"rope_theta": 1e4, **rope})
    assert context_of(config) == context
    check_texts([Text([1] * context)], config, "texts.jsonl", "source")
    with pytest.raises(InputError, match=f"has {context + 1} tokens, and the model's context is {context}"):
        check_texts([Text([1]), Text([1] * (context + 1))], config, "texts.jsonl", "source")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_text_beyond_the_context_is_one_line(name, made, tmp_path, refused):
    """A larger --length is refused only if a text is longer."""
    write_jsonl(tmp_path / "texts.jsonl", [{"text": f"{n}+{n}=" * 60} for n in range(9)])
    error = refused(name, made / "source", tmp_path / "texts.jsonl", "--length", "100")
    assert "the longest text has 100 tokens, and the model's context is 64" in error


def test_a_student_with_a_smaller_context_is_one_line(made, tmp_path, refused):
    student = shutil.copytree(made / "student", tmp_path / "student")
    edit_config(student, max_position_embeddings=20)
    arguments = ["--length", "64", "--student", str(student)]
    assert "the model's context is 20" in refused("student", made / "source", made / "texts.jsonl", *arguments)


def test_a_long_row_of_short_texts_is_taken(made, tmp_path, capsys):
    code = run("distill plan", made / "source", made / "texts.jsonl", made, tmp_path / "out", "--length", "1000")
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["search", "search plan", "distill", "distill plan"])
@pytest.mark.parametrize("length", [10**6, 10**9])
def test_memory_goes_by_the_texts_and_not_by_the_length(length, name, made, tmp_path, capsys):
    code = run(name, made / "source", made / "texts.jsonl", made, tmp_path / "out", "--length", str(length))
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("seed", range(20))
def test_a_longer_row_than_the_texts_changes_the_padding_alone(seed):
    draw = random.Random(seed)
    texts = [Text([draw.randrange(1, 9) for _ in range(draw.randrange(1, 9))]) for _ in range(draw.randrange(1, 9))]
    total = sum(len(text.ids) for text in texts)
    whole = pack(texts, total)
    assert whole.ids.tolist() == [[token for text in texts for token in text.ids]]
    for length in (total + 1, 2 * total, 10**12):
        found = pack(texts, length)
        assert all(torch.equal(getattr(found, name), getattr(whole, name)) for name in ("ids", "positions", "labels"))


@pytest.mark.parametrize("window", [63, 64, 10**6])
@pytest.mark.parametrize("tokens", [48, 64, 128])
def test_a_branch_that_reads_the_whole_context_is_named(window, tokens):
    config = config_from(Qwen3Config(**SIZES), select_block=16, select_tokens=tokens, sliding_window=window)
    notes = "\n".join(reach_notes(config))
    assert ("--window" in notes, "--select-tokens" in notes) == (window >= 64, tokens >= 64)


@pytest.mark.parametrize("name", ["convert", "distill plan"])
def test_commands_print_the_note(name, made, tmp_path, capsys):
    wide = ["--select-block", "16", "--select-tokens", "48", "--window", "100"]
    if name == "convert":
        assert run_convert([str(made / "source"), str(tmp_path / "out"), *wide]) == 0
    else:
        assert run(name, made / "source", made / "texts.jsonl", made, tmp_path / "out", *wide) == 0
    assert "note: --window 100 covers the model's context of 64 tokens" in capsys.readouterr().out
