"""``vllm serve DIR`` through the OpenAI API: concurrent and streamed requests answer with the model's greedy tokens.

In float32 on a CPU, or on a GPU where there is one.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import AutoTokenizer

from judgerlvr.cluster.environment import cpu_sampling
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.hysparse_models import make_model, random_ids
from tests.helpers.ports import free_port

pytestmark = pytest.mark.engine
SHAPE = {"head_dim": 32, "select_block": 16, "select_tokens": 64, "sliding_window": 32, "max_position_embeddings": 512}
PROMPTS, NEW_TOKENS, THREADS = 200, 16, 8
START_LIMIT = 300
ON_GPU = torch.cuda.is_available()
# float32 is for Triton's attention alone among vLLM's backends on a GPU
DEVICE_OPTIONS = (
    ["--attention-backend", "TRITON_ATTN", "--gpu-memory-utilization", "0.2"] if ON_GPU else ["--enforce-eager"]
)
# Else the window layers' kernel multiplies float32 in 10 bits of mantissa.
EXACT = {"TRITON_F32_DEFAULT": "ieee"}
DEVICE_ENVIRONMENT = EXACT if ON_GPU else cpu_sampling(1.0) | {"OMP_NUM_THREADS": "1"}
NEAR_TIE = 1e-3 if ON_GPU else 0.0  # of a logit: sums run in another order there


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(model, its address) while a server runs."""
    folder, port = tmp_path_factory.mktemp("serve"), free_port()
    model = make_model("tiny", **SHAPE)
    model.save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(base_path()).save_pretrained(folder / "model")
    sizes = {"port": port, "max-num-batched-tokens": 256, "block-size": 32, "max-model-len": 512, "dtype": "float32"}
    options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
    options += ["--return-tokens-as-token-ids", *DEVICE_OPTIONS]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(folder / "model"), *options],
            stdout=log,
            stderr=log,
            env=os.environ | DEVICE_ENVIRONMENT | {"VLLM_NO_USAGE_STATS": "1"},
        )
    try:
        wait_for(server, f"http://127.0.0.1:{port}/health", folder / "log")
        yield model, f"http://127.0.0.1:{port}/v1/completions", str(folder / "model")
    finally:
        server.terminate()
        server.wait()


def wait_for(server, address, log):
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
    pytest.fail(log.read_text()[-3000:])


def complete(served, prompt, stream):
    """Token ids of one greedy completion, as the API names them."""
    _, address, name = served
    body = {
        "model": name,
        "prompt": prompt,
        "max_tokens": NEW_TOKENS,
        "temperature": 0,
        "logprobs": 0,
        "stream": stream,
    }
    request = urllib.request.Request(
        address, json.dumps(body | {"ignore_eos": True}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=START_LIMIT) as answer:
        lines = answer.read().decode().splitlines() if stream else [f"data: {answer.read().decode()}"]
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    tokens = [token for choice in choices if choice["logprobs"] for token in choice["logprobs"]["tokens"]]
    return [int(token.removeprefix("token_id:")) for token in tokens]


def prefix_hits(address):
    """Prompt tokens that the server took from its prefix cache."""
    with urllib.request.urlopen(address.replace("/v1/completions", "/metrics")) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:prefix_cache_hits_total{"))


def prompts():
    """Of 8 to 207 tokens. Every fourth begins with the same 96 tokens."""
    common = random_ids(1, 96, seed=99)[0].tolist()
    plain = [random_ids(1, 8 + index, seed=index)[0].tolist() for index in range(PROMPTS)]
    return [(common + ids)[: max(len(ids), 100)] if index % 4 == 0 else ids for index, ids in enumerate(plain)]


def shortfall(model, prompt, ids):
    """[tokens] How far each token's logit is below the model's largest."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + ids]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return logits.amax(-1) - logits.gather(-1, torch.tensor(ids)[:, None])[:, 0]


def test_two_hundred_concurrent_requests(served):
    given = prompts()
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda pair: complete(served, pair[1], stream=pair[0] % 2 == 0), enumerate(given)))
    short = torch.cat([shortfall(served[0], prompt, ids) for prompt, ids in zip(given, found, strict=True)])
    assert len(short) == PROMPTS * NEW_TOKENS
    print(f"{int((short == 0).sum())} of {len(short)} tokens are the model's; largest shortfall {short.max():.3g}")
    assert int((short > NEAR_TIE).sum()) == 0
    assert prefix_hits(served[1]) > 0
