"""HySparse in a running vLLM engine on the CPU, against the transformers model. Each model has one engine for all
tests.
"""

import random

import pytest

from judgerlvr.hysparse.ops.segments import whole
from tests.helpers.hysparse_engines import (
    ENGINE,
    NEW_TOKENS,
    PREEMPTED,
    SHAPE,
    TOLERANCE,
    assert_equal_to,
    compare,
    disturb,
    generate,
    metric,
    prompts_of,
    start,
    stop,
    update,
)
from tests.helpers.hysparse_loops import crowded_share
from tests.helpers.hysparse_models import make_model

pytestmark = pytest.mark.engine


# Model, its options, and the engine's options. 24 pages make requests preempt other requests.
OPTIONS = {"qk_norm": True, "sinks_full": True, "gate_full": True, "gate_bias": True, "attention_bias": True}
MODELS = {
    "dense": ("tiny", {}, {}),
    "experts": ("tiny-moe", OPTIONS | {"tie_word_embeddings": True}, {"num_gpu_blocks_override": 24}),
}


@pytest.fixture(scope="module", params=MODELS)
def served(request, tmp_path_factory):
    """(model, engine). One engine lives at a time."""
    name, options, changes = MODELS[request.param]
    model = make_model(name, **SHAPE, **options)
    llm = start(model, tmp_path_factory.mktemp(request.param), **changes)
    yield model, llm
    stop(llm)


def only(name):
    return pytest.mark.parametrize("served", [name], indirect=True)


def assert_selection_bites(model, prompts, new=NEW_TOKENS):
    lengths = [len(prompt) + new for prompt in prompts]
    crowded = [length * crowded_share(whole(1, length), model.config.selection) for length in lengths]
    assert sum(crowded) / sum(lengths) >= 0.5


@only("dense")
def test_greedy_tokens_are_the_models(served):
    """1,800 tokens: prompts cut into chunks, batches of prefill and decode, shared prefixes, cached prefixes."""
    model, llm = served
    prompts = prompts_of(7, 65, 200, 300, shared=(40, 41))
    assert_selection_bites(model, prompts)
    assert max(map(len, prompts)) > 3 * ENGINE["max_num_batched_tokens"]
    for cached in (1, 4):
        results = generate(llm, prompts)
        assert sum(len(result.outputs[0].token_ids) for result in results) == 900
        assert_equal_to(model, prompts, results)
        assert sum(result.num_cached_tokens > 0 for result in results) >= cached


@only("dense")
def test_samples_of_one_prompt_have_the_models_log_probabilities(served):
    model, llm = served
    prompts = prompts_of(90)
    assert_selection_bites(model, prompts, 120)
    (result,) = generate(llm, prompts, n=8, temperature=1.0, max_tokens=120)
    assert len({tuple(output.token_ids) for output in result.outputs}) == 8
    assert max(compare(model, prompts[0], output)[0] for output in result.outputs) <= TOLERANCE


@only("experts")
def test_preempted_requests_go_on_as_before(served):
    model, llm = served
    prompts = prompts_of(60, 61, 62, 63, 64, 65)
    before = metric(llm, PREEMPTED)
    results = generate(llm, prompts)
    assert metric(llm, PREEMPTED) > before
    assert_equal_to(model, prompts, results)


def test_two_weight_updates_reach_every_tensor(served):
    """Names, and buckets of experts, as verl's trainer sends them."""
    from verl.workers.engine.fsdp.utils import unfuse_moe_params

    model, llm = served
    prompts = prompts_of(150, 70)
    for seed in (1, 2):
        disturb(model, seed)
        update(llm, list(unfuse_moe_params(model.state_dict().items(), model.config.model_type)))
        assert_equal_to(model, prompts, generate(llm, prompts, max_tokens=60))


@only("dense")
def test_weights_may_come_in_parts_and_any_order(served):
    model, llm = served
    prompts = prompts_of(100)
    disturb(model, 3)
    items = list(model.state_dict().items())
    weights = random.Random(0).sample(items, len(items))

    def in_three_parts(worker):
        from vllm.config import set_current_vllm_config
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

        target = worker.model_runner.get_model()
        with set_current_vllm_config(worker.model_runner.vllm_config):
            initialize_layerwise_reload(target)
            for part in range(3):
                target.load_weights(weights[part::3])
            finalize_layerwise_reload(target, worker.model_runner.model_config)

    llm.collective_rpc(in_three_parts)
    llm.reset_prefix_cache()
    assert_equal_to(model, prompts, generate(llm, prompts, max_tokens=60))


def test_cache_holds_twice_the_tokens_of_full_attention(tmp_path):
    """Of 2 full and 4 window layers. vLLM cuts layers into groups of one size: 3 and 4, as in the preset, leave one
    of 8 places empty, and the ratio is 1.7."""
    sizes = []
    for kinds in (["full_attention", "sliding_attention", "sliding_attention"] * 2, ["full_attention"] * 6):
        model = make_model("tiny", **SHAPE, num_hidden_layers=6, layer_types=kinds)
        llm = start(model, tmp_path / kinds[1], max_model_len=4096)
        sizes.append(llm.llm_engine.vllm_config.cache_config.kv_cache_size_tokens)
        stop(llm)
    assert sizes[0] >= 2 * sizes[1]


def test_hybrid_manager_off_is_refused_when_the_engine_starts(tmp_path):
    with pytest.raises(ValueError, match=r"HySparse: the hybrid KV cache manager is off.*set disable_hybrid"):
        start(make_model("tiny", **SHAPE), tmp_path, disable_hybrid_kv_cache_manager=True)
