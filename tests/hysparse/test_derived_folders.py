"""The folder of a conversion: a bad name is told before the work, and a failed work leaves nothing."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from judgerlvr.hysparse.conversion import conversion, derived_files
from judgerlvr.hysparse.conversion.conversion import adopt, config_from, save
from judgerlvr.hysparse.conversion.derived_files import check_new, check_outside
from judgerlvr.hysparse.conversion.options import InitialValues
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from rewards.errors import MACHINE, InputError
from tests.helpers.commands import exit_code_of
from tests.helpers.tiny_sources import SHAPE, contents, distilling, searching, write_source, write_texts


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    write_source(root / "source")
    assert run_convert([str(root / "source"), str(root / "student"), *SHAPE]) == 0
    write_texts(root / "texts.jsonl")
    return root


def can_be_made(out):
    """By making the folder, with a file of the longest name that is written there."""
    try:
        out.mkdir(parents=True)
        (out / "model-00001-of-00002.safetensors").touch()
    except OSError:
        return False
    return True


LENGTHS = (1, 100, 200, 240, 243, 244, 250, 254, 255, 256, 257, 300, 5000)
NAMES = [
    *("a" * length for length in LENGTHS),
    *("é" * length for length in (100, 120, 122, 127, 128, 200)),
    *("/".join(["b" * 250] * count) for count in (2, 10, 14, 17, 40)),
    "new/" + "c" * 256,
    "c" * 256 + "/new",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: f"{name[:5]}-{len(name.encode())}")
def test_a_name_is_refused_where_no_folder_of_this_name_can_be_made(name, tmp_path):
    out = tmp_path / name
    try:
        check_new(out)
        accepted = True
    except InputError:
        accepted = False
    assert accepted == can_be_made(out)


BACK = ("new/..", "new/../out", "new/deep/../..", "new/deep/..", "there/new/../../out", "there/new/..")


@pytest.mark.parametrize("name", BACK)
def test_a_path_back_from_a_folder_that_is_not_there_is_refused(name, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=r"leave \.\. out"):
        check_new(tmp_path / name)


@pytest.mark.parametrize("name", ["there/../out", "there/../new/out", "there/there/../out"])
def test_a_path_back_from_a_folder_is_taken(name, tmp_path):
    (tmp_path / "there" / "there").mkdir(parents=True)
    check_new(tmp_path / name)


@pytest.mark.parametrize("command", ["convert", "search", "distill"])
@pytest.mark.parametrize("name", ["a" * 256, "new/..", "new/" + "a" * 256])
def test_a_command_tells_a_bad_name_before_the_work(command, name, made, tmp_path, capsys, monkeypatch):
    for module in ("conversion.converting", "distillation.distillation", "conversion.search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))
    texts = made / "texts.jsonl"
    extra = {"convert": SHAPE, "search": searching(texts), "distill": distilling(texts, *SHAPE)}[command]
    main = run_distill if command == "distill" else run_convert
    assert exit_code_of(main, [str(made / "source"), f"{tmp_path}/{name}", *extra]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert contents(tmp_path) == {}


FOLDER = "additional_chat_templates"
# From the folder with "source", "student", "elsewhere" and the link "to" to "source". Templates of the source link to
# "elsewhere".
INSIDE = ("source/out", f"source/{FOLDER}/out", "source/new/deep/out", "to/out", f"to/{FOLDER}/new/out")
INSIDE += ("source/../to/out", "elsewhere/out", "elsewhere/new/out", f"source/{FOLDER}/more/out")


@pytest.fixture
def linked(made, tmp_path):
    for name in ("source", "student"):
        shutil.copytree(made / name, tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "source" / FOLDER).mkdir()
    (tmp_path / "source" / FOLDER / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "to").symlink_to("source")
    return tmp_path


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("command", ["convert", "plan", "search", "distill", "distill plan", "resume", "student"])
def test_a_place_inside_a_folder_that_is_read_is_one_line(command, name, made, linked, capsys, monkeypatch):
    for module in ("conversion.converting", "distillation.distillation", "conversion.search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))
    texts, before = made / "texts.jsonl", contents(linked)
    extra = {"convert": SHAPE, "plan": [*SHAPE, "--plan"], "search": searching(texts)}
    extra |= {"distill": distilling(texts, *SHAPE), "distill plan": distilling(texts, *SHAPE, "--plan")}
    extra |= {"resume": distilling(texts, *SHAPE, "--resume")}
    extra |= {"student": distilling(texts, "--student", str(linked / "student"))}
    main = run_convert if command in ("convert", "plan", "search") else run_distill
    assert exit_code_of(main, [str(linked / "source"), f"{linked}/{name}", *extra[command]]) == 2
    error = capsys.readouterr().err
    assert "give a place outside the models" in error and error.count("\n") == 1
    assert contents(linked) == before


def test_a_place_inside_the_student_is_refused(linked):
    with pytest.raises(InputError, match="student, which is read"):
        check_outside(linked / "student" / "out", [linked / "source", linked / "student"])


@pytest.mark.parametrize("name", ["out", "source-2/out", "new/out", "source/../out"])
def test_a_place_beside_the_models_is_taken(name, linked):
    check_outside(linked / name, [linked / "source", linked / "student", None])


@pytest.mark.parametrize("name", ["a", "new/a", "a" * 256, "new/.."])
def test_a_check_of_a_place_leaves_nothing(name, tmp_path):
    with suppress(InputError):
        check_new(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# As root, permissions allow what these file systems do not.
@pytest.mark.parametrize("place", ["/proc/out", "/proc/new/out", "/sys/out"])
def test_a_file_system_that_takes_no_folder_is_told_before_the_work(place):
    with pytest.raises(InputError, match="give a place that you may write to"):
        check_new(Path(place))


@pytest.mark.parametrize("number", MACHINE)
def test_a_fault_of_the_machine_is_not_called_a_bad_place(number, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(derived_files.tempfile, "mkdtemp", fails)
    with pytest.raises(OSError, match=os.strerror(number)):
        check_new(tmp_path / "out")


@pytest.mark.parametrize("length", [240, 250, 255])
def test_a_model_gets_the_longest_name(length, made, tmp_path):
    out = tmp_path / ("a" * length)
    assert run_convert([str(made / "source"), str(out), *SHAPE]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert (out / "config.json").is_file()


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
FAULTS = (FULL, KeyboardInterrupt(), RuntimeError("a fault"))


@pytest.fixture
def converted(made):
    source = conversion.read_model(made / "source", "auto")
    return adopt(source.state_dict(), config_from(source.config), InitialValues())


def failing(monkeypatch, step, fault):
    """Let a step of the saving write what it writes, and fail then."""
    place = {
        "weights": (HySparseForCausalLM, "save_pretrained"),
        "copy": (conversion, "copy_files"),
        "check": (conversion, "check_new"),
    }[step]
    honest = getattr(*place)

    def fails(*given, **named):
        honest(*given, **named)
        raise fault

    monkeypatch.setattr(*place, fails)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("place", ["out", "new/out", "new/deep/out", "there/new/out"])
@pytest.mark.parametrize("step", ["weights", "copy", "check"])
def test_a_failed_saving_leaves_nothing(step, place, fault, converted, made, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    failing(monkeypatch, step, fault)
    with pytest.raises(type(fault)):
        save(converted, made / "source", tmp_path / place)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_file_that_cannot_be_added_leaves_nothing(converted, made, tmp_path):
    """As the curve of a search."""

    def fails(folder):
        (folder / "curve").touch()
        raise FULL

    with pytest.raises(OSError, match="space"):
        save(converted, made / "source", tmp_path / "new" / "out", fails)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_somebody_filled_stays(converted, made, tmp_path, monkeypatch):
    def fails(*_):
        (tmp_path / "new" / "mine").write_text("mine")
        raise FULL

    monkeypatch.setattr(conversion, "copy_files", fails)
    with pytest.raises(OSError, match="space"):
        save(converted, made / "source", tmp_path / "new" / "deep" / "out")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["new", "new/mine"]


def test_nothing_has_the_name_before_the_model_is_whole(converted, made, tmp_path, monkeypatch):
    honest, seen = conversion.copy_files, []

    def spying(base, derived):
        seen.append(((tmp_path / "out").exists(), (derived / "model.safetensors").exists()))
        honest(base, derived)

    monkeypatch.setattr(conversion, "copy_files", spying)
    save(converted, made / "source", tmp_path / "out")
    assert seen == [(False, True)]


COMERS = {
    "empty folder": lambda out: out.mkdir(),
    "file": lambda out: out.write_text("mine"),
    "dangling link": lambda out: out.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", COMERS)
def test_what_came_during_the_work_is_not_written_over(kind, converted, made, tmp_path, monkeypatch):
    out, honest = tmp_path / "out", conversion.copy_files

    def coming(base, derived):
        honest(base, derived)
        COMERS[kind](out)

    monkeypatch.setattr(conversion, "copy_files", coming)
    with pytest.raises(InputError, match="something is there already"):
        save(converted, made / "source", out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert contents(tmp_path) == {out.relative_to(tmp_path): b"mine" if kind == "file" else None}
