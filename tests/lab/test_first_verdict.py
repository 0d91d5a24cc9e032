"""The checks of a base: the first verdict on the weights counts, and no second try is without a trace."""

import json

import pytest
import torch

from benchmarks.lab.cells import all_cells
from benchmarks.lab.checks import Check
from benchmarks.lab.records import CellFolder
from benchmarks.lab.training import Octet

CELL = all_cells()["smoke"]
FAILED, PASSED = (Check("copied", value, 0.02, 0.05) for value in (0.0101, 0.03))


@pytest.fixture
def folder(tmp_path):
    """A base that has failed a check."""
    made = CellFolder(tmp_path)
    made.save_base({"a": torch.ones(2)})
    assert made.save_checks(CELL, [FAILED], [{}], {}) == [FAILED]
    return made


def stored(folder):
    return json.loads((folder.path / "checks.json").read_text())


def other_base(folder):
    (folder.path / "base.pt").unlink()
    folder.save_base({"a": torch.zeros(2)})


def test_a_second_measurement_changes_nothing(folder):
    """A base near a limit was measured until it passed."""
    before = stored(folder)
    assert folder.save_checks(CELL, [PASSED], [{}], {}) == [FAILED]
    assert stored(folder) == before


def test_the_verdict_is_read_again(folder):
    assert CellFolder(folder.path).load_checks() == [FAILED]


def test_a_base_trained_anew_is_measured_anew(folder):
    other_base(folder)
    assert folder.load_checks() is None
    assert folder.save_checks(CELL, [PASSED], [{}], {}) == [PASSED]


def test_the_verdicts_on_earlier_bases_stay(folder):
    first = stored(folder)
    other_base(folder)
    folder.save_checks(CELL, [PASSED], [{}], {})
    second = stored(folder)
    (folder.path / "base.pt").unlink()
    folder.save_base({"a": torch.full((2,), 2.0)})
    folder.save_checks(CELL, [PASSED], [{}], {})
    assert stored(folder)["earlier"] == [first, {name: second[name] for name in second if name != "earlier"}]


def test_a_verdict_of_an_older_lab_stays_in_the_file(folder):
    """Older files do not tell their base."""
    old = {name: value for name, value in stored(folder).items() if name != "base_sha256"}
    (folder.path / "checks.json").write_text(json.dumps(old))
    folder.save_checks(CELL, [PASSED], [{}], {})
    assert stored(folder)["earlier"] == [old]


def test_a_figure_that_is_not_a_number_fails_again(folder):
    other_base(folder)
    (again,) = folder.save_checks(CELL, [Check("copied", float("nan"), 0.02)], [{}], {})
    assert (again.value != again.value, again.passed) == (True, False)


def test_an_octet_tells_its_base(folder):
    folder.save_octet(CELL, CELL.arms[0], Octet([[], []], [], True), {})
    assert json.loads((folder.path / "octet-vanilla.json").read_text())["base_sha256"] == stored(folder)["base_sha256"]
