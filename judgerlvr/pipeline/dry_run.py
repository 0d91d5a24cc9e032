"""``--dry-run``: everything that can fail later, tried now, in seconds and without a GPU."""

from __future__ import annotations

import sys

from judgerlvr.pipeline.checkup.data import DATA
from judgerlvr.pipeline.checkup.findings import examine
from judgerlvr.pipeline.checkup.subject import Subject
from judgerlvr.runs.terminal import width_of


def dry_run(subject: Subject) -> None:
    """Print the findings about data, prompt, verifier, plan and disk. The start's checks are made already.

    Raises:
        InputError: whatever would have stopped the run before its first step.
    """
    for finding in examine(DATA, subject):
        print("\n".join([*finding.lines(width_of(sys.stdout)), *finding.details]), flush=True)
    print("dry run: nothing was started")
