"""A page of three runs, rendered once for all tests, since the figures take seconds."""

import pytest

from judgerlvr.report import main
from tests.helpers.report_runs import write_three
from tests.reporting.tree import Tree


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("runs")
    out = folder / "report.html"
    assert main([*map(str, write_three(folder)), "--out", str(out)]) == 0
    return out.read_text()


@pytest.fixture(scope="session")
def tree(page) -> Tree:
    return Tree(page)
