"""HySparse in a running vLLM engine on the CPU, against the transformers model. Each model has one engine for all
tests.
"""

import random

import pytest
import torch

from judgerlvr.hysparse.ops.segments import whole
from tests.helpers.hysparse_engines import ENGINE, NEW_TOKENS, SHAPE, compare, generate, start, stop
from tests.helpers.hysparse_loops import crowded_share
from tests.helpers.hysparse_models import make_model, random_ids

pytestmark = pytest.mark.engine
TOLERANCE = 1e-4


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


def prompts_of(*lengths, shared=()):
    """Random prompts. Those of ``shared`` begin with the same 130 tokens."""
    common = random_ids(1, 130, seed=99)[0].tolist()
    plain = [random_ids(1, length, seed=length)[0].tolist() for length in lengths]
    return plain + [common + random_ids(1, length, seed=length)[0].tolist() for length in shared]


def assert_equal_to(model, prompts, results):
    compared = [
        compare(model, prompt, output)
        for prompt, result in zip(prompts, results, strict=True)
        for output in result.outputs
    ]
    assert sum(wrong for _, wrong in compared) == 0
    assert max(worst for worst, _ in compared) <= TOLERANCE


def assert_selection_bites(model, prompts, new=NEW_TOKENS):
    lengths = [len(prompt) + new for prompt in prompts]
    crowded = [length * crowded_share(whole(1, length), model.config.selection) for length in lengths]
    assert sum(crowded) / sum(lengths) >= 0.5


def metric(llm, name):
    return next(metric.value for metric in llm.get_metrics() if metric.name == name)


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
    before = metric(llm, "vllm:num_preemptions")
    results = generate(llm, prompts)
    assert metric(llm, "vllm:num_preemptions") > before
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


def disturb(model, seed):
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * parameter.std() * torch.randn(parameter.shape, generator=draw)


def update(llm, weights):
    from judgerlvr.engine.private.weights import reload_cpu_weights

    llm.collective_rpc(lambda worker: reload_cpu_weights(worker.model_runner, weights))
    assert llm.reset_prefix_cache()


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
