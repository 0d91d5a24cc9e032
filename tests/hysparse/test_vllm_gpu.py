"""HySparse in vLLM on a GPU, in bfloat16, against the transformers model in float32 on the CPU.

    python -m pytest -c /dev/null --rootdir . --noconftest -p no:cacheprovider tests/hysparse/test_vllm_gpu.py

Both see the same rounded weights. An engine's log-probabilities may be off by what the transformers model is when it
computes the same tokens in bfloat16 on the GPU, half as much again, and 0.01.
"""

import gc
import os

import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
# Without flashinfer installed vLLM's own sampler must be named before vLLM is imported.
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
pytest.importorskip("vllm")

from judgerlvr.hysparse.model.modeling import HySparseForCausalLM  # noqa: E402
from judgerlvr.hysparse.ops.segments import whole  # noqa: E402
from tests.helpers.hysparse_loops import crowded_share  # noqa: E402
from tests.helpers.hysparse_models import make_model, random_ids  # noqa: E402

SHAPE = {
    "num_hidden_layers": 7,
    "sparse_ratio": 2,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 512,
    "select_block": 64,
    "select_tokens": 256,
    "sliding_window": 128,
    "max_position_embeddings": 4096,
}
# Prefill in chunks of 512 tokens beside decodes of up to 8 requests. Captured batches of fewer requests are padded.
ENGINE = {
    "skip_tokenizer_init": True,
    "dtype": "bfloat16",
    "max_model_len": 4096,
    "max_num_batched_tokens": 512,
    "max_num_seqs": 8,
    "kv_cache_memory_bytes": 1 << 30,
    "gpu_memory_utilization": 0.1,
    "seed": 0,
}
SIZES = {"cudagraph_capture_sizes": [1, 2, 4, 8]}
MODES = {
    "eager": {"enforce_eager": True},
    "graphs": {"compilation_config": {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY", **SIZES}},
    "compiled": {"compilation_config": {"cudagraph_mode": "FULL_AND_PIECEWISE", **SIZES}},
}
LENGTHS = [3, 64, 65, 130, 200, 700, 1500, 2000]
SHARED, NEW_TOKENS = 640, 48
SLACK, FLOOR = 1.5, 0.01


def prompts():
    """Random prompts, and two more that begin with the longest one's tokens, after it was cached."""
    plain = [random_ids(1, length, seed=length)[0].tolist() for length in LENGTHS]
    return plain + [plain[-1][:SHARED] + random_ids(1, length, seed=length)[0].tolist() for length in (70, 300)]


def rounded_model(**changes):
    """float32 on the CPU, with weights that bfloat16 holds. RoPE's frequencies, which are no weights, stay exact."""
    torch.set_num_threads(min(8, os.cpu_count() or 1))
    made = make_model("small", initializer_range=0.06, **{**SHAPE, **changes})
    for parameter in made.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    return made


def saved(model, path):
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model():
    return rounded_model()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return saved(model, tmp_path_factory.mktemp("hysparse"))


class Answers:
    """What one engine said: token ids and their log-probabilities of each prompt, and how it decoded."""

    def __init__(self, folder, mode):
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from vllm import LLM, SamplingParams, TokensPrompt

        from judgerlvr.hysparse.vllm import register

        register()
        llm = LLM(model=str(folder), **ENGINE, **MODES[mode])
        self.decodes_as = llm.collective_rpc(decode_mode)[0]
        self.plans_ahead = llm.collective_rpc(plans_ahead)[0]
        self.groups = llm.collective_rpc(cache_groups)[0]
        sampling = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS, logprobs=0, ignore_eos=True, detokenize=False)
        given = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts()]
        results = llm.generate(given, sampling, use_tqdm=False)
        outputs = [result.outputs[0] for result in results]
        self.cached = [result.num_cached_tokens for result in results]
        self.ids = [list(output.token_ids) for output in outputs]
        self.logprobs = [
            torch.tensor([step[token].logprob for step, token in zip(output.logprobs, output.token_ids, strict=True)])
            for output in outputs
        ]
        stop(llm)


def decode_mode(worker):
    return worker.model_runner.compilation_config.cudagraph_mode.decode_mode().name


def cache_groups(worker):
    return len(worker.model_runner.kv_cache_config.kv_cache_groups)


def plans_ahead(worker):
    """Of each cache group that FlashAttention serves, whether its builder makes a schedule ahead of the step."""
    groups = [group for of_cache in worker.model_runner.attn_groups for group in of_cache]
    builders = [group.get_metadata_builder() for group in groups]
    return [builder.aot_schedule for builder in builders if hasattr(builder, "aot_schedule")]


def stop(llm):
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    llm.llm_engine.engine_core.shutdown()
    cleanup_dist_env_and_memory()
    gc.collect()


@pytest.fixture(scope="module")
def answers(folder):
    """Of each mode, made when first asked for."""
    made = {}

    def of(mode):
        if mode not in made:
            made[mode] = Answers(folder, mode)
        return made[mode]

    return of


def logprobs_of(model, prompt, ids):
    """The transformers model's log-probabilities of a response's tokens."""
    device = next(model.parameters()).device
    with torch.no_grad():
        logits = model(torch.tensor([prompt + ids], device=device), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return logits.float().log_softmax(-1).cpu().gather(-1, torch.tensor(ids)[:, None])[:, 0]


def test_selection_bites(model):
    crowded = [crowded_share(whole(1, len(prompt)), model.config.selection) for prompt in prompts()]
    assert sum(share >= 0.5 for share in crowded) >= 4


def check_logprobs(found, model, folder):
    """Assert that the engine is about as near to ``model`` as transformers is in the engine's type."""
    rounded = HySparseForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to("cuda").eval()
    gaps, control = [], []
    for prompt, ids, logprobs in zip(prompts(), found.ids, found.logprobs, strict=True):
        expected = logprobs_of(model, prompt, ids)
        gaps.append((logprobs - expected).abs())
        control.append((logprobs_of(rounded, prompt, ids) - expected).abs())
    gap, own = torch.cat(gaps).mean().item(), torch.cat(control).mean().item()
    each = ", ".join(f"{one.mean():.4f} ({two.mean():.4f})" for one, two in zip(gaps, control, strict=True))
    print(f"mean gap {gap:.4f}, transformers in bfloat16 {own:.4f}; by prompt {each}")
    assert gap <= SLACK * own + FLOOR


@pytest.mark.parametrize("mode", MODES)
def test_log_probabilities_are_the_models(model, folder, answers, mode):
    check_logprobs(answers(mode), model, folder)


def test_full_layers_of_both_backends_are_one_kind(answers):
    """Three full layers, the last of them FlashAttention's, are one cache group, and four windows are another."""
    assert answers("eager").groups == 2


def test_windows_do_not_reach_a_model_of_full_layers(tmp_path):
    """Its configuration still has a window, which vLLM could take for every layer's."""
    full = rounded_model(sparse_ratio=0)
    check_logprobs(Answers(saved(full, tmp_path), "eager"), full, tmp_path)


def test_captured_windows_plan_in_the_step(tmp_path):
    """No full layer is FlashAttention's here: a schedule made ahead would be another cache group's."""
    windows = rounded_model(closing_full=False, num_hidden_layers=6)
    found = Answers(saved(windows, tmp_path), "graphs")
    assert (found.decodes_as, found.plans_ahead) == ("FULL", [False, False])
    check_logprobs(found, windows, tmp_path)


def test_captured_decoding_says_what_eager_decoding_says(answers):
    """Up to where rounding makes greedy choices part: a batch padded for a graph is multiplied in other tiles."""
    captured, eager = answers("graphs"), answers("eager")
    assert eager.decodes_as == "NONE"
    gaps, same = [], 0
    for one, other, ones, others in zip(captured.ids, eager.ids, captured.logprobs, eager.logprobs, strict=True):
        until = next((n for n, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), len(one))
        gaps.append((ones - others)[:until].abs())
        same += until
    print(f"{same} of {sum(map(len, eager.ids))} tokens before the first that differs")
    assert torch.cat(gaps).mean() <= 0.05
    assert same >= 0.5 * sum(map(len, eager.ids))


@pytest.mark.parametrize("mode", ["graphs", "compiled"])
def test_decoding_is_captured(answers, mode):
    assert answers(mode).decodes_as == "FULL"


def test_cached_prefixes_were_used(answers):
    assert all(cached >= 512 for cached in answers("eager").cached[-2:])


if __name__ == "__main__":
    raise SystemExit(pytest.main(["-c", os.devnull, "--rootdir", ".", "--noconftest", "-sv", __file__]))
