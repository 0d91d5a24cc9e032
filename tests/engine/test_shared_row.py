"""Two gloo ranks that share the tokens of each pass (Ulysses) against one rank with all tokens."""

import os
from unittest.mock import patch

import pytest
import torch

from judgerlvr.cluster.environment import environment
from judgerlvr.engine.devices import TRAINING
from tests.helpers.fsdp_ranks import run_ranks
from tests.helpers.training_engines import (
    POLICIES,
    batch_of,
    gradients_of,
    log_probs_of,
    make_engine,
    one_process,
    plain_policy,
)

# The whole row has an odd number of tokens, so that one token is padded. The second budget cuts the row into passes.
LENGTHS, BUDGETS = [23, 40, 9, 33], (1000, 64)
TRIALS = [("qwen3", "none"), ("one KV head", "attention")]
SHARING = ["cluster.sequence_parallel=2", "cluster.gpus_per_node=2", "cluster.share_prefixes=false"]


def counted(engine):
    """Tokens of each pass that the first layer's feed-forward sees."""
    seen = []
    layer = engine.module.model.layers[0].mlp
    layer.register_forward_hook(lambda module, given, output: seen.append(given[0].shape[1]))
    return seen


def passes(folder, overrides, ranks):
    """What each trial gives with each budget, which is that of all ranks together."""
    found = {}
    for name, recompute in TRIALS:
        given = [*overrides, f"cluster.recompute={recompute}"]
        engine = make_engine(folder / name, TRAINING, given)
        seen = counted(engine)
        for budget in BUDGETS:
            seen.clear()
            values = log_probs_of(engine, batch_of(LENGTHS, budget // ranks))
            rows = {key: torch.cat(list(values[key].unbind())) for key in ("log_probs", "entropy")}
            rows["tokens"] = list(seen)
            rows["gradients"] = gradients_of(engine, batch_of(LENGTHS, budget // ranks))
            found[name, recompute, budget] = rows
    return found


def save_passes(rank, world, folder):
    with patch.dict(os.environ, environment("cpu", 1.0)):
        from judgerlvr.engine.on_cpu import plugin  # noqa: F401  (verl's platform)

        torch.save(passes(folder, SHARING, world), folder / f"{rank}.pt")
        try:
            make_engine(folder / "qwen3", TRAINING, [*SHARING, "cluster.attention=sdpa"])
        except ValueError as error:
            (folder / f"{rank}.txt").write_text(str(error))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("shared")
    # Fewer KV heads than ranks are copied.
    with patch.dict(POLICIES, {"one KV head": POLICIES["qwen3_moe"] | {"num_key_value_heads": 1}}):
        for name, _ in TRIALS:
            plain_policy(name, made / name)
    return made


@pytest.fixture(scope="module")
def alone(folder):
    with one_process():
        return passes(folder, [], 1)


@pytest.fixture(scope="module")
def together(folder):
    run_ranks(2, save_passes, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("trial", TRIALS)
def test_gradients_equal_those_of_one_rank(alone, together, trial, budget, rank):
    expected, norm = alone[*trial, budget]["gradients"]
    found, _ = together[rank][*trial, budget]["gradients"]
    assert norm > 0.01 and found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-5 * norm, name


@pytest.mark.parametrize("key", ["log_probs", "entropy"])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("trial", TRIALS)
def test_log_probabilities_and_entropies_equal_those_of_one_rank(alone, together, trial, budget, key):
    for found in together:
        torch.testing.assert_close(found[*trial, budget][key], alone[*trial, budget][key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trial", TRIALS)
def test_each_rank_has_half_of_the_row(alone, together, trial):
    whole, padded = alone[*trial, BUDGETS[0]]["tokens"], -(-sum(LENGTHS) // 2)
    assert whole == [sum(LENGTHS)]
    assert [found[*trial, BUDGETS[0]]["tokens"] for found in together] == [[padded], [padded]]


def test_a_worker_refuses_an_attention_without_the_exchange(together, folder):
    assert "sequence_parallel needs" in (folder / "0.txt").read_text()
