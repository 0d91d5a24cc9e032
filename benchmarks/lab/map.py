"""The map: ``python -m benchmarks.lab.map CELL_DIR... --out DIR`` writes map.md, map.json and plots."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lab.belonging import check_together
from benchmarks.lab.cells import all_cells
from benchmarks.lab.checks import LEAST_ENTROPY, Check, octet_checks
from benchmarks.lab.command import BadInput, Parser, made_folder, one_line, read_object
from benchmarks.lab.pairs import (
    GREEDY,
    Octets,
    accuracy_difference,
    matched_entropy,
    mean_end,
    paired_curves,
    penalty_front,
    shortening,
)
from benchmarks.lab.records import LABEL, as_json
from benchmarks.lab.statistics import Comparison, Estimate, Outcome, estimate, front_tokens, outcomes

MAIN_ARMS = ("judge-20", "judge-40", "judge-until", "judge-most")
OCTET = ("cell", "arm", "complete", "settings", "arms", "runs", "candidate_tokens", "seconds")  # fields of its file


@dataclass(frozen=True)
class CellResults:
    """What the files of one cell hold."""

    name: str
    failed: list[str]  # checks of the base that failed
    octets: Octets
    registration: str = ""  # hash of the file that was committed before the first run
    decides: bool = True  # an instance of a registration does not decide alone
    instances: tuple[CellResults, ...] = ()  # of a pool: each must pass the checks by itself


@dataclass(frozen=True)
class Row:
    """One line of the map: an arm of a cell against vanilla."""

    cell: str
    arm: str
    comparison: Comparison
    greedy: tuple[Estimate, Estimate]
    at_entropy: tuple[Estimate, Estimate]
    failed_checks: list[str]
    vanilla: tuple[float, float]
    sampled_tokens: float  # millions a run, of training
    candidate_tokens: float  # millions, once a cell
    seconds: float  # of the arm's octet
    decides: bool


def read_cell(folder: Path) -> CellResults:
    """Complete octets only. ``BadInput`` if the files of the folder do not belong together."""
    files, checks = complete_octets(folder), folder / "checks.json"
    if files:
        base = {checks: read_object(checks, "cell", "settings", "checks")} if checks.exists() else {}
        check_together(files, base)
    octets = {content["arm"]["name"]: content for content in files.values()}
    first = octets.get("vanilla") or next(iter(octets.values()), {"cell": folder.name})
    registration = first.get("registration_sha256", "")
    failed = known_failures(first, failed_checks_of_base(checks))
    if registration:
        failed += missing_arms(first["cell"], octets)
    return CellResults(first["cell"], failed, octets, registration)


def complete_octets(folder: Path) -> dict[Path, dict[str, Any]]:
    """A cut octet is named on standard error and left out."""
    files = {}
    for file in sorted(folder.glob("octet-*.json")):
        content = read_object(file, *OCTET)
        if content["complete"]:
            files[file] = content
        else:
            print(f"{file}: incomplete, left out", file=sys.stderr)
    return files


def failed_checks_of_base(file: Path) -> list[str]:
    """A base without checks has failed, since nobody knows what it is."""
    if not file.exists():
        return ["no checks"]
    return [check["name"] for check in read_object(file, "checks")["checks"] if not check["passed"]]


def known_failures(octet: dict[str, Any], failed: list[str]) -> list[str]:
    """``failed``, behind the checks that the cell's every base fails. A base that passed by chance decides nothing."""
    known: list[str] = octet.get("settings", {}).get("known_to_fail", [])  # older records lack the key
    return [*known, *(name for name in failed if name not in known)]


def missing_arms(name: str, octets: Octets) -> list[str]:
    """Arms that a registered cell lacks. The registration names the arms, and the record does not count."""
    if name not in all_cells():
        return [f"no registered cell: {name}"]
    return [f"incomplete arm: {arm.name}" for arm in all_cells()[name].arms if arm.name not in octets]


def with_pools(cells: list[CellResults]) -> list[CellResults]:
    """The cells, and one more for each registration: the runs of all of its instances together."""
    groups = {cell.registration: [c for c in cells if c.registration == cell.registration] for cell in cells}
    pools = [pooled(group) for registration, group in groups.items() if registration and len(group) > 1]
    together = {pool.registration for pool in pools}
    return [replace(cell, decides=cell.registration not in together) for cell in cells] + pools


def pooled(cells: list[CellResults]) -> CellResults:
    """Arms that every instance has. A seed is one of its instance, so seeds are made distinct."""
    names = [name for name in cells[0].octets if all(name in cell.octets for cell in cells)]
    octets = {name: joined(cells, name) for name in names}
    title = " + ".join(cell.name for cell in cells)
    return CellResults(title, [], octets, cells[0].registration, instances=tuple(cells))


def joined(cells: list[CellResults], name: str) -> dict:
    """One octet of the runs of all instances. Candidate tokens are the mean, and seconds the sum."""
    octets = [cell.octets[name] for cell in cells]
    runs = [run | {"seed": (index, run["seed"])} for index, octet in enumerate(octets) for run in octet["runs"]]
    candidates = sum(octet["candidate_tokens"] for octet in octets) / len(octets)
    return octets[0] | {
        "runs": runs,
        "candidate_tokens": candidates,
        "seconds": sum(octet["seconds"] for octet in octets),
    }


def rows_of(cell: CellResults) -> list[Row]:
    """A row for each arm other than vanilla. None without vanilla."""
    if "vanilla" not in cell.octets:
        return []
    return [compare(cell, name) for name in cell.octets if name != "vanilla"]


def compare(cell: CellResults, name: str) -> Row:
    arm, vanilla = cell.octets[name], cell.octets["vanilla"]
    pairs = paired_curves(arm, vanilla)
    matched = [matched_entropy(mine, theirs) for mine, theirs in pairs]
    at_entropy = estimate([difference for difference, _ in matched])
    accuracy, tokens = mean_end([{"curve": mine} for mine, _ in pairs])
    return Row(
        cell.name,
        name,
        Comparison(
            estimate([accuracy_difference(*pair) for pair in pairs]),
            estimate([shortening(*pair) for pair in pairs]),
            accuracy,
            tokens,
            tokens_of_front(cell.octets, accuracy),
            at_entropy if least_entropy(arm) < LEAST_ENTROPY else None,
        ),
        (estimate([accuracy_difference(*p, GREEDY) for p in pairs]), estimate([shortening(*p, GREEDY) for p in pairs])),
        (at_entropy, estimate([ratio for _, ratio in matched])),
        failed_checks(cell, name),
        mean_end([{"curve": theirs} for _, theirs in pairs]),
        float(np.mean([mine[-1]["sampled_tokens"] for mine, _ in pairs])) / 1e6,
        arm["candidate_tokens"] / 1e6,
        arm["seconds"],
        cell.decides,
    )


def failed_checks(cell: CellResults, name: str) -> list[str]:
    """Of the base and of the arm's curves. A pool fails where one of its instances fails."""
    if cell.instances:
        return list(dict.fromkeys(check for one in cell.instances for check in failed_checks(one, name)))
    curves = [mine for mine, _ in paired_curves(cell.octets[name], cell.octets["vanilla"])]
    edition = cell.octets[name]["settings"].get("check_edition", 1)  # older records lack the key
    found = octet_checks(curves, least_entropy(cell.octets[name]), edition)
    return cell.failed + [check.name for check in found if not passed(check)]


def least_entropy(octet: dict) -> float:
    """Of the base's, after judging. Registrations that lower the bound ask for more of a win in exchange."""
    least: float = octet["settings"].get("least_entropy", LEAST_ENTROPY)  # older records lack the key
    return least


def tokens_of_front(octets: Octets, accuracy: float) -> float:
    """Fewest tokens of the penalty front at an accuracy. NaN while no penalty arm has run, so that nothing can win."""
    if not any(name.startswith("penalty") for name in octets):
        return math.nan
    return front_tokens(penalty_front(octets), accuracy)


def passed(check: Check) -> bool:
    """A figure that could not be measured fails nothing."""
    return check.passed or math.isnan(check.value)


def markdown(rows: list[Row], decided: dict[int, Outcome]) -> str:
    """The table, main arms first within each cell. ``decided`` has outcomes by the row's id."""
    head = (
        "cell",
        "arm",
        "outcome",
        "pairs",
        "accuracy",
        "vanilla",
        "accuracy difference, points",
        "tokens at matched accuracy",
        "greedy: points; tokens",
        "matched entropy: points; tokens",
        "end tokens",
        "penalty front there",
        "sampled M",
        "candidates M",
        "seconds",
        "failed checks",
    )
    lines = [f"# {LABEL}: the map", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        outcome = decided.get(id(row), "")
        lines.append("| " + " | ".join(cells(row, str(outcome))) + " |")
    return "\n".join(lines) + "\n"


def cells(row: Row, outcome: str) -> list[str]:
    c = row.comparison
    return [
        row.cell,
        row.arm,
        outcome,
        str(c.accuracy.pairs),
        f"{c.arm_accuracy:.3f}",
        f"{row.vanilla[0]:.3f} at {row.vanilla[1]:.1f}",
        points(c.accuracy),
        percent(c.shortening),
        f"{points(row.greedy[0])}; {percent(row.greedy[1])}",
        f"{points(row.at_entropy[0])}; {percent(row.at_entropy[1])}",
        f"{c.arm_tokens:.1f}",
        front_word(c.front) or f"{c.front:.1f}",
        f"{row.sampled_tokens:.1f}",
        f"{row.candidate_tokens:.1f}",
        f"{row.seconds:.0f}",
        "; ".join(row.failed_checks) or "none",
    ]


def points(value: Estimate) -> str:
    return f"{100 * value.mean:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"


def percent(value: Estimate) -> str:
    """A log ratio of vanilla's tokens over the arm's, as the arm's change in percent: negative is shorter."""
    change = [
        100 * math.expm1(-x) if math.isfinite(x) else math.copysign(math.inf, -x)
        for x in (value.mean, value.high, value.low)
    ]
    return f"{change[0]:+.1f} % [{change[1]:+.1f}, {change[2]:+.1f}]"


def content_of(row: Row) -> dict[str, Any]:
    """A front without tokens is a word, since null stands for a bound that does not exist."""
    made = asdict(row)
    made["comparison"]["front"] = front_word(row.comparison.front) or row.comparison.front
    return made


def front_word(tokens: float) -> str:
    """Empty where the penalty front has tokens."""
    if math.isnan(tokens):
        return "not run"
    return "none as accurate" if math.isinf(tokens) else ""


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    made = Parser(prog="python -m benchmarks.lab.map", description=f"{LABEL}: table and plots")
    made.add_argument("cells", type=Path, nargs="+", help="folders written by benchmarks.lab.run")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--no-plots", action="store_true", help="for machines without matplotlib")
    options = made.parse_args(arguments)
    results = read_cells(options.cells)
    rows = [row for cell in with_pools(results) for row in rows_of(cell)]
    if not rows:
        raise BadInput("no cell has a complete vanilla octet and another arm: run the missing arms first")
    if options.no_plots:
        write_table(rows, made_folder(options.out))
        return 0
    from benchmarks.lab.plots import plot_cell  # before a file is written, since matplotlib may be missing

    write_table(rows, made_folder(options.out))
    for cell in results:
        plot_cell(cell.name, cell.octets, options.out / f"{cell.name}.png")
    return 0


def read_cells(folders: list[Path]) -> list[CellResults]:
    """Cells with a complete octet. The runs of a folder, or of a registered cell, count once."""
    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder: name folders that benchmarks.lab.run wrote")
        if sum(other.resolve() == folder.resolve() for other in folders) > 1:
            raise BadInput(f"{folder} is given twice: name each folder once")
    cells = [cell for cell in map(read_cell, folders) if cell.octets]
    registered = [cell.name for cell in cells if cell.registration]
    if twice := sorted({name for name in registered if registered.count(name) > 1}):
        raise BadInput(f"two folders hold the registered cell {twice[0]}: name one of them")
    return numbered(cells)


def numbered(cells: list[CellResults]) -> list[CellResults]:
    """Cells of one name are told apart by their place in the command, in the table and in the names of plots."""
    names = [cell.name for cell in cells]
    made = [
        replace(cell, name=f"{cell.name}-{names[:index].count(cell.name) + 1}") if names.count(cell.name) > 1 else cell
        for index, cell in enumerate(cells)
    ]
    taken = [cell.name for cell in made]
    if twice := next((name for name in taken if taken.count(name) > 1), None):
        raise BadInput(f"two folders would be named {twice}: map one of them apart")
    return made


def write_table(rows: list[Row], out: Path) -> None:
    covered = [row for row in rows if row.arm in MAIN_ARMS and row.decides and not row.failed_checks]
    found = outcomes([row.comparison for row in covered])
    decided = {id(row): outcome for row, outcome in zip(covered, found, strict=True)}
    (out / "map.md").write_text(markdown(rows, decided))
    content = [content_of(row) | {"outcome": decided.get(id(row))} for row in rows]
    (out / "map.json").write_text(as_json({"lab": LABEL, "rows": content}, indent=1))
    print((out / "map.md").read_text())


if __name__ == "__main__":
    sys.exit(main())
