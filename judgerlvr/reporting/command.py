"""The command ``judgerlvr.report`` from run folders to a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.runs import read_run
from rewards.errors import InputError


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Read the run folders and write the page.

    Raises:
        InputError: a folder holds nothing to report, or the page cannot be written there.
    """
    page = render_page([read_run(folder) for folder in folders])
    if out.is_dir() or not out.parent.is_dir():
        raise InputError("cannot write a page here", "give --out FILE in an existing folder", file=out)
    out.write_text(page, encoding="utf-8")
    print(f"written: {out}")
