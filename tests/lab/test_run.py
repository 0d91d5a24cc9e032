"""The command: files of a cell, resuming, the time limit, checks, the map, and imports."""

import ast
import hashlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.lab import belonging, run
from benchmarks.lab import map as draw
from benchmarks.lab.arms import main_arms
from benchmarks.lab.cells import all_cells, registered_cells
from benchmarks.lab.checks import Check, octet_checks, shortcut_accuracy
from benchmarks.lab.judge_pool import Pool
from benchmarks.lab.map import failed_checks, read_cell, rows_of, with_pools
from benchmarks.lab.records import LABEL, REGISTRATIONS, CellFolder, describe
from benchmarks.lab.training import Octet

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("cell")
    assert run.main(["smoke", "--out", str(out), "--despite-checks"]) == 0
    return out


def copy_base(folder, to):
    for name in ("base.pt", "cell.json"):
        shutil.copy(folder / name, to)


def test_a_cell_leaves_at_most_eight_files(folder):
    assert sorted(file.name for file in folder.iterdir()) == [
        "base.pt",
        "cell.json",
        "checks.json",
        "octet-judge-20.json",
        "octet-vanilla.json",
    ]
    few = [cell for name, cell in all_cells().items() if "controls" not in name and "recipes" not in name]
    assert max(len(cell.arms) for cell in few) + 3 <= 8


def test_an_octet_records_each_run(folder):
    content = json.loads((folder / "octet-judge-20.json").read_text())
    assert content["lab"] == LABEL
    assert content["complete"]
    assert [(r["seed"], r["rate"]) for r in content["runs"]] == [(0, 1e-4), (0, 2e-4)]
    assert [p["step"] for p in content["runs"][0]["curve"]] == [0, 1, 2, 4, 6]
    assert [s["kind"] for s in content["steps"]] == ["judge"] + ["generate"] * 5


def test_a_second_call_does_only_what_is_missing(folder, capsys):
    kept = (folder / "octet-vanilla.json").read_bytes()
    before = json.loads((folder / "octet-judge-20.json").read_text())
    (folder / "octet-judge-20.json").unlink()
    assert run.main(["smoke", "--out", str(folder), "--despite-checks"]) == 0
    assert "vanilla: done before" in capsys.readouterr().out
    assert (folder / "octet-vanilla.json").read_bytes() == kept
    after = json.loads((folder / "octet-judge-20.json").read_text())
    without_time = [
        {k: v for k, v in p.items() if k != "seconds"} for r in (before, after) for p in r["runs"][0]["curve"]
    ]
    assert without_time[:5] == without_time[5:]


def test_a_second_call_repeats_the_first_verdict(folder, tmp_path, monkeypatch, capsys):
    copy_base(folder, tmp_path)
    shutil.copy(folder / "checks.json", tmp_path)
    before = (tmp_path / "checks.json").read_bytes()
    monkeypatch.setattr(run, "base_checks", lambda *_: [Check("any", 1.0)])
    assert run.main(["smoke", "--out", str(tmp_path), "--base-only"]) == 1
    assert "checks: measured before" in capsys.readouterr().out
    assert (tmp_path / "checks.json").read_bytes() == before


def test_no_arm_begins_after_the_time_limit(folder, tmp_path, monkeypatch):
    copy_base(folder, tmp_path)
    monkeypatch.setattr(run, "BEGAN", run.BEGAN - 1e6)
    assert run.main(["smoke", "--out", str(tmp_path), "--despite-checks", "--seconds", "1"]) == 3
    assert not (tmp_path / "octet-judge-20.json").exists()


def test_a_cut_octet_is_not_taken_for_done(tmp_path):
    cell = all_cells()["smoke"]
    folder = CellFolder(tmp_path)
    for complete in (False, True):
        folder.save_octet(cell, cell.arms[0], Octet([[], []], [], complete), {})
        assert folder.finished(cell.arms[0]) is complete


def test_a_failed_check_stops_the_cell(folder, tmp_path, capsys):
    copy_base(folder, tmp_path)
    assert run.main(["smoke", "--out", str(tmp_path)]) == 1
    assert "no go: " in capsys.readouterr().out


def test_an_unknown_arm_is_refused(tmp_path, capsys):
    assert run.main(["smoke", "--out", str(tmp_path), "--arms", "vanila"]) == 2
    assert "vanila" in capsys.readouterr().err


def test_the_map_of_a_cell(folder, tmp_path):
    assert draw.main([str(folder), "--out", str(tmp_path), "--no-plots"]) == 0
    table = (tmp_path / "map.md").read_text()
    assert table.startswith(f"# {LABEL}")
    assert "| smoke | judge-20 |" in table
    assert json.loads((tmp_path / "map.json").read_text())["rows"][0]["arm"] == "judge-20"


@pytest.fixture
def two_instances(folder, tmp_path, monkeypatch):
    know(monkeypatch, 2)
    for name in ("one", "two"):
        shutil.copytree(folder, tmp_path / name)
        for file in [*(tmp_path / name).glob("octet-*.json"), tmp_path / name / "checks.json"]:
            stored = json.loads(file.read_text())
            file.write_text(json.dumps(stored | describe(draw.all_cells()[name])))
    return [tmp_path / "one", tmp_path / "two"]


def know(monkeypatch, arms):
    """The lab has two instances of the smoke cell, registered in one file, with so many arms."""
    smoke, file = replace(all_cells()["smoke"], arms=main_arms(6)[:arms]), registered_cells()[0].registration
    cells = {name: replace(smoke, name=name, registration=file) for name in ("one", "two")}
    for module in (draw, belonging):
        monkeypatch.setattr(module, "all_cells", lambda: cells)


def test_instances_of_one_registration_are_pooled(two_instances):
    one, two, pool = with_pools([read_cell(path) for path in two_instances])
    assert [cell.decides for cell in (one, two, pool)] == [False, False, True]
    assert rows_of(pool)[0].comparison.accuracy.pairs == 2 * rows_of(one)[0].comparison.accuracy.pairs


def test_an_arm_that_one_instance_lacks_is_not_pooled(two_instances):
    (two_instances[1] / "octet-judge-20.json").unlink()
    assert list(with_pools([read_cell(path) for path in two_instances])[-1].octets) == ["vanilla"]


def test_a_pool_fails_where_an_arm_of_one_instance_is_missing(two_instances, monkeypatch):
    """The record names two arms, and the registration three."""
    know(monkeypatch, 3)
    pool = with_pools([read_cell(path) for path in two_instances])[-1]
    assert "incomplete arm: judge-40" in failed_checks(pool, "judge-20")


def test_a_registered_record_of_an_unknown_cell_fails(two_instances, monkeypatch):
    for module in (draw, belonging):
        monkeypatch.setattr(module, "all_cells", dict)
    assert read_cell(two_instances[0]).failed[-1] == "no registered cell: one"


def test_a_base_without_checks_fails(two_instances):
    (two_instances[0] / "checks.json").unlink()
    assert "no checks" in read_cell(two_instances[0]).failed


@pytest.mark.parametrize("registered", [True, False])
def test_runs_are_counted_once(two_instances, tmp_path, capsys, registered):
    """Neither a folder twice nor a copy of a registered cell."""
    one = two_instances[0]
    other = shutil.copytree(one, tmp_path / "copy") if registered else f"{one}/."
    assert draw.main([str(one), str(other), "--out", str(tmp_path / "map"), "--no-plots"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_registered_cell_is_fresh_and_names_its_file():
    cells = registered_cells()
    known = all_cells()["chain-92-05"]
    for seeds in ({c.world.seed for c in [*cells, known]}, {c.sft.seed for c in [*cells, known]}):
        assert len(seeds) == len(cells) + 1
    for cell in cells:
        text = (REGISTRATIONS / cell.registration).read_bytes()
        assert describe(cell)["registration_sha256"] == hashlib.sha256(text).hexdigest()
        assert cell.name.encode() in text


def test_a_shortcut_is_found(world, draw):
    problems = world.problems(2000, draw)
    given_away = Pool(problems, problems["gold"], problems["gold"] * 0, 0)
    honest = Pool(problems, problems["gold"], world.problems(2000, draw)["gold"], 0)
    assert shortcut_accuracy(world, given_away) > 0.9
    assert shortcut_accuracy(world, honest) < 0.58


def point(step, stage, agrees, **fields):
    base = dict(
        step=step, stage=stage, rechecks=2.0, recheck_agrees=agrees, well_formed=1.0, truncated=0.0, entropy=1.0,
        mixed_groups=0.5, judge_false_yes=0.3, judge_false_no=0.7, every_accuracy=0.3, none_accuracy=0.1,
        judge_unreliable_right=0.47, judge_unreliable_belief=0.47,
        unreliable_right=0.45, unreliable_belief=0.45,
    )  # fmt: skip
    return base | fields


def test_checks_after_judging_read_the_hand_over():
    after = point(20, "1-judge", 0.92, mixed_groups=0.1, judge_unreliable_right=0.67, unreliable_right=0.60)
    curve = [point(0, "base", 0.92), after, point(30, "2-generate", 0.92), point(40, "2-generate", 0.92)]
    checks = {check.name: check for check in octet_checks([curve])}
    assert not checks["after judging: mixed groups"].passed
    assert checks["transfer of facts"].value == pytest.approx(0.75)
    assert checks["recheck agreement moved"].passed


def test_a_cell_may_register_another_least_entropy():
    after = point(20, "1-judge", 0.92, entropy=0.65, judge_unreliable_right=0.67, unreliable_right=0.60)
    curve = [point(0, "base", 0.92), after, point(30, "2-generate", 0.92), point(40, "2-generate", 0.92)]
    assert [c.name for c in octet_checks([curve]) if not c.passed] == ["after judging: entropy of base"]
    assert all(check.passed for check in octet_checks([curve], least_entropy=0.60))


def test_a_recheck_that_learns_fails_its_check():
    curve = [point(0, "base", 0.92), *[point(step, "1-generate", 0.96) for step in (10, 20, 30)]]
    assert [check.name for check in octet_checks([curve]) if not check.passed] == ["recheck agreement moved"]


def looping(step, stage, rechecks):
    """A response that loops until the limit ends with a recheck that nothing answers."""
    cut = rechecks / 40
    share = 0.92 * (1 - cut / rechecks)
    answers = dict(answered=rechecks - cut, answers_right=0.92 * (rechecks - cut))
    return point(step, stage, share, rechecks=rechecks, **answers)


def test_the_second_edition_counts_answered_rechecks():
    """In the first edition loops move the agreement, and points without rechecks are left out of their mean."""
    curve = [looping(0, "base", 2.0) | {"recheck_agrees": 0.92}, *[looping(s, "1-generate", 20.0) for s in (1, 2, 3)]]
    first, second = ({c.name: c for c in octet_checks([curve], edition=n)} for n in (1, 2))
    assert first["recheck agreement moved"].value == pytest.approx(0.92 / 40)
    assert not first["recheck agreement moved"].passed
    assert second["recheck agreement moved"].value == pytest.approx(0)
    silent = dict(rechecks=0.0, recheck_agrees=None, answered=0.0, answers_right=0.0)
    rare = [[curve[0], *[point(s, "1-generate", None) | silent for s in (1, 2)], looping(3, "1-generate", 0.12)]]
    assert math.isnan(octet_checks(rare, edition=2)[0].value)
    assert not math.isnan(octet_checks(rare)[0].value)


def test_the_second_edition_reads_the_entropy_of_the_median_run():
    """A malformed run with much entropy lifted the mean of sharpened runs over the least."""
    answers = dict(answered=2.0, answers_right=1.84)
    runs = [
        [point(0, "base", 0.92, **answers), point(20, "1-judge", 0.92, entropy=entropy, **answers)]
        + [point(step, "2-generate", 0.92, **answers) for step in (30, 40)]
        for entropy in (0.4, 0.5, 1.2)
    ]
    name = "after judging: entropy of base"
    first, second = ({c.name: c for c in octet_checks(runs, 0.60, edition)} for edition in (1, 2))
    assert (first[name].value, first[name].passed) == (pytest.approx(0.7), True)
    assert (second[name].value, second[name].passed) == (pytest.approx(0.5), False)


def test_a_check_without_a_range_passes():
    assert Check("any", 3.0).passed


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def private_names():
    """Private functions and methods of the lab, and every other use of a name."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / "benchmarks/lab").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    made = {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("_")}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return {name for name in made if not name.endswith("__")}, used


def test_every_private_function_of_the_lab_is_used():
    made, used = private_names()
    assert len(made) > 50
    assert made <= used


def test_the_lab_imports_nothing_of_the_product():
    for file in (ROOT / "benchmarks/lab").rglob("*.py"):
        foreign = {name.split(".")[0] for name in imports(file)} & {
            "judgerlvr",
            "rewards",
            "data",
            "verl",
            "vllm",
            "ray",
        }
        assert not foreign, f"{file} imports {foreign}"


def test_the_product_does_not_import_the_lab():
    for package in ("judgerlvr", "rewards", "data"):
        for file in (ROOT / package).rglob("*.py"):
            assert not any(name.startswith("benchmarks") for name in imports(file)), file
