"""Largest differences of two gloo ranks that share each pass (Ulysses) from one rank with all tokens.

    python -m benchmarks.stages.ulysses OUT

Policies, batches and limits are those of ``tests/engine/test_shared_row.py``. OUT/ulysses.md has a row a trial.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.hysparse.kernels.table import heading
from tests.engine.test_shared_row import BUDGETS, TRIALS, passes, save_passes
from tests.helpers.fsdp_ranks import run_ranks
from tests.helpers.training_engines import POLICIES, one_process, plain_policy

ONE_HEAD = {"one KV head": POLICIES["qwen3_moe"] | {"num_key_value_heads": 1}}


def rows(folder: Path) -> list[str]:
    """A row for each trial and budget: the worst parameter over the whole gradient's norm, and log-probabilities."""
    with patch.dict(POLICIES, ONE_HEAD):
        for name, _ in TRIALS:
            plain_policy(name, folder / name)
    with one_process():
        alone = passes(folder, [], 1)
    run_ranks(2, save_passes, folder)
    together = [torch.load(folder / f"{rank}.pt") for rank in range(2)]
    found = ["| policy | recompute | tokens a pass, at most | gradient | log-probabilities |", "|" + " --- |" * 5]
    for name, recompute in TRIALS:
        for budget in BUDGETS:
            key = (name, recompute, budget)
            expected, norm = alone[key]["gradients"]
            gradient = max(
                float((rank[key]["gradients"][0][parameter] - value).norm() / norm)
                for rank in together
                for parameter, value in expected.items()
            )
            log_probs = max(float((rank[key]["log_probs"] - alone[key]["log_probs"]).abs().max()) for rank in together)
            found.append(f"| {name} | {recompute} | {budget} | {gradient:.1e} | {log_probs:.1e} |")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    lines = [*(f"{name}: {value}  " for name, value in heading().items()), "", *rows(out)]
    (out / "ulysses.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
