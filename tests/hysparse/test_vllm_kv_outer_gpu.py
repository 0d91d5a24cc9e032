"""KV-outer kernels inside vLLM on a GPU, in bfloat16, beside union tiles and the transformers model in float32.

    python -m pytest -c /dev/null --rootdir . --noconftest -p no:cacheprovider tests/hysparse/test_vllm_kv_outer_gpu.py

One prompt of two chunks and a rest is prefilled alone: only pieces of 8,192 tokens or more take these kernels.
"""

import os

import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
pytest.importorskip("vllm")
pytest.importorskip("triton")

from judgerlvr.hysparse.model.modeling import HySparseForCausalLM  # noqa: E402
from judgerlvr.hysparse.ops.dispatch import BACKEND_VARIABLE, BY_OVERLAP, UNION  # noqa: E402
from judgerlvr.hysparse.ops.triton.overlap import SharedChoice  # noqa: E402
from judgerlvr.hysparse.ops.triton.reader_lists import ReaderLists  # noqa: E402
from tests.helpers.hysparse_models import random_ids  # noqa: E402
from tests.hysparse.test_vllm_gpu import FLOOR, SLACK, logprobs_of, rounded_model, saved, stop  # noqa: E402

CHUNK, LENGTH, NEW_TOKENS = 8192, 2 * 8192 + 200, 32
SIZES = {"max_position_embeddings": 20_480, "select_tokens": 512}
ENGINE = {
    "skip_tokenizer_init": True,
    "dtype": "bfloat16",
    "max_model_len": 20_480,
    "max_num_batched_tokens": CHUNK,
    "max_num_seqs": 8,
    "kv_cache_memory_bytes": 1 << 30,
    "gpu_memory_utilization": 0.5,
    "enforce_eager": True,
    "seed": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(rounded_model(**SIZES), tmp_path_factory.mktemp("long"))


@pytest.fixture
def forms(monkeypatch):
    """The forms of choices that sparse layers read, in order."""
    seen, made = [], SharedChoice.new_form

    def note(self, q):
        form = made(self, q)
        seen.append(type(form))
        return form

    monkeypatch.setattr(SharedChoice, "new_form", note)
    return seen


def prompt():
    return random_ids(1, LENGTH, seed=3)[0].tolist()


def answer(folder, monkeypatch, backend):
    """Ids and log-probabilities of one response by an engine with ``backend``."""
    monkeypatch.setenv(BACKEND_VARIABLE, backend)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    from vllm import LLM, SamplingParams, TokensPrompt

    from judgerlvr.hysparse.vllm import register

    register()
    llm = LLM(model=str(folder), **ENGINE)
    sampling = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS, logprobs=0, ignore_eos=True, detokenize=False)
    output = llm.generate([TokensPrompt(prompt_token_ids=prompt())], sampling, use_tqdm=False)[0].outputs[0]
    ids = list(output.token_ids)
    chosen = [step[token].logprob for step, token in zip(output.logprobs, ids, strict=True)]
    stop(llm)
    return ids, torch.tensor(chosen)


def gap_of(folder, dtype, ids, logprobs):
    """Mean difference to the transformers model in ``dtype`` on the GPU."""
    model = HySparseForCausalLM.from_pretrained(folder, dtype=dtype).to("cuda").eval()
    return (logprobs_of(model, prompt(), ids) - logprobs).abs().mean().item()


def test_chunks_of_a_long_prompt_take_kv_outer_kernels(folder, forms, monkeypatch):
    ids, logprobs = answer(folder, monkeypatch, BY_OVERLAP)
    served = forms.count(ReaderLists)
    print(f"{served} of {len(forms)} forms are reader lists")
    assert served >= 2 * 2  # two chunks, and two full layers with sparse layers behind them
    monkeypatch.setenv(BACKEND_VARIABLE, UNION)
    exact = HySparseForCausalLM.from_pretrained(folder, dtype=torch.float32).to("cuda").eval()
    expected = logprobs_of(exact, prompt(), ids)
    control = gap_of(folder, torch.bfloat16, ids, expected)
    found = (logprobs - expected).abs().mean().item()
    print(f"mean gap {found:.4f}, transformers in bfloat16 with union tiles {control:.4f}")
    assert found <= SLACK * control + FLOOR


if __name__ == "__main__":
    raise SystemExit(pytest.main(["-c", os.devnull, "--rootdir", ".", "--noconftest", "-sv", __file__]))
