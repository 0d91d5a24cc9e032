"""A budget of other runs ends a run at the same step, beside the others or afterwards."""

import json
from itertools import accumulate

import pytest

from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.metrics import GENERATED_TOKENS, MEAN_TOKENS, METRICS, StepRow
from judgerlvr.runs.others_tokens import OthersTokens, tokens_of


def run_so_far(folder, totals, over=False):
    """A run folder with ``totals`` tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        StepRow(step, "generate", 1.0, {MEAN_TOKENS.name: 1.0, GENERATED_TOKENS.name: float(total)}).to_json()
        for step, total in enumerate(totals, start=1)
    ]
    (folder / METRICS).write_text("".join(f"{row}\n" for row in rows))
    checkpoint = folder / "checkpoints" / f"global_step_{len(totals)}"
    if over:
        checkpoint.mkdir(parents=True)
        (checkpoint / SEAL).write_text(json.dumps({"generated_tokens": totals[-1]}))
    manifest = {"name": folder.name, "export": f"checkpoints/{checkpoint.name}/policy" if over else None}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_run_that_has_not_begun_has_no_tokens(tmp_path):
    assert tokens_of([tmp_path / "nothing"]) == OthersTokens(0, False)


def test_runs_add_up_and_are_final_when_all_are_over(tmp_path):
    run_so_far(tmp_path / "judge", [10, 25], over=True)
    run_so_far(tmp_path / "generate", [7, 14])
    both = [tmp_path / "judge", tmp_path / "generate"]
    assert tokens_of(both) == OthersTokens(39, False)
    run_so_far(tmp_path / "generate", [7, 14, 20], over=True)
    assert tokens_of(both) == OthersTokens(45, True)


@pytest.mark.parametrize("own_step", [3, 7, 10, 45, 100])
def test_beside_and_afterwards_end_at_the_same_step(tmp_path, own_step):
    totals = list(accumulate([9, 4, 11, 6, 15]))
    afterwards = OthersTokens(totals[-1], True)
    steps_afterwards = next(n for n in range(1, 99) if not afterwards.allows(n * own_step))
    seen = [tokens_of([tmp_path])]
    for done in range(1, len(totals) + 1):
        run_so_far(tmp_path, totals[:done], over=done == len(totals))
        seen.append(tokens_of([tmp_path]))
    budgets, budget, step = iter(seen[1:]), seen[0], 1
    while (allowed := budget.allows(step * own_step)) is not False:
        if allowed is None:
            budget = next(budgets)
        else:
            step += 1
    assert step == steps_afterwards
