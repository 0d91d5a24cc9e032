"""Choices that a running vLLM engine returns with its requests, on the CPU, against the transformers model."""

import pytest

from judgerlvr.hysparse.replay.rollout_choices import REQUEST, TRANSFER
from tests.helpers.hysparse_engines import (
    PREEMPTED,
    SHAPE,
    assert_every_choice_is_the_models,
    generate,
    metric,
    start,
    stop,
)
from tests.helpers.hysparse_models import NAMES, make_model, random_ids

pytestmark = pytest.mark.engine
NEW = 100


# Models, the number of ranks of each, and the seed of its weights. With two ranks, each rank writes the choices of its
# own KV head. At seed 0 two experts tie to seven digits, so the order of a sum over ranks decides.
SERVED = [(name, 1, 0) for name in NAMES] + [("tiny-moe", 2, 2)]


@pytest.fixture(scope="module", params=SERVED, ids=str)
def served(request, tmp_path_factory):
    """(model, engine) with pages for 3 or 4 of the requests, so that some are preempted."""
    name, ranks, seed = request.param
    model = make_model(name, seed=seed, **SHAPE)
    changes = {"kv_transfer_config": TRANSFER, "async_scheduling": False, "num_gpu_blocks_override": 24}
    changes |= {"tensor_parallel_size": ranks}
    llm = start(model, tmp_path_factory.mktemp("replay"), **changes)
    yield model, llm
    stop(llm)


def test_eight_samples_of_one_prompt_others_with_its_prefix_and_preempted_ones(served):
    """Twice: in the second round prompts are in the cache, whose slots hold what the first round chose."""
    model, llm = served
    prompt = random_ids(1, 200, seed=5)[0].tolist()
    prompts = [prompt] * 8 + [prompt[:130] + random_ids(1, 40, seed=7)[0].tolist(), prompt[:70]]
    before, cached = metric(llm, PREEMPTED), 0
    for _ in range(2):
        results = generate(llm, prompts, temperature=1.0, max_tokens=NEW, extra_args=REQUEST)
        assert len({tuple(result.outputs[0].token_ids) for result in results}) == len(prompts)
        assert_every_choice_is_the_models(model, prompts, results)
        cached += sum(result.num_cached_tokens > 0 for result in results)
    assert metric(llm, PREEMPTED) > before
    assert cached >= len(prompts)


def test_prompts_in_chunks_beside_decoding_requests(served):
    model, llm = served
    prompts = [random_ids(1, length, seed=length)[0].tolist() for length in (300, 7, 150)]
    results = generate(llm, prompts, temperature=1.0, max_tokens=60, extra_args=REQUEST)
    assert_every_choice_is_the_models(model, prompts, results)


def test_a_request_that_does_not_ask_gets_none(served):
    _, llm = served
    (result,) = generate(llm, [random_ids(1, 20)[0].tolist()], max_tokens=3)
    assert result.kv_transfer_params is None
