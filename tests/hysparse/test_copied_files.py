"""Files that a conversion takes from its source: all of them, and a word where there is no tokenizer."""

import os
import shutil
from itertools import product

import pytest
from transformers import AutoTokenizer

from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.models.tokenizer_files import VOCABULARIES, has_tokenizer
from tests.helpers.checkpoint_faults import POINTER
from tests.helpers.commands import exit_code_of
from tests.helpers.tiny_sources import SHAPE, contents, distilling, searching, write_source, write_texts

TEMPLATES = "additional_chat_templates"
TEMPLATE = "{% for m in messages %}tool {{ m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    write_source(root / "source")
    write_texts(root / "texts.jsonl")
    return root


@pytest.fixture
def source(made, tmp_path):
    return shutil.copytree(made / "source", tmp_path / "source")


def command_of(name, source, made, out):
    texts = made / "texts.jsonl"
    extra = {"convert": SHAPE, "plan": [*SHAPE, "--plan"], "search": searching(texts)}
    extra |= {"distill": distilling(texts, *SHAPE), "distill plan": distilling(texts, *SHAPE, "--plan")}
    return run_distill if "distill" in name else run_convert, [str(source), str(out), *extra[name]]


@pytest.mark.parametrize("name", ["convert", "distill"])
def test_further_chat_templates_are_carried(name, source, made, tmp_path):
    (source / TEMPLATES).mkdir()
    (source / TEMPLATES / "tool.jinja").write_text(TEMPLATE)
    main, arguments = command_of(name, source, made, tmp_path / "out")
    assert main(arguments) == 0
    turn = [{"role": "user", "content": "1 + 1"}]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.apply_chat_template(turn, chat_template="tool", tokenize=False) == "tool 1 + 1"


ODD = {
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "pipe": os.mkfifo,
    "pointer": lambda path: path.write_bytes(POINTER),
}
NAMES = ("tokenizer.json", "chat_template.jinja", "merges.txt", "notes.txt", "generation_config.json", TEMPLATES)
PLACES = [*product(NAMES, ODD), *((f"{TEMPLATES}/tool.jinja", kind) for kind in ODD)]


@pytest.mark.parametrize(("name", "kind"), [place for place in PLACES if place != (TEMPLATES, "pointer")])
def test_a_name_without_a_file_behind_it_is_one_line(name, kind, source, made, tmp_path, capsys, monkeypatch):
    for module in ("conversion.converting", "distillation.distillation"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))
    path = source / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    ODD[kind](path)
    for command in ("convert", "plan", "distill", "distill plan"):
        main, arguments = command_of(command, source, made, tmp_path / "out")
        assert exit_code_of(main, arguments) == 2
        error = capsys.readouterr().err
        assert str(path) in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["README.md", ".hidden", "pytorch_model.bin"])
def test_a_file_that_stays_behind_may_lead_nowhere(name, source, made, tmp_path):
    (source / name).symlink_to("nowhere")
    main, arguments = command_of("convert", source, made, tmp_path / "out")
    assert main(arguments) == 0
    assert not os.path.lexists(tmp_path / "out" / name)


def without(path):
    path.unlink()


def emptied(path):
    path.write_bytes(b"")


def a_folder(path):
    path.unlink()
    path.mkdir()


LOSSES = (without, emptied, a_folder)
WARNING = "has no tokenizer"


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("name", ["convert", "plan"])
def test_a_conversion_without_tokenizer_is_told_in_a_line(name, lose, source, made, tmp_path, capsys):
    lose(source / "tokenizer.json")
    main, arguments = command_of(name, source, made, tmp_path / "out")
    assert main(arguments) == 0
    assert sum(WARNING in line for line in capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("name", ["convert", "plan"])
def test_a_conversion_with_tokenizer_has_no_such_line(name, source, made, tmp_path, capsys):
    main, arguments = command_of(name, source, made, tmp_path / "out")
    assert main(arguments) == 0
    assert WARNING not in capsys.readouterr().out


BROKEN = {
    "half": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"\xff\x00garbage",
    "no JSON": lambda content: b"{{",
    "a list": lambda content: b"[]",
    "a word": lambda content: b'"word"',
    "more": lambda content: content + b"}",
}
READ = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


@pytest.mark.parametrize("file", READ)
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_line_in_every_command(case, file, source, made, tmp_path, capsys, monkeypatch):
    """Each file is copied, and transformers would take something else in the place of some."""
    for module in ("conversion.converting", "distillation.distillation"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))
    (source / file).write_bytes(BROKEN[case]((source / file).read_bytes()))
    for command in ("convert", "plan", "search", "distill", "distill plan"):
        main, arguments = command_of(command, source, made, tmp_path / "out")
        assert exit_code_of(main, arguments) == 2, command
        error = capsys.readouterr().err
        assert str(source) in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_without_settings_is_converted_or_refused_by_its_content(source, made, tmp_path):
    (source / "tokenizer_config.json").unlink()
    main, arguments = command_of("convert", source, made, tmp_path / "out")
    assert main(arguments) == 0
    (source / "tokenizer.json").write_text("{}")
    assert exit_code_of(main, [arguments[0], str(tmp_path / "other"), *arguments[2:]]) == 2


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("name", ["search", "distill", "distill plan"])
def test_texts_without_tokenizer_are_one_line(name, lose, source, made, tmp_path, capsys):
    lose(source / "tokenizer.json")
    before = contents(tmp_path)
    main, arguments = command_of(name, source, made, tmp_path / "out")
    assert exit_code_of(main, arguments) == 2
    error = capsys.readouterr().err
    assert "the tokenizer's files" in error and error.count("\n") == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("names", VOCABULARIES, ids=str)
def test_a_vocabulary_counts_only_whole(names, tmp_path):
    found = []
    for name in names:
        found.append(has_tokenizer(tmp_path))
        (tmp_path / name).write_text("a")
    assert (any(found), has_tokenizer(tmp_path)) == (False, True)
