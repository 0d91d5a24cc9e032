"""Findings of the checks, and the page that shows them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from rewards.errors import CommandFailed, InputError, bounded, one_line

MARGIN = 19


class Level(StrEnum):
    ok = "ok"
    warning = "warning"
    fault = "fault"


@dataclass(frozen=True)
class Finding:
    """One result of a check. ``details`` are lines for a reader who wants all figures."""

    level: Level
    text: str
    remedy: str = ""
    details: tuple[str, ...] = ()
    area: str = ""

    def lines(self, width: int | None = None) -> Iterator[str]:
        """Level, area and text, with the remedy below. ``width`` wraps the lines, None leaves the lines whole."""
        head = f"{self.level:<8} {self.area:<9} "
        for first, text in ((head, self.text), (f"{'':<{MARGIN - 3}}-> ", self.remedy)):
            if text and width:
                indent = " " * MARGIN
                yield from textwrap.wrap(first + text, width, subsequent_indent=indent, break_on_hyphens=False)
            elif text:
                yield first + text


def ok(text: str, *details: str) -> Finding:
    return Finding(Level.ok, text, details=details)


def fault(error: InputError, area: str) -> Finding:
    return Finding(Level.fault, bounded(error.fault), error.remedy, area=area)


def warning(text: str, remedy: str) -> Finding:
    return Finding(Level.warning, text, remedy)


@dataclass(frozen=True)
class Check:
    """A check of one area. ``run`` yields findings, and raises InputError for a fault.

    ``needs`` names the areas without which the check can say nothing.
    """

    area: str
    run: Callable[[Any], Iterable[Finding]]
    needs: tuple[str, ...] = ()


def examine(checks: Sequence[Check], subject: Any) -> Iterator[Finding]:
    """Findings in order.

    Raises:
        InputError: the first fault.
    """
    for check in checks:
        for finding in check.run(subject):
            yield replace(finding, area=check.area)


def examine_all(checks: Sequence[Check], subject: Any) -> Iterator[Finding]:
    """Findings in order, faults among them. A check that needs a faulty area is not made."""
    faulty: set[str] = set()
    for check in checks:
        if missing := faulty & set(check.needs):
            area = sorted(missing)[0]
            yield Finding(Level.warning, "not checked", f"mend the fault of the {area} first", area=check.area)
            continue
        try:
            yield from examine([check], subject)
        except InputError as error:
            faulty.add(check.area)
            yield fault(error, check.area)
        except CommandFailed as error:
            faulty.add(check.area)
            yield Finding(Level.fault, one_line(error), "mend the cause", area=check.area)
