"""A stage's command line: parsed options to a run, a continued run, or a dry run."""

from __future__ import annotations

import argparse

from judgerlvr.config.effective import configure, describe
from judgerlvr.config.schema import Kind
from judgerlvr.runs.comparison import MACHINES
from rewards.errors import InputError

# Options that would change a run and so cannot stand beside --resume.
CHANGING = {"overrides": "key=value", "init": "--init", "config": "--config", "dry_run": "--dry-run", "new": "--new"}


def run_command(kind: Kind, options: argparse.Namespace) -> None:
    """Do what the options of a stage's command ask for.

    Raises:
        InputError: options that exclude each other, or bad input.
    """
    if options.resume:
        check_alone(options)
        from judgerlvr.pipeline.stages import resume

        resume(kind, options.resume, options.out, options.overrides)
        return
    # The judge stage's command has no --init.
    init = getattr(options, "init", None)
    effective = configure(options.config, options.overrides, init)
    for line in describe(effective):
        print(line, flush=True)
    # A wrong file or key is told before these imports, which take seconds.
    from judgerlvr.pipeline.checkup.subject import Subject
    from judgerlvr.pipeline.dry_run import dry_run
    from judgerlvr.pipeline.requests import print_start, unchecked_request
    from judgerlvr.pipeline.stages import run

    here = not options.dry_run
    request = unchecked_request(kind, effective.config, init, options.out, here)
    subject = Subject(request, here, options.override_card, options.new)
    print_start(subject)
    if options.dry_run:
        dry_run(subject)
    else:
        run(request, options.new)


def check_alone(options: argparse.Namespace) -> None:
    """Refuse options beside ``--resume``, which continues a run as it was, though on other machines if need be."""
    others = [text for text in options.overrides if text.partition("=")[0] not in MACHINES]
    for name, shown in CHANGING.items():
        if others if name == "overrides" else getattr(options, name, None):
            raise InputError(f"--resume and {shown} together", f"leave out {shown}, or start a new run")
