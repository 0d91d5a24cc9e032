"""The page: all sections in order, in one file that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from judgerlvr.reporting.answer import answer_figures
from judgerlvr.reporting.arms import Arm, find_arms, looks_of
from judgerlvr.reporting.browser import Packed, entries_of, pack
from judgerlvr.reporting.budgets import answer_notes, condition_stamps, matched_table
from judgerlvr.reporting.cards import cards_table
from judgerlvr.reporting.changes import changes_data, changes_table
from judgerlvr.reporting.cost import arm_costs, run_costs
from judgerlvr.reporting.curves import curve_groups
from judgerlvr.reporting.facts import data_table, runs_table, stamps
from judgerlvr.reporting.grading import reason_tables, verdict_table, words_table
from judgerlvr.reporting.lengths import length_figures, length_table
from judgerlvr.reporting.parts import Group, Note, Part, Section, Tool
from judgerlvr.reporting.results import results_table, seeds_table
from judgerlvr.reporting.runs import Run, told_apart
from judgerlvr.reporting.settings import settings_parts
from judgerlvr.reporting.side_by_side import examples

PACKAGE, ASSETS = "judgerlvr.reporting", "assets"
NO_SEARCH = "The search needs a browser that runs the page's script."


def render_page(runs: Sequence[Run], reload_seconds: int = 0) -> str:
    """The whole report as HTML. With ``reload_seconds`` an open page loads itself anew."""
    runs = told_apart(runs)
    arms = find_arms(runs)
    packed = pack(entries_of(arms, runs), {"changes": changes_data(arms)})
    script = asset("page.js")
    return (
        environment()
        .get_template("page.html")
        .render(
            title="JudgeRLVR report: " + ", ".join(run.name for run in runs),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            stamps=[*stamps(arms, runs), *condition_stamps(arms)],
            sections=sections(arms, runs, packed),
            style=Markup(asset("style.css")),
            script=Markup(script),
            script_hash=Markup(hash_source(script)),
            block=packed.block,
            reload_seconds=reload_seconds,
        )
    )


def sections(arms: Sequence[Arm], runs: Sequence[Run], packed: Packed) -> list[Section]:
    """All sections in the order of the page."""
    looks = looks_of(runs)
    lengths: list[Part | Group] = [*length_table(arms), *length_figures(arms, looks)]
    return [
        Section("Answer", [*answer_notes(arms), *answer_figures(arms, looks)]),
        Section("Results", [results_table(arms), *seeds_table(arms), matched_table(arms)]),
        Section("Training", curve_groups(runs, looks)),
        Section("Problems that changed", _changes(arms)),
        Section("Lengths", lengths),
        Section("Verdicts", list(verdict_table(arms))),
        Section("Reasons", list(reason_tables(arms))),
        Section("Transition words", list(words_table(arms))),
        Section("Responses side by side", _side_by_side(arms)),
        Section("Rollout browser", _browser(packed)),
        Section("Cost", [*arm_costs(arms, runs), run_costs(runs)]),
        Section("Settings that differ", list(settings_parts(arms, runs))),
        Section("Runs and data", [runs_table(runs), cards_table(runs), *data_table(runs)]),
    ]


def _changes(arms: Sequence[Arm]) -> list[Group]:
    counted = list(changes_table(arms))
    if not counted:
        return []
    search = Group("Search of problems", [Note(NO_SEARCH), Tool("changes")])
    return [Group("Counts of changed problems", counted), search]


def _browser(packed: Packed) -> list[Part]:
    return [Note(packed.note), Note(NO_SEARCH), Tool("browser")] if packed.all_rollouts else []


def _side_by_side(arms: Sequence[Arm]) -> list[Group]:
    groups = [Group("Solutions", list(examples(arms, "generate"))), Group("Judgements", list(examples(arms, "judge")))]
    return [group for group in groups if group.parts]


def environment() -> Environment:
    """Templates that escape every value and refuse a name that is not given."""
    return Environment(
        loader=PackageLoader(PACKAGE, ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> str:
    """Text of a file of the page."""
    return files(PACKAGE).joinpath(ASSETS, name).read_text(encoding="utf-8")


def hash_source(script: str) -> str:
    """The name by which the page's policy allows this script and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
