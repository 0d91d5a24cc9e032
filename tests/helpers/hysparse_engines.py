"""vLLM engines on the CPU for tiny HySparse models, and their responses compared with the transformers model's."""

import os

import torch

from judgerlvr.cluster.environment import cpu_sampling

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
