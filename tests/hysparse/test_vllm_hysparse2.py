"""HySparse2 in a running vLLM engine on the CPU, against the transformers model. Each model has one engine."""

import pytest

from judgerlvr.hysparse.model.sizes import KV_BYTES, arrangements
from judgerlvr.hysparse.ops.segments import whole
from judgerlvr.hysparse.replay.rollout_choices import REQUEST, TRANSFER
from tests.helpers.hysparse2_base import trace_ids, trained_base
from tests.helpers.hysparse_engines import (
    ENGINE,
    PREEMPTED,
    SHAPE,
    assert_equal_to,
    assert_every_choice_is_the_models,
    disturb,
    generate,
    metric,
    prompts_of,
    start,
    stop,
    update,
)
from tests.helpers.hysparse_models import CROSSED, assert_selection_bites, make_model, random_ids

pytestmark = pytest.mark.engine
NEW, FLOAT32 = 60, 4
TOKENS = SHAPE | {"select_block": 1, "select_tokens": 40, "forced_local_blocks": 8}
CARRYING = {"kv_transfer_config": TRANSFER, "async_scheduling": False}
# At smaller weights the model of the experts repeats one token.
EXPERTS = TOKENS | CROSSED | {"initializer_range": 0.2}
# Options of a random model and of the engine. The shipped base has trained weights and 512 positions. 24 pages make
# requests preempt other requests.
MODELS = {
    "dense": (TOKENS, CARRYING),
    "experts": (EXPERTS, CARRYING | {"num_gpu_blocks_override": 24}),
    "trained": (None, CARRYING | {"max_model_len": 512}),
}


@pytest.fixture(scope="module", params=MODELS)
def served(request, tmp_path_factory):
    """(model, engine, what draws prompts). One engine lives at a time."""
    options, changes = MODELS[request.param]
    model = make_model("hysparse2-tiny", **options) if options else trained_base()
    llm = start(model, tmp_path_factory.mktemp(request.param), **changes)
    yield model, llm, random_ids if options else trace_ids
    stop(llm)


def test_greedy_tokens_and_choices_are_the_models(served):
    """Prompts cut into chunks, batches of prefill and decode, shared prefixes, cached prefixes, and preemption."""
    model, llm, ids = served
    prompts = prompts_of(65, 200, 300, shared=(40, 41), ids=ids)
    assert_selection_bites(model, whole(1, 65 + NEW))
    assert max(map(len, prompts)) > 3 * ENGINE["max_num_batched_tokens"]
    for _ in range(2):
        results = generate(llm, prompts, max_tokens=NEW, extra_args=REQUEST)
        assert sum(len(result.outputs[0].token_ids) for result in results) == len(prompts) * NEW
        assert_equal_to(model, prompts, results)
        assert_every_choice_is_the_models(model, prompts, results)
        assert any(result.num_cached_tokens for result in results)
    assert metric(llm, PREEMPTED) > 0 or not model.config.expert_layers


def test_kv_bytes_are_those_of_the_size_command(served):
    """The engine counts bytes a token of each layer with a cache. A window layer keeps its window's tokens."""
    model, llm, _ = served
    specs = llm.collective_rpc(lambda worker: worker.model_runner.get_kv_cache_spec())[0]
    assert len(specs) == sum(row.full or row.window is not None for row in model.config.rows)
    context = 4 * ENGINE["block_size"]
    tokens = {name: getattr(spec, "sliding_window", None) or context for name, spec in specs.items()}
    held = sum(spec.page_size_bytes // spec.block_size * tokens[name] for name, spec in specs.items())
    own = arrangements(model.config, context, batch=1)["HySparse2"]
    assert held == own.kv_bytes // KV_BYTES["bf16"] * FLOAT32


def test_a_weight_update_reaches_every_tensor(served):
    """Names, and buckets of experts, as verl's trainer sends them."""
    from verl.workers.engine.fsdp.utils import unfuse_moe_params

    model, llm, ids = served
    prompts = prompts_of(150, 70, ids=ids)
    disturb(model, 1)
    update(llm, list(unfuse_moe_params(model.state_dict().items(), model.config.model_type)))
    assert_equal_to(model, prompts, generate(llm, prompts, max_tokens=40))
