"""Router replay for Qwen3-MoE: experts on their way to the trainer, and what it does with them."""

import numpy as np
import pytest
import torch

from judgerlvr.engine.devices import EXPERTS, TRAINING, stage_environment
from judgerlvr.engine.rollout_experts.rows import from_parameters, packed, to_parameters, unpacked
from judgerlvr.engine.verl_config import agent_loops_file, render, write_agent_loops
from rewards.errors import InputError
from tests.helpers.training_engines import batch_of, gradients_of, log_probs_of, make_engine, one_process, plain_policy

LENGTHS = [40, 23]
LAYERS, TOP_K, COUNT = 2, 2, 8


@pytest.mark.parametrize("experts", [8, 256, 257, 512])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("top_k", [1, 2])
def test_experts_survive_the_way_of_a_sample(experts, layers, top_k):
    chosen = np.random.default_rng(0).integers(0, experts, (11, layers, top_k)).astype(np.int16)
    chosen[0] = experts - 1
    carried = packed(from_parameters(to_parameters(chosen)), 12, experts)
    bytes_a_token = -(-layers * top_k // 2) * 2 if experts <= 256 else layers * top_k * 2
    assert carried[0].nbytes == bytes_a_token
    found = unpacked(torch.from_numpy(carried), layers, top_k, experts)
    expected = np.concatenate([chosen, chosen[-1:]])
    assert torch.equal(found, torch.from_numpy(expected).transpose(0, 1).long())


@pytest.mark.parametrize("rows", [None, 4, 6])
def test_experts_of_another_number_of_tokens_are_an_error(rows):
    with pytest.raises(ValueError, match="experts of 5 tokens, not"):
        packed(None if rows is None else np.zeros((rows, 1, 2)), 6, COUNT)


@pytest.mark.parametrize("parameters", [None, {}])
def test_an_engine_without_the_connector_is_an_error(parameters):
    with pytest.raises(ValueError, match="KV connector is missing"):
        from_parameters(parameters)


@pytest.fixture(scope="module")
def group():
    with one_process():
        yield


@pytest.fixture
def policy(group, tmp_path):
    return plain_policy("qwen3_moe", tmp_path), tmp_path


def choices(model, other):
    """Of each sample, the model's own experts as carried; ``other``: of each token the next expert."""
    rows = []
    for sample in batch_of(LENGTHS)["input_ids"].unbind():
        with torch.no_grad():
            logits = model(sample[None], output_router_logits=True).router_logits
        chosen = torch.stack([layer.topk(TOP_K, dim=-1).indices for layer in logits], dim=1)
        chosen = (chosen + 1) % COUNT if other else chosen
        rows.append(torch.from_numpy(packed(chosen[:-1].numpy(), len(sample), COUNT)))
    return rows


def test_updates_use_the_given_experts(policy):
    """Own experts, given, change nothing; others change the gradient of every router."""
    model, folder = policy
    plain, norm = gradients_of(make_engine(folder, TRAINING), batch_of(LENGTHS))
    engine = make_engine(folder, EXPERTS)
    own, other = (gradients_of(engine, batch_of(LENGTHS, carried=choices(model, o)))[0] for o in (False, True))
    for name, expected in plain.items():
        # A sample's last token has the experts of the one before, and what follows it is another sample.
        assert (own[name] - expected).norm() <= 0.1 * norm, name
    moved = [(other[name] - own[name]).norm() / own[name].norm() for name in own if "gate.weight" in name]
    assert len(moved) == LAYERS and min(moved) > 0.1


def test_log_probabilities_are_those_of_the_given_experts(policy):
    """The naive twin visits each token's experts in a loop, one sample at a time."""
    model, folder = policy
    carried = choices(model, other=True)
    batch = batch_of(LENGTHS, carried=carried)
    found = log_probs_of(make_engine(folder, EXPERTS), batch)
    for number, (ids, rows) in enumerate(zip(batch["input_ids"].unbind(), carried, strict=True)):
        with torch.no_grad():
            given = unpacked(rows, LAYERS, TOP_K, COUNT)
            for layer, experts in zip(model.model.layers, given, strict=True):
                layer.mlp.forward = lambda hidden, mlp=layer.mlp, experts=experts: by_loop(mlp, hidden, experts)
            log_p = model(ids[None]).logits[0].log_softmax(-1)
        expected = log_p[:-1].gather(1, ids[1:, None])[:, 0]
        torch.testing.assert_close(found["log_probs"].unbind()[number][:-1], expected, rtol=1e-5, atol=1e-5)


def test_differing_experts_are_counted_by_token(policy):
    model, folder = policy
    engine = make_engine(folder, EXPERTS)
    own, other = (log_probs_of(engine, batch_of(LENGTHS, carried=choices(model, o))) for o in (False, True))
    for sample, moved in zip(own["differing_experts"].unbind(), other["differing_experts"].unbind(), strict=True):
        assert not sample[:-1].any()
        # The next expert of each may happen to be the same set; of few tokens.
        assert (moved[:-1] > 0).double().mean() > 0.5


@pytest.fixture
def moe_stage(make_stage, tmp_path):
    def make(model_type="qwen3_moe", device="cpu"):
        (tmp_path / "init").mkdir()
        config = f'{{"model_type": "{model_type}", "num_local_experts": 8}}'
        (tmp_path / "init" / "config.json").write_text(config)
        return make_stage(device=device, overrides=["model.replay_experts=true"])

    return make


def test_a_cpu_rollout_returns_experts_by_our_connector(moe_stage):
    stage = moe_stage()
    rollout = render(stage).actor_rollout_ref.rollout
    assert rollout.engine_kwargs.vllm.kv_transfer_config.kv_connector == "ExpertConnector"
    assert not rollout.enable_rollout_routing_replay
    write_agent_loops(stage)
    assert "experts: 8" in agent_loops_file(stage).read_text()
    assert stage_environment(stage)["VERL_ENGINE_VENDOR"] == EXPERTS


def test_a_gpu_rollout_returns_experts_by_vllms_own_way(moe_stage):
    rollout = render(moe_stage(device="gpu")).actor_rollout_ref.rollout
    assert rollout.enable_rollout_routing_replay
    assert "kv_transfer_config" not in rollout.engine_kwargs.vllm


def test_replay_asked_of_another_policy_is_refused(moe_stage):
    with pytest.raises(InputError, match="policy is of type qwen3, not qwen3_moe; unset it"):
        render(moe_stage("qwen3"))


def by_loop(mlp, hidden, experts):
    rows = hidden[0]
    out = []
    for row, chosen in zip(rows, experts, strict=True):
        weights = (mlp.gate.weight @ row).softmax(-1)[chosen]
        weights = weights / weights.sum()
        parts = []
        for weight, expert in zip(weights, chosen, strict=True):
            gate, up = (mlp.experts.gate_up_proj[expert] @ row).chunk(2)
            parts.append(weight * (mlp.experts.down_proj[expert] @ (torch.nn.functional.silu(gate) * up)))
        out.append(torch.stack(parts).sum(0))
    return torch.stack(out)[None]
