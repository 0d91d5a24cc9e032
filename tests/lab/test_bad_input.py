"""Bad input to each of the lab's commands is one line on standard error and exit code 2."""

import importlib
import json
from pathlib import Path

import pytest

from benchmarks.lab import coverage, dose, measured, page, pages
from benchmarks.lab import map as draw
from benchmarks.lab.cells import all_cells
from benchmarks.lab.records import describe

LAB = Path(draw.__file__).parent
COMMANDS = sorted(file.stem for file in LAB.glob("*.py") if '__name__ == "__main__"' in file.read_text())
CELL = measured.RESULTS / "2026-11-30-h200-sixth" / "chain-95-05"
OF_RECORDS = [
    "bases",
    "between_bases",
    "contrasts",
    "coverage",
    "decoded",
    "dose",
    "ends",
    "equal_tokens",
    "handover",
    "measured",
    "page",
    "sharpening",
    "sign_flips",
    "spent",
]
BROKEN = {
    "half a file": "{",
    "no object": "[]",
    "no UTF-8": b"\xff\xfe",
    "fields are missing": '{"cell": "smoke"}',
}


def refused(capsys, module, *arguments):
    """The single line that a command answers."""
    try:
        code = importlib.import_module(f"benchmarks.lab.{module}").main([str(one) for one in arguments])
    except SystemExit as end:
        code = end.code
    lines = capsys.readouterr().err.splitlines()
    assert (code, len(lines)) == (2, 1), lines
    return lines[0]


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_every_command_of_records_is_tested():
    assert {*OF_RECORDS, "map", "pages", "run", "speed"} == set(COMMANDS)


@pytest.mark.parametrize("module", COMMANDS)
def test_an_unknown_option(capsys, module):
    needed = {"run": ["smoke", "--out", "x"], "map": ["x", "--out", "x"]}.get(module, [])
    assert "--no-such-option" in refused(capsys, module, *needed, "--no-such-option")


@pytest.mark.parametrize(
    ("module", "before"),
    [("run", ["smoke", "--out"]), ("map", [CELL, "--no-plots", "--out"]), ("page", ["--plots"]), ("speed", ["--out"])],
)
def test_a_place_that_cannot_be_written(capsys, tmp_path, module, before):
    """A file where a folder belongs, or a file in a folder that is a file."""
    file = write(tmp_path / "file", "kept")
    place = file / "inner" if module in ("page", "speed") else file
    assert str(place) in refused(capsys, module, *before, place)
    assert file.read_text() == "kept"


def test_a_plot_in_no_folder(capsys, tmp_path):
    assert "folder that exists" in refused(capsys, "dose", "--plot", tmp_path / "none" / "plot.png")


@pytest.mark.parametrize("name", ["x.zzz", "plot", "plot.png.txt"])
def test_a_plot_of_no_kind(capsys, tmp_path, name):
    assert ".png, .pdf, .svg" in refused(capsys, "dose", "--plot", tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["nan", "-1", "0", "soon"])
def test_seconds_that_are_none(capsys, tmp_path, text):
    assert "--seconds" in refused(capsys, "run", "smoke", "--out", tmp_path, f"--seconds={text}")


@pytest.mark.parametrize("arms", ["", ",", "vanilla,", "vanila"])
def test_arms_that_the_cell_lacks(capsys, tmp_path, arms):
    assert "--arms" in refused(capsys, "run", "smoke", "--out", tmp_path / "out", f"--arms={arms}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("module", "more"), [("run", ["nonsense", "--out", "x"]), ("speed", ["--cell", "nonsense"])])
def test_an_unknown_cell(capsys, module, more):
    assert "nonsense" in refused(capsys, module, *more)


@pytest.mark.parametrize("cell", ["nonsense", "", "chain", "chain-92-0"])
def test_a_dose_of_a_cell_without_runs(capsys, cell):
    assert "chain-92-05" in refused(capsys, "dose", f"--cell={cell}")


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("name", ["octet-vanilla.json", "checks.json"])
def test_a_broken_file_of_the_map(capsys, tmp_path, broken, name):
    file = write(tmp_path / "cell" / name, BROKEN[broken])
    assert str(file) in refused(capsys, "map", tmp_path / "cell", "--out", tmp_path / "map", "--no-plots")
    assert not (tmp_path / "map").exists()


def test_an_octet_without_runs(capsys, tmp_path):
    content = json.loads((CELL / "octet-vanilla.json").read_text())
    write(tmp_path / "octet-vanilla.json", json.dumps(content | {"runs": []}))
    assert "runs is empty" in refused(capsys, "map", tmp_path, "--out", tmp_path / "map")


@pytest.mark.parametrize("folder", ["none", "empty"])
def test_a_folder_without_a_cell(capsys, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    refused(capsys, "map", tmp_path / folder, "--out", tmp_path / "map")


@pytest.fixture
def broken_records(tmp_path, monkeypatch):
    for module in (coverage, dose, measured, page):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(pages, "DOCS", tmp_path / "docs")
    write(tmp_path / "docs/when-it-pays.md", "kept")
    return write(tmp_path / "results/record/cell/octet-vanilla.json", "{")


@pytest.mark.parametrize("module", [*OF_RECORDS, "pages"])
def test_a_broken_record(capsys, broken_records, module):
    assert str(broken_records) in refused(capsys, module)


@pytest.mark.parametrize("name", ["cell.json", "checks.json", "octet-vanilla.json"])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_in_the_folder_of_a_run(capsys, tmp_path, name, broken):
    file = write(tmp_path / name, BROKEN[broken])
    assert str(file) in refused(capsys, "run", "smoke", "--out", tmp_path)


def test_a_broken_base(capsys, tmp_path):
    write(tmp_path / "cell.json", json.dumps(describe(all_cells()["smoke"])))
    write(tmp_path / "base.pt", "no weights")
    assert "base.pt" in refused(capsys, "run", "smoke", "--out", tmp_path, "--seconds", "1")
