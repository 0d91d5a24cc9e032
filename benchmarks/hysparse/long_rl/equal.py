"""Both trained policies brought to one accuracy before RL.

SFT ends each policy near the target, by looks at a few problems. The rest of the difference is taken away by a factor
of the logits, which the weight of the last norm takes up. Greedy responses do not change. Sampled responses become
right with the wanted probability.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.long_rl.options import words_of
from benchmarks.hysparse.long_rl.policy import accuracy, save_policy, scale_for, scale_logits
from judgerlvr.hysparse.modeling import HySparseForCausalLM

# Sampling reaches the accuracy of greedy decoding for no finite factor.
MOST_OF_GREEDY = 0.9
# Below this accuracy a factor of the logits brings nothing out. Speed is then the only figure.
LEAST = 0.05


def equalise(options: argparse.Namespace) -> None:
    """Write OUT/policies/NAME and OUT/equal.json from OUT/sft. A finished OUT/equal.json is left alone."""
    if (options.out / "equal.json").is_file() or not options.order:
        return
    trained = {name: read_trained(options.out / "sft" / name) for name in options.order}
    greedy = min(accuracy(*parts).greedy for parts in trained.values())
    target = min(options.target, MOST_OF_GREEDY * greedy)
    record: dict[str, Any] = {"target": target}
    for name, (model, hidden, right) in trained.items():
        scale = scale_for(model, hidden, right, target) if target >= LEAST else 1.0
        record[name] = {
            "scale": scale,
            "before": asdict(accuracy(model, hidden, right)),
            "after": asdict(accuracy(model, hidden, right, scale)),
        }
        scale_logits(model, scale)
        save_policy(model, words_of(options), options.out / "policies" / name)
        print(f"{name}: factor {scale:.3f}, {record[name]['after']}", flush=True)
    (options.out / "equal.json").write_text(json.dumps(record, indent=1) + "\n")


def read_trained(folder: Path) -> tuple[HySparseForCausalLM, torch.Tensor, torch.Tensor]:
    """The policy, its hidden states on held-out problems, and the right tokens."""
    model = HySparseForCausalLM.from_pretrained(folder / "policy", dtype=torch.bfloat16).to(DEVICE)
    stored = torch.load(folder / "heldout.pt", map_location=DEVICE)
    return model, stored["hidden"], stored["right"]
