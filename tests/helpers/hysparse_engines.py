"""vLLM engines on the CPU for tiny HySparse models, and their responses compared with the transformers model's."""

import os

import torch

from judgerlvr.cluster.environment import cpu_sampling
from judgerlvr.hysparse.agreement.comparison import rollout_of
from judgerlvr.hysparse.agreement.measures import agreement, equal_experts
from judgerlvr.hysparse.agreement.trainer_choices import trainer_choices
from tests.helpers.hysparse_models import random_ids

# CPU_ATTN takes head dims from 32 on. 16 blocks of four tokens are two cache pages of the shared pool.
SHAPE = {"head_dim": 32, "select_block": 16, "select_tokens": 64, "sliding_window": 32, "max_position_embeddings": 8192}
# Prefill in chunks of 96 tokens, mixed with decodes of up to 8 requests.
ENGINE = {
    "skip_tokenizer_init": True,
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 1024,
    "block_size": 64,
    "max_num_batched_tokens": 96,
    "max_num_seqs": 8,
    "enable_chunked_prefill": True,
    "enable_prefix_caching": True,
    "disable_log_stats": False,
    "seed": 0,
}
NEW_TOKENS = 150
TOLERANCE = 1e-4
PREEMPTED = "vllm:num_preemptions"


def start(model, folder, **changes):
    for name, value in cpu_sampling(1.0).items():
        os.environ[name] = value
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    from vllm import LLM

    model.save_pretrained(folder)
    return LLM(model=str(folder), **(ENGINE | changes))


def stop(llm):
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    llm.llm_engine.engine_core.shutdown()
    cleanup_dist_env_and_memory()


def generate(llm, prompts, **sampling):
    from vllm import SamplingParams, TokensPrompt

    sampling = {"temperature": 0.0, "max_tokens": NEW_TOKENS, "logprobs": 0, "ignore_eos": True, **sampling}
    params = SamplingParams(detokenize=False, **sampling)
    return llm.generate([TokensPrompt(prompt_token_ids=prompt) for prompt in prompts], params, use_tqdm=False)


def compare(model, prompt, output):
    """(worst difference of a log-probability, tokens that are not the model's greedy ones) of one response."""
    ids = list(output.token_ids)
    with torch.no_grad():
        logits = model(torch.tensor([prompt + ids]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    expected = logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0]
    found = torch.tensor([step[token].logprob for step, token in zip(output.logprobs, ids, strict=True)])
    return (expected - found).abs().max().item(), int((logits.argmax(-1) != torch.tensor(ids)).sum())


def prompts_of(*lengths, shared=(), ids=random_ids):
    """Prompts of ``ids``. Those of ``shared`` begin with the same 130 tokens."""
    common = ids(1, 130, seed=99)[0].tolist()
    plain = [ids(1, length, seed=length)[0].tolist() for length in lengths]
    return plain + [common + ids(1, length, seed=length)[0].tolist() for length in shared]


def assert_equal_to(model, prompts, results):
    compared = [
        compare(model, prompt, output)
        for prompt, result in zip(prompts, results, strict=True)
        for output in result.outputs
    ]
    assert sum(wrong for _, wrong in compared) == 0
    assert max(worst for worst, _ in compared) <= TOLERANCE


def metric(llm, name):
    return next(metric.value for metric in llm.get_metrics() if metric.name == name)


def disturb(model, seed):
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * parameter.std() * torch.randn(parameter.shape, generator=draw)


def update(llm, weights):
    from judgerlvr.engine.private.weights import reload_cpu_weights

    llm.collective_rpc(lambda worker: reload_cpu_weights(worker.model_runner, weights))
    assert llm.reset_prefix_cache()


def assert_every_choice_is_the_models(model, prompts, results):
    for prompt, result in zip(prompts, results, strict=True):
        rollout = rollout_of(prompt, result, model.config)
        expected, log_probs = trainer_choices(model, rollout.ids)
        found = agreement(rollout.choices.blocks, expected.blocks, model.config.selection)
        assert found.equal == 1.0 and not found.differing.any()
        if model.config.expert_layers:
            assert rollout.choices.experts.shape == (len(model.config.expert_layers), len(rollout.ids), 2)
            assert rollout.choices.experts.unique().tolist() == [0, 1, 2, 3]
            assert equal_experts(rollout.choices.experts, expected.experts).all()
        assert (log_probs[len(prompt) - 1 :] - rollout.log_probs).abs().max() <= TOLERANCE
