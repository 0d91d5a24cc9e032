"""The files of the map: a plot for each folder, and JSON that any reader takes."""

import json
import math
import sys
from types import SimpleNamespace

import pytest

from benchmarks.lab import map as draw
from benchmarks.lab.measured import RESULTS
from benchmarks.lab.records import as_json

FOLDERS = [RESULTS / "2026-11-28-h200-first", RESULTS / "2026-11-28-h200-second"]  # of one cell, without penalties


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The map of two folders of one unregistered cell, with plots that hold the names of their arms."""
    out = tmp_path_factory.mktemp("map")
    plots = SimpleNamespace(plot_cell=lambda name, octets, file: file.write_text(" ".join([name, *octets])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "benchmarks.lab.plots", plots)
        assert draw.main([*map(str, FOLDERS), "--out", str(out)]) == 0
    return out


def strict(text):
    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def test_each_folder_has_its_plot(made):
    """The second plot took the place of the first."""
    first, second = ((made / f"chain-92-05-{number}.png").read_text() for number in (1, 2))
    assert first.split()[:2] == ["chain-92-05-1", "judge-20"]
    assert second.split()[:2] == ["chain-92-05-2", "judge-40"]


def test_the_table_tells_the_folders_apart(made):
    names = [row["cell"] for row in strict((made / "map.json").read_text())["rows"]]
    assert names == ["chain-92-05-1", "chain-92-05-1", "chain-92-05-2"]
    assert "| chain-92-05-2 | judge-40 |" in (made / "map.md").read_text()


def test_a_folder_of_its_own_keeps_the_name_of_its_cell():
    assert [cell.name for cell in draw.read_cells(FOLDERS[:1])] == ["chain-92-05"]


def test_a_front_without_penalties_is_a_word(made):
    """The file held a bare NaN."""
    fronts = {row["comparison"]["front"] for row in strict((made / "map.json").read_text())["rows"]}
    assert fronts == {"not run"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_null(value):
    assert strict(as_json({"a": [1.5, (value, {"b": value})]})) == {"a": [1.5, [None, {"b": None}]]}


def test_no_file_of_the_lab_is_written_around_the_rule():
    """``as_json`` is the only writer."""
    files = (RESULTS.parent).rglob("*.py")
    assert {file.stem for file in files if "json.dump" in file.read_text()} == {"records"}
