"""``judgerlvr.plan --phases`` and a dry run for GPUs print the same plan, and refuse the same with the same line."""

import pytest

from judgerlvr import plan
from judgerlvr.stage2_generate import main as stage2

TINY, GPU = "configs/tiny.yaml", ["cluster.device=gpu", "planning.card=h100"]
CHANGES = {
    "": "verdict: fits",
    "model.replay_experts=true": "verdict: fits",
    "cluster.rollout_engine.max_num_seqs=4": "(4.0 full sequences at once",
    "generate.max_response_tokens=100000": "context of 512 tokens",
    "planning.cpus=4": "Ray offers 4",
    "engine.trainer.n_gpus_per_node=8": "is set by other configuration keys",
    "cluster.rollout_engine.max_num_seq=4": "did you mean max_num_seqs",
    "cluster.rollout_engine.kv_cache_memory_bytes=80000000000": "the stage does not fit: rollout",
    "cluster.rollout_engine.max_num_seqs=few": "give a whole number",
}


@pytest.mark.parametrize("change", CHANGES)
def test_both_say_the_same(change, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = plan.main([TINY, "--phases", *GPU, *change.split()])
    planned = capsys.readouterr()
    assert stage2(["--dry-run", "--config", TINY, *GPU, *change.split()]) == ended
    dry = capsys.readouterr()
    assert CHANGES[change] in planned.out + planned.err
    assert planned.out in dry.out and planned.err == dry.err
