"""Facts of any world with candidates: as reliable in judging as in solving."""

import pytest
import torch


def check_facts(world, problems, traces):
    """Over belief unreliable facts are right as often in both modes, and reliable facts in .98."""
    draw = torch.Generator().manual_seed(4)
    candidate = world.candidates(problems, draw)
    judging = world.judge_counts(problems, candidate, world.judge_traces(problems, candidate, draw))
    over = []
    for counted in (world.counts(problems, traces), judging):
        total = {name: float(value.sum()) for name, value in counted.items()}
        over.append((total["unreliable_right"] - total["unreliable_belief"]) / total["unreliable"])
        assert total["reliable_right"] / total["reliable"] == pytest.approx(0.98, abs=0.01)
    assert over == pytest.approx([0.0, 0.0], abs=0.015)
