"""Whole sets: the own set, the cases handed over by a reviewer, and real golds restyled and mutated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rewards_table import by_this_pool, read_rows
from rewards.gold_matching import match_golds, mutated
from rewards.grading.pool import GraderPool
from rewards.types import Problem

SETS = Path(__file__).with_name("sets")
DATA = os.environ.get("JUDGERLVR_TEST_DATA")
# Misses of the second set that the documentation names.
MISSES = (r"{29}\%", "4 May")
LATER_SETS = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
needs_data = pytest.mark.skipif(not DATA, reason="JUDGERLVR_TEST_DATA is not set")


@pytest.fixture(scope="module")
def own():
    rows = read_rows(SETS / "completions.jsonl")
    return list(zip(rows, by_this_pool(rows), strict=True))


def test_at_most_1_percent_of_600_hostile_completions_are_paid(own):
    paid = [row for row, score in own if score and not row["expected"]]
    assert len(paid) <= 6, paid


def test_at_most_8_percent_of_800_right_completions_are_refused(own):
    refused = [row for row, score in own if row["expected"] and not score]
    assert len(refused) <= 64, refused


@pytest.fixture(scope="module")
def second():
    rows = read_rows(SETS / "second.jsonl")
    return list(zip(rows, by_this_pool(rows), strict=True))


def test_the_second_set_is_paid_and_refused_as_expected_but_for_the_named_misses(second):
    wrong = {row["completion"] for row, score in second if score != bool(row["expected"])}
    assert wrong == {row["completion"] for row, _ in second if any(part in row["completion"] for part in MISSES)}


@pytest.mark.parametrize("name", LATER_SETS)
def test_later_sets_keep_within_1_percent_paid_and_8_percent_refused(name):
    rows = read_rows(SETS / f"{name}.jsonl")
    scored = list(zip(rows, by_this_pool(rows), strict=True))
    paid = [row["completion"] for row, score in scored if score and not row["expected"]]
    refused = [row["completion"] for row, score in scored if row["expected"] and not score]
    hostile = sum(not row["expected"] for row in rows)
    assert (100 * len(paid) <= hostile, 100 * len(refused) <= 8 * (len(rows) - hostile)) == (True, True), paid


@pytest.mark.parametrize(
    ("script", "sets"),
    [
        ("make_completions", ["completions"]),
        ("make_second_set", ["second"]),
        ("make_later_sets", LATER_SETS[:-3]),
        ("make_ninth_set", ["ninth"]),
        pytest.param("make_seventh_set", ["seventh"], marks=needs_data),
        pytest.param("make_eighth_set", ["eighth"], marks=needs_data),
    ],
)
def test_each_set_is_what_its_script_writes(tmp_path, script, sets):
    for part in (*SETS.glob("*.py"), *SETS.glob("*.txt")):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    subprocess.run([sys.executable, str(tmp_path / f"{script}.py")], check=True)
    assert sorted(path.stem for path in tmp_path.glob("*.jsonl")) == sorted(sets)
    assert [
        name for name in sets if (tmp_path / f"{name}.jsonl").read_bytes() != (SETS / f"{name}.jsonl").read_bytes()
    ] == []


@needs_data
def test_handed_over_cases_come_out_as_expected():
    rows = read_rows(Path(DATA or "") / "rewards" / "cases-2026-11-28.jsonl")
    rows = [row | {"completion": row["answer"]} for row in rows]
    assert [row for row, score in zip(rows, by_this_pool(rows), strict=True) if score != bool(row["expected"])] == []


def math_problems() -> list[Problem]:
    rows = json.loads((Path(DATA or "") / "train" / "math-train-7474.json").read_text(encoding="utf-8"))
    return [Problem(str(index), row["problem"], str(row["answer"])) for index, row in enumerate(rows)]


@needs_data
def test_math_golds_restyled_pay_and_mutated_do_not():
    problems = math_problems()[:1500]
    with GraderPool(workers=1) as pool:
        report = match_golds(problems, pool)
    mutants = sum(len(mutated(problem)) for problem in problems)
    assert (len(report.easily), mutants >= 900, len(report.never) <= report.golds // 100) == (0, True, True), report


def test_golds_that_only_equal_themselves_are_named():
    golds = [
        "9 (apples)",
        "the reason is that the two sides of the figure are never the same at all",
        "7",
        "½",
        "3*x**2-1",
    ]
    with GraderPool(workers=1) as pool:
        report = match_golds([Problem(str(place), "", gold) for place, gold in enumerate(golds)], pool)
    assert [fault.place for fault in report.never] == [0, 1]
    assert "2 of 5 golds never matched" in report.lines("file")[0]


LAX = """
    from rewards.types import Reason, Result

    def verify(problem, answer):
        return Result(1.0, Reason.CORRECT)
"""


def test_a_verifier_that_pays_mutants_is_named(tmp_path, monkeypatch):
    (tmp_path / "lax_verifier.py").write_text("\n".join(line[4:] for line in LAX.splitlines()))
    monkeypatch.syspath_prepend(str(tmp_path))
    with GraderPool("lax_verifier:verify", workers=1) as pool:
        report = match_golds([Problem("a", "", "27")], pool)
    assert [fault.gold for fault in report.easily] == ["27", "27"]
    assert "golds: 1 of 1 gold matched by a wrong answer" in report.lines()[0]
    sys.modules.pop("lax_verifier", None)
