"""The block of rollouts: content, order and size."""

import base64
import gzip
import json
import random
import re
from dataclasses import fields

import pytest

from judgerlvr.reporting.arms import Arm, find_arms
from judgerlvr.reporting.browser import BUDGET, LONGEST, Entry, entries_of, pack, shortened
from judgerlvr.reporting.evaluations import Measured
from judgerlvr.reporting.page import asset
from judgerlvr.reporting.runs import Run, read_run
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.report_runs import make_records, write_three


def unpacked(packed):
    return json.loads(gzip.decompress(base64.b64decode(packed.block)))


def entry(problem, response, source="base"):
    return Entry(
        source, None, "generate", "sampled", problem, 0, "wrong", "wrong", 5, "gold 1", f"ask {problem}", response
    )


def noise(draw, size):
    """Text that does not compress below three quarters of the size."""
    return base64.b64encode(draw.randbytes(size * 3 // 4)).decode()


def test_every_rollout_of_evaluations_and_training_is_in_the_block(tmp_path):
    runs = [read_run(folder) for folder in write_three(tmp_path)]
    entries = entries_of(find_arms(runs), runs)
    packed = pack(entries, {"changes": 1})
    content = unpacked(packed)
    assert len(entries) == 4 * 20 * 2 * 5 + 3 * 2
    names = [field.name for field in fields(Entry)]
    rows = [dict(zip(names, row, strict=True)) for row in content["rollouts"]]
    assert [Entry(**{**row, "prompt": content["prompts"][row["prompt"]]}) for row in rows] == entries
    assert content["changes"] == 1
    assert packed.note.startswith("All 806 rollouts that were read are in this page. Read are all samples")


def test_the_script_reads_the_fields_in_the_order_of_the_block():
    listed = re.search(r"FIELDS = (\[.*?\]);", asset("page.js"))
    assert json.loads(listed[1]) == [field.name for field in fields(Entry)]


def test_the_problems_that_fit_are_the_first_ones_and_the_count_is_told():
    draw = random.Random(0)
    entries = [entry(f"p{i % 40}", noise(draw, 1000), f"arm {i // 40}") for i in range(160)]
    packed = pack(entries, {}, budget=60_000)
    kept = {row[4] for row in unpacked(packed)["rollouts"]}
    assert kept == {f"p{i}" for i in range(packed.problems)}
    assert 0 < packed.problems < 40 and packed.rollouts == 4 * packed.problems
    assert len(packed.block) <= 60_000
    assert f"The first {packed.problems} of 40 problems" in packed.note


def test_a_budget_that_holds_nothing_leaves_an_empty_block():
    packed = pack([entry("p", noise(random.Random(0), 5000))], {}, budget=10)
    assert (packed.problems, unpacked(packed)["rollouts"]) == (0, [])


@pytest.mark.parametrize("problems", [50, 200])
def test_noise_of_six_policies_stays_within_the_budget(problems):
    """Five responses a problem and policy, of 1,000 characters that do not compress."""
    draw = random.Random(0)
    texts = [noise(draw, 1000) for _ in range(problems * 5)]
    entries = [entry(f"p{i // 5}", text, f"arm {arm}") for arm in range(6) for i, text in enumerate(texts)]
    assert len(pack(entries, {}).block) <= BUDGET


def test_a_long_text_keeps_its_beginning_and_its_end():
    text = "a" * LONGEST + "b" * 10
    cut = shortened(text)
    assert cut.startswith("aaa") and cut.endswith("b" * 10) and "10 characters left out" in cut
    assert shortened("a" * LONGEST) == "a" * LONGEST


def test_arms_of_several_seeds_have_the_run_in_their_name(tmp_path):
    records = make_records("generate", Decoding(n=1), 0.5, 50, problems=1)
    arms = [Arm("vanilla", Run(tmp_path / name), Measured("final", samples=records), 1, 1) for name in ("a", "b")]
    assert [one.source for one in entries_of(arms, [])] == ["vanilla (a)", "vanilla (b)"]
