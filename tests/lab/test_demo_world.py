"""The demo's cell by Monte Carlo of traces, beside the product's own tracer, and as a command on a small size."""

import importlib
import json
import math
import random
import shutil

import pytest
import torch

from benchmarks.lab import measured, page, run
from benchmarks.lab.cells import DEMO, DEMO_SHARPENS, all_cells
from benchmarks.lab.checks import octet_checks, shortcut_accuracy
from benchmarks.lab.judge_pool import pairs_of
from benchmarks.lab.map import main as draw_map
from benchmarks.lab.map import read_cell
from benchmarks.lab.worlds.base import repeat
from benchmarks.lab.worlds.demo_facts import DemoConfig
from benchmarks.lab.worlds.making import make_world, stored_world
from judgerlvr.config.load import ROOT
from judgerlvr.tinyworld.task import World as ProductWorld
from judgerlvr.tinyworld.task import WorldConfig
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from judgerlvr.tinyworld.trace_parsing import read_response
from judgerlvr.tinyworld.traces import Style, Tracer
from tests.lab.reliability import check_facts

CPU = torch.device("cpu")
GROUP, SEEDS = 16, (0, 1)
FIXED_TOKENS = 3  # of a product's response that the lab leaves out: opening tag, line break, closing brace


def world_of(seed=0, temperature=1.0):
    """The cell's world, whose values are drawn at a temperature."""
    world = make_world(DemoConfig(seed=seed), CPU)
    colder = world.facts.chances.log() / temperature
    world.facts.chances = torch.softmax(colder, -1)
    return world


def accuracy(world, problems, traces):
    return world.grade(problems, traces).right.float().mean().item()


@pytest.fixture(scope="module", params=SEEDS)
def sampled(request):
    """(seed, world, problems, natural traces of the base)."""
    world, draw = world_of(request.param), torch.Generator().manual_seed(1)
    problems = world.problems(6000, draw)
    return request.param, world, problems, world.solve_traces(problems, draw)


@pytest.fixture(scope="module")
def product():
    """(chain, response) of the product's own tracer, of one style or of all."""
    draw, tracer = random.Random(3), Tracer(ProductWorld())

    def responses(style, count=4000):
        chains = [tracer.world.sample(draw) for _ in range(count)]
        return [(chain, tracer.solve(draw, chain, style)) for chain in chains]

    return responses


def right(pairs):
    return sum(read_response(text).box == str(chain.answer) for chain, text in pairs) / len(pairs)


def test_the_figures_of_the_world_are_the_products():
    ours, theirs, habits = DemoConfig(), WorldConfig(), Tracer(ProductWorld()).config
    for name in ("modulus", "unreliable", "right_low", "right_high", "misconception", "reliable_right"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.least_steps, ours.most_steps) == (theirs.min_steps, theirs.max_steps)
    for name in ("direct", "careful", "wait_if_wrong", "wait_if_right", "wait_rambling", "second_pass", "tries"):
        assert getattr(ours, name) == getattr(habits, name)
    assert ours.judge_guesses == habits.guess


def test_there_are_as_many_facts_as_in_the_product():
    world = world_of()
    assert int(30 * world.facts.operand_counts.sum()) == len(ProductWorld().facts) == 1950


@pytest.mark.parametrize("style", [None, Style.DIRECT])
def test_traces_are_as_often_right_as_the_products(sampled, product, style):
    _, world, problems, traces = sampled
    ours = traces if style is None else world.plain_traces(problems, torch.Generator().manual_seed(2))
    assert accuracy(world, problems, ours) == pytest.approx(right(product(style)), abs=0.035)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer()


@pytest.mark.parametrize("style", [None, Style.DIRECT])
def test_traces_have_the_products_tokens_less_three(sampled, product, tokenizer, style):
    _, world, problems, traces = sampled
    ours = traces if style is None else world.plain_traces(problems, torch.Generator().manual_seed(2))
    texts = [text for _, text in product(style, 2000)]
    theirs = sum(len(ids) + 1 for ids in tokenizer(texts).input_ids) / len(texts)
    assert ours.lengths.float().mean().item() + FIXED_TOKENS == pytest.approx(theirs, rel=0.03)


def test_the_traces_reach_the_accuracy_that_the_check_demands(sampled):
    _, world, problems, traces = sampled
    least, most = all_cells()[DEMO].base_accuracy
    assert least + 0.05 < accuracy(world, problems, traces) < most - 0.05


def test_rechecks_gain_a_little(sampled):
    _, world, problems, traces = sampled
    plain = world.plain_traces(problems, torch.Generator().manual_seed(3))
    assert 0.03 < accuracy(world, problems, traces) - accuracy(world, problems, plain) < 0.10


@pytest.mark.parametrize(("temperature", "least", "most"), [(0.02, 0.99, 1.0), (0.5, 0.57, 0.64)])
def test_sharpening_the_values_alone_gains_much(sampled, temperature, least, most):
    """So the two checks of sharpening fail for every base, as the cell says."""
    seed, _, problems, _ = sampled
    world = world_of(seed, temperature)
    plain = world.plain_traces(problems, torch.Generator().manual_seed(4))
    assert least <= accuracy(world, problems, plain) <= most


def test_greedy_decoding_would_not_recheck(sampled):
    """The first token is a hum in less than half, and after a line of the others ``recheck`` is rarer than going on."""
    c = sampled[1].config
    rambling = 1 - c.direct - c.careful
    assert rambling < 0.5
    assert c.careful / (c.direct + c.careful) * c.wait_if_wrong < 0.5


def test_traces_of_the_base_are_usable_and_copied(sampled):
    _, world, problems, traces = sampled
    grades, counted = world.grade(problems, traces), world.counts(problems, traces)
    assert bool(grades.usable.all())
    assert bool(counted["restates"].all())
    assert int(counted["copied"].sum()) == int(counted["lines"].sum())
    assert int(traces.lengths.max()) <= world.response_limit


def test_facts_are_as_reliable_in_judging_as_in_solving(sampled):
    _, world, problems, traces = sampled
    check_facts(world, problems, traces)


def test_verdicts_follow_checks(sampled):
    _, world, problems, _ = sampled
    draw = torch.Generator().manual_seed(5)
    candidate = world.candidates(problems, draw)
    counted = world.judge_counts(problems, candidate, world.judge_traces(problems, candidate, draw))
    assert int(counted["verdict_follows"].sum()) == int(counted["checked"].sum())
    assert counted["checked"].float().mean().item() == pytest.approx(0.7, abs=0.03)


README = (ROOT / "benchmarks" / "lab" / "README.md").read_text()


def told(row, seed):
    """A figure of the README's table on this world."""
    lines = README.partition("## The demo's chain")[2].split("\n")
    cells = next(line for line in lines if line.startswith(f"| {row} |")).strip("| ").split(" | ")
    return float(cells[1 + seed])


def test_the_readme_has_the_figures_of_the_traces(sampled):
    seed, world, problems, traces = sampled
    draw = torch.Generator().manual_seed(6)
    plain = world.plain_traces(problems, draw)
    cold = world_of(seed, 0.5)
    found = {
        "accuracy of the base": accuracy(world, problems, traces),
        "accuracy without rechecks": accuracy(world, problems, plain),
        "the same, values at temperature .5": accuracy(world, problems, cold.plain_traces(problems, draw)),
    }
    for row, value in found.items():
        assert told(row, seed) == pytest.approx(value, abs=0.025), row
    for row, written in (("tokens", traces), ("tokens without rechecks", plain)):
        assert told(row, seed) == pytest.approx(written.lengths.float().mean().item(), rel=0.03), row


def test_the_readme_has_the_products_measured_base():
    record = ROOT / "benchmarks" / "results" / "tiny-pairs-cpu-2026-11-30" / "seeds.json"
    bases = [seed["figures"]["base"] for seed in json.loads(record.read_text())["seeds"]]
    mean = {name: sum(base[name] for base in bases) / len(bases) for name in ("accuracy", "tokens", "greedy")}
    stated = f"accuracy {mean['accuracy']:.3f}, {mean['tokens']:.1f} tokens and greedy {mean['greedy']:.3f}"
    assert stated.replace(" 0.", " .") in README


@pytest.fixture(scope="module")
def pooled():
    """(world, pairs of right and wrong answers of the base)."""
    world, draw = world_of(), torch.Generator().manual_seed(2)
    problems = world.problems(4000, draw)
    return world, pairs_of(world, problems, world.solve_traces(repeat(problems, GROUP), draw), GROUP, draw, 0.5)


def test_most_problems_have_right_and_wrong_answers(pooled):
    assert len(pooled[1]) / 4000 > 0.9


def test_judge_shortcuts_are_measured(pooled):
    """The limit of the check is near: a value of a right solution never equals the value before a sum."""
    world, pool = pooled
    assert 0.50 < shortcut_accuracy(world, pool, rows=2 * len(pool)) < 0.57


def test_a_stored_configuration_makes_the_world():
    settings = json.loads(json.dumps(DemoConfig(seed=3).__dict__))
    assert stored_world(settings) == DemoConfig(seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    assert run.main(["demo-smoke", "--out", str(out), "--despite-checks"]) == 0
    return out


def test_a_demo_cell_runs(folder):
    octet = json.loads((folder / "octet-judge-20.json").read_text())
    assert octet["complete"]
    assert octet["settings"]["known_to_fail"] == list(DEMO_SHARPENS)
    for name in ("copied", "judge_verdict_follows", "hums", "restates"):
        assert 0 <= octet["runs"][0]["curve"][-1][name] <= 1


@pytest.mark.parametrize("edition", [1, 2])
def test_rechecks_that_the_policy_writes_have_no_agreement(folder, edition):
    octet = json.loads((folder / "octet-judge-20.json").read_text())
    first = octet_checks([one["curve"] for one in octet["runs"]], edition=edition)[0]
    assert (first.name, math.isnan(first.value)) == ("recheck agreement moved", True)


def test_the_command_says_which_checks_every_base_fails(folder, capsys):
    assert run.main(["demo-smoke", "--out", str(folder)]) == 1
    told = capsys.readouterr().out
    assert "no arm of demo-smoke has an outcome" in told
    assert all(name in told for name in DEMO_SHARPENS)


def test_a_base_that_passed_by_chance_decides_nothing(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    stored = json.loads((copy / "checks.json").read_text())
    passed = [check | {"passed": True} for check in stored["checks"]]
    (copy / "checks.json").write_text(json.dumps(stored | {"checks": passed}))
    assert read_cell(copy).failed == list(DEMO_SHARPENS)


def test_the_map_names_the_checks(folder, tmp_path):
    assert draw_map([str(folder), "--out", str(tmp_path), "--no-plots"]) == 0
    (row,) = json.loads((tmp_path / "map.json").read_text())["rows"]
    assert row["outcome"] is None
    assert row["failed_checks"][:2] == list(DEMO_SHARPENS)


@pytest.fixture
def record(folder, tmp_path, monkeypatch):
    """The cell as the only committed record."""
    for module in (measured, page):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return shutil.copytree(folder, tmp_path / "record")


@pytest.mark.parametrize(
    ("name", "lines"), [("page", 1), ("decoded", 1), ("sharpening", 2), ("bases", 1), ("ends", 1), ("equal_tokens", 1)]
)
def test_a_record_of_a_demo_cell_has_its_lines_in_the_tables(record, name, lines):
    made = importlib.import_module(f"benchmarks.lab.{name}").table()
    assert len(made) == 2 + lines
    assert "| record | demo-smoke |" in made[-1]


@pytest.mark.parametrize("name", ["page", "decoded"])
def test_the_tables_name_the_checks(record, name):
    line = importlib.import_module(f"benchmarks.lab.{name}").table()[-1]
    assert "; ".join(DEMO_SHARPENS) in line


def test_a_record_of_a_demo_cell_is_a_measured_case(record):
    assert [case["family"] for case in measured.cases_of(record)] == [measured.DEMO]
