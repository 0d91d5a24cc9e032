"""Wrong set-ups stop at start with one line, and the names of vLLM that the plugin reaches for are still there."""

import copy
import inspect
import os
from types import SimpleNamespace

import pytest
import torch

from judgerlvr.cluster.environment import cpu_sampling
from judgerlvr.hysparse.model.presets import preset

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """vLLM's own configuration of an engine for the tiny preset."""
    for name, value in cpu_sampling(1.0).items():
        os.environ.setdefault(name, value)
    from vllm.engine.arg_utils import EngineArgs

    folder = tmp_path_factory.mktemp("config")
    preset("tiny", head_dim=32, architectures=["HySparseForCausalLM"]).save_pretrained(folder)
    arguments = EngineArgs(
        model=str(folder), skip_tokenizer_init=True, dtype="float32", enforce_eager=True, block_size=64
    )
    return arguments.create_engine_config()


def test_good_configuration_passes(good):
    from judgerlvr.hysparse.vllm.checks import check_engine

    check_engine(good)


# Attribute of vLLM's configuration, a wrong value, and what the line must say.
WRONG = {
    "hybrid manager off": ("scheduler_config.disable_hybrid_kv_cache_manager", True, "disable_hybrid_kv_cache_manager"),
    "page cuts a block": ("cache_config.block_size", 24, "set block_size to a multiple of 16"),
    "other cache type": ("cache_config.cache_dtype", "bfloat16", "set kv_cache_dtype=auto"),
    "8-bit cache": ("cache_config.cache_dtype", "fp8", "set kv_cache_dtype=auto"),
    "fast prefill": ("cache_config.kv_sharing_fast_prefill", True, "set kv_sharing_fast_prefill=False"),
    "too many ranks": ("parallel_config.tensor_parallel_size", 4, "set tensor_parallel_size to at most 2"),
    "cut hybrid block": (
        "parallel_config.pipeline_parallel_size",
        2,
        "begin at sparse layer 4.*VLLM_PP_LAYER_PARTITION",
    ),
    "two batches": ("parallel_config.enable_dbo", True, "set enable_dbo=False"),
    "split context": ("parallel_config.decode_context_parallel_size", 2, "set decode_context_parallel_size=1"),
    "quantised": ("quant_config", object(), "load a bf16 or fp32 checkpoint"),
    "narrow values": ("model_config.hf_text_config.v_head_dim", 16, "v_head_dim.*run this one with transformers"),
    "no window": ("model_config.hf_text_config.branches", "sparse", "no layer has a window.*serve another model"),
    "speculation": ("speculative_config", object(), "drop speculative_config"),
}


def changed(good, path, value):
    """A copy of the configuration with another value at a dotted path."""
    config = copy.copy(good)
    owner = config
    for name in path.split(".")[:-1]:
        setattr(owner, name, copy.copy(getattr(owner, name)))
        owner = getattr(owner, name)
    assert hasattr(owner, path.split(".")[-1])
    object.__setattr__(owner, path.split(".")[-1], value)
    return config


@pytest.mark.parametrize("case", WRONG)
def test_wrong_set_up_is_one_line_with_a_remedy(good, case):
    from judgerlvr.hysparse.vllm.checks import check_engine

    path, value, remedy = WRONG[case]
    with pytest.raises(ValueError, match=f"^HySparse: .*{remedy}") as caught:
        check_engine(changed(good, path, value))
    assert "\n" not in str(caught.value)


def test_ranks_that_do_not_divide_the_dense_layers_are_one_line(good):
    from judgerlvr.hysparse.vllm.checks import check_engine

    two = changed(good, "parallel_config.tensor_parallel_size", 2)
    check_engine(two)
    with pytest.raises(ValueError, match=r"^HySparse: tensor_parallel_size 2 does not divide intermediate_size 63"):
        check_engine(changed(two, "model_config.hf_text_config.intermediate_size", 63))


@pytest.fixture
def second(good):
    """vLLM's configuration of an engine for HySparse2."""
    return changed(good, "model_config.hf_text_config", preset("hysparse2-tiny", head_dim=32))


def test_hysparse2_passes_on_a_cpu(second):
    from judgerlvr.hysparse.vllm.checks import check_engine

    check_engine(second)


def test_hysparse2_on_a_gpu_is_one_line_without_the_reference(second, monkeypatch):
    from judgerlvr.hysparse.vllm.checks import check_engine

    on_a_gpu = changed(second, "device_config.device_type", "cuda")
    with pytest.raises(ValueError, match=r"^HySparse: no kernel takes block 1; .* set JUDGERLVR_HYSPARSE_BACKEND=ref"):
        check_engine(on_a_gpu)
    monkeypatch.setenv("JUDGERLVR_HYSPARSE_BACKEND", "reference")
    check_engine(on_a_gpu)


def test_a_shape_that_kernels_take_passes_on_a_gpu(good):
    from judgerlvr.hysparse.vllm.checks import check_engine

    check_engine(changed(good, "device_config.device_type", "cuda"))


def test_bridges_between_stages_are_one_line(second, monkeypatch):
    from judgerlvr.hysparse.vllm.checks import check_engine

    monkeypatch.setenv("VLLM_PP_LAYER_PARTITION", "4,7")
    with pytest.raises(ValueError, match=r"^HySparse: .*cross-decoder.* set pipeline_parallel_size=1$"):
        check_engine(changed(second, "parallel_config.pipeline_parallel_size", 2))


def test_a_full_layer_takes_no_window_of_the_configuration(good):
    from judgerlvr.hysparse.vllm.compat import without_window

    windowed = changed(good, "cache_config.sliding_window", 128).cache_config
    unlimited = without_window(windowed)
    assert (unlimited.sliding_window, windowed.sliding_window) == (None, 128)
    assert unlimited.block_size == windowed.block_size


def test_window_layers_plan_nothing_ahead(monkeypatch):
    """The builder is vLLM's own, but for a switch that it sets when it is made."""
    from vllm.v1.attention.backends.flash_attn import FlashAttentionBackend as Stock

    from judgerlvr.hysparse.vllm.compat import schedules_in_the_step

    builder = Stock.get_builder_cls()
    assert "self.aot_schedule and not" in inspect.getsource(builder.build)
    monkeypatch.setattr(builder, "__init__", lambda self, spec: vars(self).update(spec=spec, aot_schedule=True))
    layer, other = SimpleNamespace(attn_backend=Stock), SimpleNamespace(attn_backend=SimpleNamespace(get_name=str))
    others = other.attn_backend
    for each in (layer, other):
        schedules_in_the_step(each)
    made = layer.attn_backend.get_builder_cls()("spec")
    assert isinstance(made, builder) and made.spec == "spec" and made.aot_schedule is False
    assert issubclass(layer.attn_backend, Stock) and Stock.get_builder_cls() is builder
    assert other.attn_backend is others


@pytest.mark.parametrize(("window", "closing", "unplanned"), [(128, False, 1), (128, True, 0), (None, False, 0)])
def test_windows_are_such_layers_where_every_full_layer_selects(window, closing, unplanned, monkeypatch):
    """Elsewhere vLLM sees two windows, and plans nothing ahead by itself."""
    from judgerlvr.hysparse.vllm import attention

    switched = []
    monkeypatch.setattr(attention, "schedules_in_the_step", switched.append)
    config = preset("tiny", num_hidden_layers=7 if closing else 6, closing_full=closing)
    projections = SimpleNamespace(config=config, _attention=lambda name, **arguments: arguments)
    made = attention.Projections.stock_attention(projections, "attn", sinks=None, window=window)
    assert made == {"per_layer_sliding_window": window} and switched == [made] * unplanned


def test_stages_that_begin_at_full_layers_pass(good, monkeypatch):
    from judgerlvr.hysparse.vllm.checks import check_engine

    config = copy.copy(good)
    config.parallel_config = copy.copy(good.parallel_config)
    config.parallel_config.pipeline_parallel_size = 2
    monkeypatch.setenv("VLLM_PP_LAYER_PARTITION", "3,4")
    check_engine(config)


def full_group(**changes):
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    return FullAttentionSpec(**{"block_size": 64, "num_kv_heads": 2, "head_size": 32, "dtype": torch.float32} | changes)


def test_group_with_merged_windows_is_refused():
    from judgerlvr.hysparse.vllm.checks import check_group

    check_group(full_group(), preset("tiny"))
    merged = type(full_group()).merge([full_group(), full_group(sliding_window=32)])
    with pytest.raises(ValueError, match="share one KV cache group"):
        check_group(merged, preset("tiny"))


def test_group_with_odd_pages_is_refused():
    from judgerlvr.hysparse.vllm.checks import check_group

    with pytest.raises(ValueError, match=r"page of 16 tokens cuts selection blocks of 64; set block_size"):
        check_group(full_group(block_size=16), preset("small"))


CARRIED = {
    "stages": ("parallel_config.pipeline_parallel_size", 2, {64}, "set pipeline_parallel_size=1"),
    "copied pages": ("cache_config.enable_prefix_caching", True, {64, 128}, "set enable_prefix_caching=False"),
    "16 bits": ("model_config.max_model_len", 16 << 15, {64}, "set max_model_len to at most 524272"),
}


@pytest.mark.parametrize("case", CARRIED)
def test_indices_that_could_not_be_returned_are_refused(good, case):
    from judgerlvr.hysparse.vllm.checks import check_carried

    path, value, pages, remedy = CARRIED[case]
    check_carried(good, {64})
    with pytest.raises(ValueError, match=f"^HySparse: .*{remedy}"):
        check_carried(changed(good, path, value), pages)


def test_names_in_vllm():
    from vllm.model_executor.layers.attention import Attention
    from vllm.model_executor.layers.fused_moe.routed_experts import RoutedExperts
    from vllm.v1.attention.backend import AttentionMetadataBuilder, CommonAttentionMetadata

    from judgerlvr.hysparse.vllm.compat import BACKEND_NAME, Qwen3MoeModel

    # vLLM's compile decorator hides the signature.
    assert "decoder_layer_type: type" in inspect.getsource(inspect.getmodule(Qwen3MoeModel))
    assert {"attn_backend", "kv_sharing_target_layer_name", "per_layer_sliding_window", "extra_impl_args"} <= set(
        inspect.signature(Attention.__init__).parameters
    )
    assert RoutedExperts.weight_loader.supports_moe_loading
    build = inspect.signature(AttentionMetadataBuilder.build).parameters
    assert list(build)[1:] == ["common_prefix_len", "common_attn_metadata", "fast_build"]
    given = {"query_start_loc", "query_start_loc_cpu", "seq_lens", "seq_lens_cpu_upper_bound"}
    given |= {"block_table_tensor", "slot_mapping", "num_reqs", "num_actual_tokens", "max_query_len"}
    assert given <= set(CommonAttentionMetadata.__dataclass_fields__)
    threshold = inspect.signature(AttentionMetadataBuilder._init_reorder_batch_threshold).parameters
    assert list(threshold)[1] == "reorder_batch_threshold"
    graphs = inspect.signature(AttentionMetadataBuilder.get_cudagraph_support).parameters
    assert list(graphs) == ["vllm_config", "kv_cache_spec"]
    from vllm.v1.attention.backends.registry import AttentionBackendEnum

    assert BACKEND_NAME in AttentionBackendEnum.__members__


def test_expert_loaders_are_given_back():
    from vllm.model_executor.layers.fused_moe.routed_experts import RoutedExperts

    from judgerlvr.hysparse.vllm.compat import restore_expert_loaders

    class Experts(torch.nn.Module):
        weight_loader = RoutedExperts.weight_loader

    experts = Experts()
    experts.w2_weight = torch.nn.Parameter(torch.zeros(2))
    restore_expert_loaders(torch.nn.Sequential(experts))
    assert experts.w2_weight.weight_loader == experts.weight_loader


def test_connector_is_still_called_this_way():
    """vLLM calls its connector interface experimental."""
    from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, SupportsHMA
    from vllm.forward_context import ForwardContext
    from vllm.v1.kv_cache_interface import KVCacheConfig
    from vllm.v1.request import Request
    from vllm.v1.worker.kv_connector_model_runner_mixin import KVConnectorModelRunnerMixin

    from judgerlvr.hysparse.vllm.connector import BlockIndexConnector

    assert not BlockIndexConnector.__abstractmethods__
    assert list(inspect.signature(KVConnectorBase_V1).parameters) == ["vllm_config", "role", "kv_cache_config"]
    finished = inspect.signature(SupportsHMA.request_finished_all_groups).parameters
    assert list(finished) == ["self", "request", "block_ids"]
    runner = inspect.getsource(KVConnectorModelRunnerMixin._get_kv_connector_output)
    assert "kv_connector.wait_for_save()" in runner.split("yield output")[1]
    assert {"attn_metadata", "no_compile_layers"} <= set(ForwardContext.__dataclass_fields__)
    assert {"num_blocks", "kv_cache_groups"} <= set(KVCacheConfig.__dataclass_fields__)
    source = inspect.getsource(Request)
    for name in ("num_computed_tokens", "kv_transfer_params", "def num_tokens"):
        assert name in source


def test_an_engine_says_once_how_much_memory_its_indices_take(good, capfd, tmp_path, monkeypatch):
    """4096 blocks of 64 tokens: 2 bytes for each layer that selects, slot, KV head and block."""
    from vllm.config import KVTransferConfig
    from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorRole
    from vllm.v1.kv_cache_interface import KVCacheConfig, KVCacheGroupSpec

    from judgerlvr.hysparse.replay.rollout_choices import TRANSFER
    from judgerlvr.hysparse.vllm.connector import BlockIndexConnector

    monkeypatch.setattr("judgerlvr.hysparse.vllm.choice_store.FOLDERS", (tmp_path,))
    model = preset("tiny")
    names = [f"model.layers.{layer}.self_attn.attn" for layer in model.selecting_layers]
    cache = KVCacheConfig(4096, [], [KVCacheGroupSpec(names, full_group())])
    config = changed(good, "kv_transfer_config", KVTransferConfig(**TRANSFER))
    for role in (KVConnectorRole.WORKER, KVConnectorRole.SCHEDULER):
        BlockIndexConnector(config, role, cache)
    size = len(names) * 4096 * 64 * model.num_key_value_heads * model.selection.count * 2 / 2**20
    assert capfd.readouterr().out.count(f"block indices: {size:.1f} MiB of host memory in {tmp_path}") == 1


def test_mixed_pages_are_fine_without_prefix_caching(good):
    from judgerlvr.hysparse.vllm.checks import check_carried

    check_carried(changed(good, "cache_config.enable_prefix_caching", False), {64, 128})


def test_experts_of_several_data_parallel_ranks_are_refused(good):
    from judgerlvr.hysparse.vllm.checks import check_carried

    ranks = changed(good, "parallel_config.data_parallel_size", 2)
    check_carried(ranks, {64})
    mixture = preset("tiny-moe", head_dim=32)
    with pytest.raises(ValueError, match=r"^HySparse: .*set data_parallel_size=1"):
        check_carried(changed(ranks, "model_config.hf_text_config", mixture), {64})


def test_kernels_that_route_themselves_are_refused():
    from judgerlvr.hysparse.vllm.checks import check_routers

    def runner(inside):
        return SimpleNamespace(routed_experts=SimpleNamespace(quant_method=SimpleNamespace(is_monolithic=inside)))

    check_routers([runner(False)])
    with pytest.raises(ValueError, match=r"^HySparse: .*set moe_backend=triton"):
        check_routers([runner(False), runner(True)])


def test_routers_still_call_what_captures_them():
    """With logical ids, before they are spread over copies of experts."""
    from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter
    from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner

    from judgerlvr.hysparse.vllm.compat import capture_routing, routing_capture
    from judgerlvr.hysparse.vllm.routing import ExpertCapture

    router, capture = CPURouter(top_k=2, global_num_experts=4), ExpertCapture(5, 2)
    runner = SimpleNamespace(router=router)
    capture_routing(SimpleNamespace(experts=runner), capture)
    assert routing_capture(runner) is capture
    _, ids = router.select_experts(torch.zeros(3, 1), torch.randn(3, 4))
    assert capture.chosen.tolist() == [*ids.tolist(), [-1, -1], [-1, -1]]
    source = inspect.getsource(MoERunner)
    for name in (
        "self.routed_experts.quant_method.is_monolithic",
        "self.router.select_experts",
        "self.router = router",
    ):
        assert name in source
