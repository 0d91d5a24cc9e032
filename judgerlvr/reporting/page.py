"""The page: all sections in order, in one file that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from data.prompts import render
from judgerlvr.reporting.arms import find_arms, last_step, seeds_of
from judgerlvr.reporting.cards import cards_table
from judgerlvr.reporting.html import NOT_RUN, Markup, count, section, table, text
from judgerlvr.reporting.plots import curves, length_figures, main_arms
from judgerlvr.reporting.results import (
    length_table,
    matched_table,
    results_table,
    seeds_table,
    verdict_table,
    words_table,
)
from judgerlvr.reporting.rollouts import side_by_side, training_rollouts
from judgerlvr.reporting.runs import Run

ONE_SEED = "one seed: not evidence"


def render_page(runs: Sequence[Run]) -> str:
    """The whole report as HTML."""
    arms = find_arms(runs)
    shown = main_arms(arms)
    body = [
        _stamps(runs),
        section("Results", results_table(arms), seeds_table(arms)),
        section("JudgeRLVR against vanilla at equal budgets", matched_table(arms)),
        section("Through both stages", curves(runs)),
        section("Length", length_table(arms), length_figures(shown)),
        section("Verdicts", verdict_table(arms)),
        section("Transition words per 1,000 tokens", words_table(arms)),
        section("Solutions side by side", side_by_side(shown, "generate")),
        section("Verdicts side by side", side_by_side(shown, "judge")),
        section("Training rollouts", training_rollouts(runs)),
        section("Runs", _runs_table(runs), cards_table(runs), _data_table(runs)),
    ]
    title = "JudgeRLVR report: " + ", ".join(run.name for run in runs)
    skeleton = files("judgerlvr.reporting").joinpath("page.html").read_text(encoding="utf-8")
    return render(skeleton, {"title": text(title), "body": "".join(body)})


def _stamps(runs: Sequence[Run]) -> Markup:
    """What a reader must know before any number: seeds, and length terms."""
    seeds = seeds_of(runs)
    lines = [Markup(f"<p class='stamp'>{ONE_SEED}</p>")] if len(seeds) <= 1 else [f"seeds: {sorted(seeds)}"]
    for run in runs:
        if run.manifest and run.manifest.length_term == "yes":
            stamp = f"length_term: yes ({run.name}): this run was trained with a length term in its reward"
            lines.append(Markup(f"<p class='stamp'>{text(stamp)}</p>"))
    return Markup("".join(text(line) for line in lines))


def _runs_table(runs: Sequence[Run]) -> Markup:
    head = ("run", "stage", "parent", "length_term", "steps", "seconds", "model hash", "git commit", "versions")
    return table(head, [_run_row(run) for run in runs])


def _run_row(run: Run) -> list[object]:
    if run.manifest is None:
        return [run.name, *[NOT_RUN] * 8]
    manifest, parent = run.manifest, run.manifest.parent
    origin = {"path": parent.path, "hash": parent.hash, "run": parent.run}
    return [
        run.name,
        manifest.stage or NOT_RUN,
        ", ".join(f"{key} {_short(value)}" for key, value in origin.items() if value) or "none",
        manifest.length_term,
        count(last_step(run)),
        f"{run.metrics[-1].seconds:.0f}" if run.metrics else NOT_RUN,
        _short(manifest.model_hash or NOT_RUN),
        _short(manifest.git_commit or NOT_RUN),
        ", ".join(f"{name} {version}" for name, version in manifest.versions.items()) or NOT_RUN,
    ]


def _short(value: object) -> str:
    """Hashes cut to twelve digits."""
    whole = str(value)
    return whole[:12] if len(whole) >= 40 and all(c in "0123456789abcdef" for c in whole) else whole


def _data_table(runs: Sequence[Run]) -> Markup:
    """Data files of every evaluation with their hashes."""
    sources: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        for measured in run.evaluations:
            for source in measured.summary.get("data", []):
                sources.setdefault(source["file"] + source["sha256"], source)
    rows = [[s["file"], f"{s['used']} of {s['rows']}", _short(s["sha256"])] for s in sources.values()]
    return table(("evaluation data", "rows used", "sha256"), rows)
