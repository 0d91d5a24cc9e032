"""docs/when-it-pays.md against the records of the lab."""

from benchmarks.lab.page import table
from judgerlvr.config.load import ROOT


def test_the_pages_table_is_computed_from_the_records():
    """``python -m benchmarks.lab.page`` prints these lines."""
    page = (ROOT / "docs" / "when-it-pays.md").read_text()
    assert "\n".join(table()) in page


def test_every_figure_of_the_short_table_stands_in_the_long_one():
    page = (ROOT / "docs" / "when-it-pays.md").read_text()
    short, lines = page.split("## Statements")[0], "\n".join(table()).replace("+", "")
    for figures in ("42.3 [33.6, 51.1]", "1.1 [-3.4, 5.5]", "-2.8 [-5.1, -0.5]"):
        assert figures in lines
        assert figures.replace(" [", " points [") in short.replace("+", "")
