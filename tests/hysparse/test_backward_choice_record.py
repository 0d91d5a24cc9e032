"""The page of the record of the backward choice, and the docs, against the table that the run wrote."""

import pytest

from judgerlvr.config.load import ROOT

RECORD = ROOT / "benchmarks" / "results" / "hysparse-kernels-backward-choice-h200-2026-12-01"
CONTEXTS = {"32k": "32768", "64k": "65536", "128k": "131072"}
PAGE = (RECORD / "README.md").read_text()


def rows(path):
    return [[cell.strip() for cell in line.strip("| \n").split("|")] for line in path.read_text().splitlines()]


def measured(context, kind):
    """Milliseconds as the table writes them."""
    found = [row[4] for row in rows(RECORD / "table.md") if row[0] == CONTEXTS[context] and row[2:3] == [kind]]
    assert len(found) == 1, kind
    return found[0]


def default(what):
    return f"chosen spread=3.2,backward_spread=1.4,queries=8192{what}"


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_page_has_the_tables_milliseconds(context):
    union, ours = measured(context, "union + backward"), measured(context, default(" + backward"))
    (told,) = [row for row in rows(RECORD / "README.md") if row[0] == context]
    assert told[1:3] == [union, ours]
    assert told[3] == f"{float(ours) / float(union):.2f}"
    assert told[5:] == [measured(context, "FA3"), measured(context, "SDPA cuDNN + backward")]


@pytest.mark.parametrize("what", ["", "prepare backward "])
def test_the_page_has_the_other_milliseconds(what):
    named = [f"{what}union", f"{what}{default('')}"]
    for kind in named:
        values = [f"{float(measured(context, kind)):.2f}" for context in CONTEXTS]
        assert "{}, {} and {} ms".format(*values) in PAGE


def test_the_docs_have_the_ratio():
    ratios = [float(row[3]) for row in rows(RECORD / "README.md") if row[0] in CONTEXTS]
    told = f"changed default takes {min(ratios):.2f} to {max(ratios):.2f} times the time of union tiles"
    for name in ("docs/hysparse.md", "CHANGELOG.md"):
        assert told in " ".join((ROOT / name).read_text().split())
