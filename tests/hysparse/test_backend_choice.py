"""An unknown JUDGERLVR_HYSPARSE_BACKEND is one line in every command that would use it, before a model is loaded."""

from argparse import Namespace

import pytest

from judgerlvr.hysparse.agreement import comparison
from judgerlvr.hysparse.agreement.__main__ import main as run_agreement
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.hysparse.ops import dispatch
from judgerlvr.hysparse.ops.available import check_backend
from judgerlvr.models.directory import check_model
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from tests.helpers.tiny_sources import SHAPE, distilling, searching, write_source, write_texts

COMMANDS = ("search", "search plan", "distill", "distill plan", "agreement")
LINE = "error: JUDGERLVR_HYSPARSE_BACKEND=overlap is unknown; unset it, or set it to one of "


@pytest.fixture
def unknown(monkeypatch):
    monkeypatch.setenv("JUDGERLVR_HYSPARSE_BACKEND", "overlap")
    for module in ("conversion.converting", "distillation.distillation", "conversion.search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))
    monkeypatch.setattr(comparison, "run", lambda *_: pytest.fail("the comparison began"))


def started(command, tmp_path):
    """The exit code of a command."""
    if command == "agreement":
        return run_agreement([str(base_path("hysparse"))])
    texts, paths = (
        write_texts(tmp_path / "texts.jsonl"),
        [str(write_source(tmp_path / "source")), str(tmp_path / "out")],
    )
    plan = ["--plan"] if command.endswith("plan") else []
    if command.startswith("search"):
        return run_convert([*paths, *searching(texts), *plan])
    given = distilling(texts, *SHAPE)
    return run_distill([*paths, *given[: given.index("--device")], *SHAPE, *plan])


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_backend_is_one_line(command, unknown, tmp_path, capsys):
    assert started(command, tmp_path) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(LINE)
    assert not (tmp_path / "out").exists()


def test_a_conversion_alone_uses_no_backend(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGERLVR_HYSPARSE_BACKEND", "overlap")
    assert run_convert([str(write_source(tmp_path / "source")), str(tmp_path / "out"), *SHAPE]) == 0


def test_a_policy_is_refused_and_a_dense_policy_is_not(unknown):
    with pytest.raises(InputError, match="JUDGERLVR_HYSPARSE_BACKEND=overlap is unknown"):
        check_model(base_path("hysparse"), 8)
    check_model(base_path("qwen3"), 8)


@pytest.mark.parametrize("chosen", ["", *dispatch.KNOWN])
def test_a_known_backend_is_taken(chosen, monkeypatch):
    monkeypatch.setenv("JUDGERLVR_HYSPARSE_BACKEND", chosen)
    check_backend()


def test_a_device_that_lacks_its_kernels_is_refused(monkeypatch):
    monkeypatch.delenv("JUDGERLVR_HYSPARSE_BACKEND", raising=False)
    monkeypatch.setattr(dispatch, "missing_for", lambda _: "the package triton is not installed")
    with pytest.raises(InputError, match="cannot run on device 'cuda': the package triton is not installed"):
        check_backend("cuda:1")


def test_a_distillation_on_a_device_that_lacks_its_kernels_is_one_line(tmp_path, monkeypatch, capsys):
    """Nothing is read or made on a GPU without triton."""
    monkeypatch.delenv("JUDGERLVR_HYSPARSE_BACKEND", raising=False)
    monkeypatch.setattr(dispatch, "missing_for", lambda _: "the package triton is not installed")
    for name, stub in {
        "pick_device": lambda _: "cuda",
        "read_model": lambda *_: pytest.fail("a model was loaded"),
    }.items():
        monkeypatch.setattr(f"judgerlvr.hysparse.distillation.distillation.{name}", stub)
    arguments = Namespace(world_size=1)
    monkeypatch.setattr("judgerlvr.hysparse.distillation.distillation.trainer_arguments", lambda *_: arguments)
    assert started("distill", tmp_path) == 2
    assert "the package triton is not installed; run on CPU" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
