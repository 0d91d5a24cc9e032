"""The plan of a search and a distillation beside the seconds and GiB of the committed run, from headers alone."""

import argparse
import re

import pytest

from benchmarks.hysparse.conversion_cost import LIMIT, SHAPES, Run, figures
from judgerlvr.config.load import ROOT
from judgerlvr.models.weights import read_header

RECORD = (ROOT / "benchmarks" / "results" / "hysparse-conversion-cost-h200-2026-11-30.md").read_text()


def measured(name, part, figure):
    """Of the run's table: plan, measured, and their ratio."""
    row = re.search(rf"^\| {name} \| {part} \| {figure} \| [\d.]+ \| ([\d.]+) \|", RECORD, re.MULTILINE)
    return float(row[1])


@pytest.fixture
def empty(tmp_path):
    """Makes a run whose source is headers alone."""

    def make(name):
        run = Run(argparse.Namespace(out=tmp_path, work=tmp_path, rows=8), name, SHAPES[name], 10)
        run.write_empty()
        return run

    return make


@pytest.mark.parametrize("part", ["search", "distillation"])
@pytest.mark.parametrize("name", ["0.6b", "1.7b"])
def test_plans_are_within_a_tenth_of_the_committed_run(empty, name, part):
    """Two constants were fitted to the four figures of seconds, none to those of memory."""
    planned = figures(empty(name).plan(part), r"search on one|\d+ steps on one")
    for figure, value in zip(("seconds", "GiB"), planned, strict=True):
        assert value == pytest.approx(measured(name, part, figure), rel=LIMIT)


@pytest.mark.parametrize("part", ["search", "distillation"])
def test_the_recorded_plan_of_the_large_shape_is_todays(empty, part):
    planned = empty("8b").plan(part).splitlines()
    assert set(planned) <= set(RECORD.splitlines())


def test_headers_take_no_space(empty):
    """A header of 16 GB of tensors is a few blocks on disk."""
    file = empty("8b").source / "model.safetensors"
    assert read_header(file)["model.embed_tokens.weight"]["shape"] == [151_936, 4096]
    assert file.stat().st_blocks * 512 < 2**20 < 2**33 < file.stat().st_size


def test_the_docs_tell_the_runs_ratios():
    page = " ".join((ROOT / "docs" / "hysparse.md").read_text().split())
    found = {
        (part, figure): sorted(
            float(
                re.search(rf"^\| {name} \| {part} \| {figure} \|.*?([\d.]+) \| (?:off|within)", RECORD, re.MULTILINE)[1]
            )
            for name in ("0.6b", "1.7b")
        )
        for part in ("search", "distillation")
        for figure in ("seconds", "GiB")
    }
    memory = sorted(found["search", "GiB"] + found["distillation", "GiB"])
    assert f"Memory was {memory[0]} to {memory[-1]} of the measured memory" in page
    slow, trained = found["search", "seconds"], found["distillation", "seconds"]
    assert f"{slow[0]:.2f} and {slow[1]:.2f} of the measured seconds for searches" in page
    assert f"and {trained[0]:.2f} and {trained[1]:.2f} for distillations: missed" in page


def test_the_docs_tell_the_plan_of_8_b(empty):
    seconds, gib = figures(empty("8b").plan("search"), "search on one")
    assert (
        f"the search of an 8 B model takes {seconds:.0f} s and {gib:.0f} GiB" in (ROOT / "docs/hysparse.md").read_text()
    )
