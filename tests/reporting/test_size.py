"""The whole page of six policies, five responses a prompt, on 200 problems: under 5 MB. Both cases take minutes."""

import base64
import random
from dataclasses import replace

import pytest

from judgerlvr.evaluation.summary import summarise
from judgerlvr.reporting import evaluations
from judgerlvr.reporting.evaluations import Measured
from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.runs import Run
from judgerlvr.runs.manifest import Manifest
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.report_runs import make_records
from tests.helpers.run_folders import step_row

MOST_BYTES = 5_000_000


def policy(name, characters, draw, folder):
    records, results = [], []
    for decoding in (Decoding(n=4, max_tokens=128), Decoding(n=1, temperature=0.0, max_tokens=128)):
        for kind in ("generate", "judge"):
            made = make_records(kind, decoding, 0.5, 60, problems=200, seed=name)
            made = [replace(r, response=base64.b64encode(draw.randbytes(characters * 3 // 4)).decode()) for r in made]
            records += made
            results.append(evaluations._result(summarise(made, decoding)))
    rows = [step_row(step, "generate") for step in range(1, 1001)]
    return Run(folder / name, Manifest(name, "generate"), rows, [Measured("final", results=results, samples=records)])


@pytest.mark.slow
@pytest.mark.parametrize("characters", [200, 4000])
def test_a_page_of_200_problems_and_6_policies_is_small(tmp_path, characters):
    draw = random.Random(0)
    runs = [policy(f"policy-{number}", characters, draw, tmp_path) for number in range(6)]
    assert len(render_page(runs).encode()) < MOST_BYTES
