"""The gate cells by Monte Carlo of traces, without a model: base accuracy, premium, shortcuts, kinds of checks."""

import importlib
import json
import shutil

import pytest
import torch

from benchmarks.lab import measured, page, run
from benchmarks.lab.cells import GATE_WORLDS, all_cells, gate_cell, gate_cells
from benchmarks.lab.checks import Check, octet_checks, shortcut_accuracy
from benchmarks.lab.judge_pool import Pool, pairs_of
from benchmarks.lab.map import main as draw_map
from benchmarks.lab.worlds.base import repeat
from benchmarks.lab.worlds.making import make_world
from tests.lab.reliability import check_facts

CPU = torch.device("cpu")
CELLS = [cell.name for cell in gate_cells()]
GROUP = 16


def world_of(cell):
    return make_world(all_cells()[cell].world, CPU)


def accuracy(world, problems, traces):
    return world.grade(problems, traces).right.float().mean().item()


@pytest.fixture(scope="module", params=CELLS)
def sampled(request):
    """(cell, world, problems, natural traces of the base)."""
    world, draw = world_of(request.param), torch.Generator().manual_seed(1)
    problems = world.problems(6000, draw)
    return all_cells()[request.param], world, problems, world.solve_traces(problems, draw)


@pytest.fixture(scope="module", params=CELLS)
def pooled(request):
    """(world, pairs of right and wrong answers of the base)."""
    world, draw = world_of(request.param), torch.Generator().manual_seed(2)
    problems = world.problems(4000, draw)
    return world, pairs_of(world, problems, world.solve_traces(repeat(problems, GROUP), draw), GROUP, draw, 0.5)


def test_each_gate_has_one_key_that_it_asks_for(sampled):
    cell, world, problems, _ = sampled
    index = (problems["rule"][..., None], problems["key"][..., None], problems["choices"])
    asked = world.facts.allowed[index] != problems["forbidden"][..., None]
    assert bool((asked.sum(-1) == 1).all())
    assert bool(
        (problems["choices"].gather(-1, asked.int().argmax(-1, keepdim=True))[..., 0] == problems["gold"]).all()
    )
    share = problems["forbidden"].float().mean().item()
    assert share == pytest.approx(0.5 if cell.world.polarity else 0.0, abs=0.02)


def test_the_place_of_the_key_asked_for_tells_nothing(sampled):
    _, _, problems, _ = sampled
    places = (problems["choices"] == problems["gold"][..., None]).float().mean((0, 1))
    assert places.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)


def test_tables_have_the_same_sums_and_no_pattern(sampled):
    _, world, _, _ = sampled
    for table in world.facts.allowed:
        assert table.sum(0).tolist() == table.sum(1).tolist() == [5] * 12
    rows = world.facts.allowed.flatten(0, 1)
    assert len({tuple(row.tolist()) for row in rows}) > 30  # of 36, where the table before the swaps has 12


def test_beliefs_are_as_configured(sampled):
    _, world, _, _ = sampled
    unreliable = world.facts.right_chance[world.facts.unreliable]
    assert len(unreliable) / 432 == pytest.approx(0.65, abs=0.06)
    assert 0.30 <= unreliable.min().item() <= unreliable.max().item() <= 0.60


def test_traces_of_the_base_are_well_formed_and_copied(sampled):
    _, world, problems, traces = sampled
    grades, counted = world.grade(problems, traces), world.counts(problems, traces)
    assert bool(grades.usable.all())
    assert int(counted["copied"].sum()) == int(counted["lines"].sum())
    assert int(traces.lengths.max()) <= world.response_limit


def test_the_traces_reach_the_accuracy_that_the_check_demands(sampled):
    cell, world, problems, traces = sampled
    least, most = cell.base_accuracy
    assert least + 0.02 < accuracy(world, problems, traces) < most - 0.02


@pytest.mark.parametrize("temperature, least", [(0.02, -0.05), (0.5, -0.05)])
def test_sharpening_the_checks_alone_gains_nothing(sampled, temperature, least):
    """Temperature .02 stands for greedy decoding, which writes the more probable verdict."""
    cell, world, problems, _ = sampled
    draw = torch.Generator().manual_seed(3)
    plain = accuracy(world, problems, world.plain_traces(problems, draw))
    sharp = make_world(cell.world, CPU)
    odds = torch.logit(sharp.facts.right_chance) / temperature
    sharp.facts.right_chance = torch.sigmoid(odds)
    assert least < accuracy(sharp, problems, sharp.plain_traces(problems, draw)) - plain < 0.05


def test_greedy_decoding_would_not_recheck(sampled):
    cell, _, _, _ = sampled
    c = cell.world
    assert (1 - c.direct) * c.suspicious < 0.5
    assert (1 - c.direct - c.careful) * c.second_pass < 0.5


def test_facts_are_as_reliable_in_judging_as_in_solving(sampled):
    _, world, problems, traces = sampled
    check_facts(world, problems, traces)


def test_candidates_are_right_in_half_and_verdicts_follow_checks(sampled):
    _, world, problems, _ = sampled
    draw = torch.Generator().manual_seed(5)
    candidate = world.candidates(problems, draw)
    counted = world.judge_counts(problems, candidate, world.judge_traces(problems, candidate, draw))
    assert (candidate == problems["gold"]).all(-1).float().mean().item() == pytest.approx(0.53, abs=0.03)
    assert int(counted["verdict_follows"].sum()) == int(counted["checked"].sum())
    assert counted["checked"].float().mean().item() == pytest.approx(0.7, abs=0.03)


def test_judge_shortcuts_are_measured(pooled):
    world, pool = pooled
    assert len(pool) > 1500
    assert shortcut_accuracy(world, pool, rows=2 * len(pool)) <= 0.55


def test_a_shortcut_would_be_found(pooled):
    world, pool = pooled
    first = pool.problems["choices"][:, :, 0]
    assert shortcut_accuracy(world, Pool(pool.problems, pool.right, first, 0)) > 0.9


def test_enough_problems_have_right_and_wrong_answers(pooled):
    _, pool = pooled
    assert len(pool) / 4000 > 0.3


def test_the_kinds_of_checks_differ_between_modes_without_polarity_only(pooled):
    """The reason why the prototype's judge-first lost: judging checks allowed keys, and solving forbidden keys."""
    world, pool = pooled
    draw = torch.Generator().manual_seed(6)
    problems, shown, _ = pool.pairs(2 * len(pool))
    judged = world.judge_counts(problems, shown, world.judge_traces(problems, shown, draw))
    solved = world.counts(problems, world.solve_traces(problems, draw))
    judging, solving = (float(c["of_forbidden"].sum() / c["lines"].sum()) for c in (judged, solved))
    if world.config.polarity:
        assert (judging, solving) == (pytest.approx(0.5, abs=0.03), pytest.approx(0.5, abs=0.03))
    else:
        assert judging < 0.25
        assert solving > 0.55


# Share by which each fact's chance of being wrong is smaller, accuracy without rechecks, gain of the forced style.
PREMIUMS = {
    "a": [(0.0, 0.06, 0.01), (0.5, 0.28, 0.03), (0.8, 0.62, 0.04), (0.9, 0.79, 0.02)],
    "s": [(0.0, 0.05, 0.02), (0.5, 0.27, 0.20), (0.8, 0.61, 0.26), (0.9, 0.78, 0.19)],
}


@pytest.mark.parametrize("polarity", [False, True])
@pytest.mark.parametrize("kind", GATE_WORLDS)
def test_rechecking_pays_little_in_a_and_always_in_s(kind, polarity):
    for share, plain, gain in PREMIUMS[kind]:
        world, draw = make_world(gate_cell(kind, polarity).world, CPU), torch.Generator().manual_seed(1)
        world.facts.right_chance = world.facts.right_chance + share * (1 - world.facts.right_chance)
        problems = world.problems(6000, draw)
        never, every = (accuracy(world, problems, world.plain_traces(problems, draw, r)) for r in (0.0, 1.0))
        assert never == pytest.approx(plain, abs=0.03)
        assert every - never == pytest.approx(gain, abs=0.025)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("gate")
    assert run.main(["gate-smoke", "--out", str(out), "--despite-checks"]) == 0
    return out


def test_a_gate_cell_runs(folder):
    octet = json.loads((folder / "octet-judge-20.json").read_text())
    assert octet["complete"]
    assert octet["settings"]["world"]["lists_all"]
    last = octet["runs"][0]["curve"][-1]
    for name in ("of_forbidden", "false_yes", "false_no"):
        assert 0 <= last[name] <= 1
        assert 0 <= last["judge_" + name] <= 1


def test_the_base_of_a_gate_cell_is_checked(folder):
    stored = json.loads((folder / "checks.json").read_text())
    passed = {check["name"]: check["passed"] for check in stored["checks"]}
    assert len(passed) == 15
    assert passed["accuracy"]
    assert not passed["operands copied"]  # 160 steps teach no copying


def test_the_map_of_a_gate_cell(folder, tmp_path):
    assert draw_map([str(folder), "--out", str(tmp_path), "--no-plots"]) == 0
    assert "| gate-smoke | judge-20 |" in (tmp_path / "map.md").read_text()


@pytest.fixture
def record(folder, tmp_path, monkeypatch):
    """The cell as the only committed record."""
    for module in (measured, page):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return shutil.copytree(folder, tmp_path / "record")


@pytest.mark.parametrize("name", ["page", "ends", "equal_tokens", "bases"])
def test_a_record_of_a_gate_cell_has_a_line_in_the_tables(record, name):
    lines = importlib.import_module(f"benchmarks.lab.{name}").table()
    assert len(lines) == 3
    assert "| record | gate-smoke |" in lines[-1]


def test_a_record_of_a_gate_cell_is_a_measured_case(record):
    assert [case["family"] for case in measured.cases_of(record)] == [measured.GATES]


def test_checks_after_judging_read_the_errors_in_solving(folder):
    curves = [one["curve"] for one in json.loads((folder / "octet-judge-20.json").read_text())["runs"]]
    checks = {check.name: check for check in octet_checks(curves)}
    assert isinstance(checks["after judging: false yes in solving"], Check)
    assert isinstance(checks["after judging: false no in solving"], Check)
    assert checks["recheck agreement moved"].value != checks["recheck agreement moved"].value  # not a number
