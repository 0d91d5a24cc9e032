"""docs/when-it-pays.md against the records of the lab."""

from benchmarks.lab import dose
from benchmarks.lab.page import table
from judgerlvr.config.load import ROOT


def test_the_pages_table_is_computed_from_the_records():
    """``python -m benchmarks.lab.page`` prints these lines."""
    page = (ROOT / "docs" / "when-it-pays.md").read_text()
    assert "\n".join(table()) in page


def test_every_figure_of_the_short_table_stands_in_the_long_one():
    page = (ROOT / "docs" / "when-it-pays.md").read_text()
    short, lines = page.split("## Statements")[0], "\n".join(table()).replace("+", "")
    for figures in (
        "42.3 [33.6, 51.1]",
        "0.1 [-1.1, 1.2]",
        "48.4 [47.7, 49.1]",
        "47.1 [43.2, 51.0]",
        "1.1 [-3.4, 5.5]",
        "-2.8 [-5.1, -0.5]",
    ):
        assert figures in lines
        assert figures.replace(" [", " points [") in short.replace("+", "")


def test_the_pages_table_of_doses_is_computed_from_the_records():
    """``python -m benchmarks.lab.dose`` prints these lines."""
    page = (ROOT / "docs" / "when-it-pays.md").read_text()
    for cell in (dose.CELL, "chain-92-15"):
        assert "\n".join(dose.table(list(dose.doses(cell)))) in page


def test_the_pages_sentence_on_doses_counts_the_runs():
    runs = list(dose.doses())
    low, high = ([run.left for run in runs if (run.learnt >= 0.25) is above] for above in (False, True))
    sentence = f"Below .25, {sum(low)} of {len(low)} runs leave the habit. From .25 on, {sum(high)} of {len(high)} do."
    assert sentence in (ROOT / "docs" / "when-it-pays.md").read_text()
