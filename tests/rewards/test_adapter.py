"""The adapter as verl calls it: loaded by path, awaited in an event loop, with the same keys for every sample."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rewards.auditing.audit import Audit
from rewards.errors import InputError
from rewards.types import Problem, Reason, Result
from rewards.verdict import grade_verdict

ADAPTER = Path(__file__).parents[2] / "rewards" / "verl_adapter.py"


def load(name: str = "custom_module_1"):
    spec = importlib.util.spec_from_file_location(name, ADAPTER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score(function: str = "compute_score", completion: str = "\\boxed{7}", truth: str = "7", info=None, **settings):
    call = getattr(load(), function)(
        data_source="x", solution_str=completion, ground_truth=truth, extra_info=info or {}, **settings
    )
    return asyncio.run(call)


def test_rows_of_both_kinds_carry_the_same_keys():
    answered, cut = score(), score(completion="\\boxed{")
    judged = score(completion="\\boxed{Yes}", truth="1", info={"kind": "judge"})
    assert set(answered) == set(cut) == set(judged)


def test_kind_of_the_row_chooses_the_reward():
    assert score(completion="\\boxed{No}", truth="0", info={"kind": "judge"})["score"] == 1.0


def test_verdict_words_and_extraction_come_from_settings():
    assert score("judge_score", "\\boxed{ja}", "1", words=["ja", "nein"])["score"] == 1.0
    assert score("generate_score", "So the answer is 7", extraction="lenient", workers=1)["score"] == 1.0


@pytest.mark.parametrize("truth", ["", "yes", "2", "True"])
def test_a_judge_row_with_another_label_is_an_input_error(truth):
    with pytest.raises(InputError):
        score("judge_score", "\\boxed{Yes}", truth)


@pytest.mark.parametrize("words", [("Yes",), ("Yes", "Yes"), ("Yes", ""), ("Yes", " No"), "YN"])
def test_useless_verdict_words_are_an_input_error(words):
    with pytest.raises(InputError):
        grade_verdict("\\boxed{Yes}", True, words)


def test_loading_twice_shares_one_pool():
    first, second = load("custom_module_1"), load("custom_module_2")
    assert first.shared_pool("rewards.math:verify", 1, "strict", False) is second.shared_pool(
        "rewards.math:verify", 1, "strict", False
    )


def test_it_loads_without_the_package_installed_and_without_verl_or_torch(tmp_path):
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('m', {str(ADAPTER)!r})\n"
        "m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m)\n"
        "import asyncio\n"
        "print(asyncio.run(m.compute_score('x', r'\\boxed{7}', '7'))['score'])\n"
        "assert not {'verl', 'torch', 'sympy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "1.0\n", done.stderr


def test_a_disputed_reward_is_written_down(tmp_path):
    wrongly_rewarded = Result(1.0, Reason.CORRECT)
    parts = Audit(share=1.0, folder=tmp_path).check(Problem("p9", "", "7"), "\\boxed{8}", wrongly_rewarded)
    row = json.loads(next(tmp_path.glob("disagreements-*.jsonl")).read_text())
    assert (parts["disagrees"], row["id"], row["second"]) == (1.0, "p9", False)


def test_a_slow_reward_is_written_down(tmp_path):
    Audit(share=0.0, folder=tmp_path).check(Problem("p", "", "7"), "\\boxed{7}", Result(1.0, Reason.CORRECT, {}, 3.0))
    assert len(list(tmp_path.glob("slow-*.jsonl"))) == 1


def test_the_audit_takes_its_share():
    audit, right = Audit(share=0.1), Result(1.0, Reason.CORRECT)
    taken = sum(audit.check(Problem(str(n), "", "7"), "\\boxed{7}", right)["audited"] for n in range(3000))
    assert 200 < taken < 400


@pytest.mark.engine
def test_it_works_inside_a_ray_actor():
    import ray

    ray.init(num_cpus=1, include_dashboard=False)
    try:

        @ray.remote
        class Actor:
            async def score(self, truth: str) -> float:
                from rewards.verl_adapter import generate_score

                return (await generate_score("x", "\\boxed{(x+1)^2}", truth, workers=1))["score"]

        actor = Actor.remote()
        assert ray.get([actor.score.remote(truth) for truth in ("x^2+2x+1", "x^2+2x+2")]) == [1.0, 0.0]
    finally:
        ray.shutdown()
