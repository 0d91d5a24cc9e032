"""Pages that repeat facts of the code repeat them truly."""

import re

import pytest

from judgerlvr.runs.metrics import metric_table
from tests.house.test_imports import ROOMS
from tests.house.texts import ROOT, tracked


def rooms_of_the_page():
    """Rooms in the table of the architecture page, in order, as dotted names."""
    page = (ROOT / "docs" / "architecture.md").read_text().partition("## The rooms")[2]
    return [name.replace("/", ".") for name in re.findall(r"^\| `([\w/]+)` \|", page.partition("\n## ")[0], re.M)]


def test_architecture_lists_every_room():
    folders = {name.split("/")[1] for name in tracked() if re.fullmatch(r"judgerlvr/\w+/.*\.py", name)}
    assert set(rooms_of_the_page()) == {"rewards", "data", *(f"judgerlvr.{name}" for name in folders)}


def test_architecture_lists_rooms_in_the_order_of_imports():
    listed = rooms_of_the_page()
    assert listed == [room for room in ROOMS if room in listed]


def test_the_table_of_metrics_is_the_declarations():
    """Write the output of ``metric_table`` into the page when this fails."""
    assert metric_table() in (ROOT / "docs" / "metrics.md").read_text()


@pytest.mark.parametrize("extra", ["cpu", "gpu", "dev"])
def test_install_names_every_extra(extra):
    assert f"`{extra}`" in (ROOT / "docs" / "install.md").read_text()
