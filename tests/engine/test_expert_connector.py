"""vLLM on the CPU returns the experts of each token of a plain Qwen3-MoE, as transformers chooses them."""

import pytest
import torch

from judgerlvr.engine.rollout_experts.rows import REQUEST, TRANSFER, from_parameters
from tests.helpers.hysparse_engines import generate, start, stop
from tests.helpers.training_engines import plain_policy

pytestmark = pytest.mark.engine
PROMPTS = [list(range(5, 45)), list(range(5, 45)), list(range(100, 103)), list(range(200, 350))]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """(model whose middle layer is dense, prompts with responses and experts): alone, from cache, together."""
    folder = tmp_path_factory.mktemp("policy")
    model = plain_policy("qwen3_moe-mixed", folder)
    llm = start(model, folder, kv_transfer_config=TRANSFER, async_scheduling=False)
    try:
        asked = {"extra_args": REQUEST, "max_tokens": 8}
        outputs = [output for prompt in PROMPTS for output in generate(llm, [prompt], **asked)]
        together = generate(llm, PROMPTS, **asked)
        unasked = generate(llm, PROMPTS[:1], max_tokens=2)
    finally:
        stop(llm)
    assert unasked[0].kv_transfer_params is None
    return model, [
        (prompt + list(output.outputs[0].token_ids), from_parameters(output.kv_transfer_params))
        for prompt, output in zip(PROMPTS * 2, outputs + together, strict=True)
    ]


def test_every_token_but_the_last_has_the_experts_that_transformers_chooses(answers):
    model, found = answers
    for ids, experts in found:
        with torch.no_grad():
            logits = model(torch.tensor([ids[:-1]]), output_router_logits=True).router_logits
        expected = torch.stack([layer.topk(2, dim=-1).indices for layer in logits], dim=1)
        assert experts.shape == (len(ids) - 1, 3, 2)
        same = torch.from_numpy(experts[:, [0, 2]].copy()).sort(-1).values == expected.sort(-1).values
        assert same.all(-1).double().mean() > 0.99
