"""Set-ups that would be wrong without any error. They are refused when the engine starts, with reason and remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from judgerlvr.hysparse.model.layout import FULL, unserved
from judgerlvr.hysparse.ops.dispatch import BACKEND_VARIABLE, REFERENCE, runs_reference
from judgerlvr.hysparse.ops.kernel_shapes import refusals
from judgerlvr.hysparse.ops.selection import blocks_of
from judgerlvr.hysparse.vllm.compat import get_pp_indices, merged_window, routes_in_kernel

# Block numbers from 0, and one more value for padding, must fit into a non-negative int16.
MOST_BLOCKS = (1 << 15) - 1


def check_engine(vllm_config: Any) -> None:
    """Raise ValueError with one line for a vLLM configuration that HySparse cannot serve."""
    config = vllm_config.model_config.hf_text_config
    _check_layers(config)
    _check_kernels(vllm_config.device_config.device_type, config)
    _check_cache(vllm_config, config)
    _check_parallel(vllm_config.parallel_config, config)
    _check_features(vllm_config)


def check_group(kv_cache_spec: Any, config: Any) -> None:
    """Raise ValueError if windows were merged into the cache group of the full layers, or if pages are odd."""
    if merged_window(kv_cache_spec) is not None:
        raise ValueError(
            "HySparse: window layers and full layers share one KV cache group, so windows cost as much as full "
            "attention; set disable_hybrid_kv_cache_manager=False and drop options that set it to True"
        )
    _check_page(kv_cache_spec.block_size, config.select_block)


def check_carried(vllm_config: Any, pages: set[int]) -> None:
    """Raise ValueError for set-ups that could not return choices. ``pages`` are the page sizes of the cache groups."""
    if vllm_config.parallel_config.pipeline_parallel_size > 1:
        raise ValueError("HySparse: block indices are not gathered over pipeline stages; set pipeline_parallel_size=1")
    if len(pages) > 1 and vllm_config.cache_config.enable_prefix_caching:
        # vLLM then copies parts of cached pages to other slots, and the indices would stay behind.
        sizes = ", ".join(map(str, sorted(pages)))
        raise ValueError(f"HySparse: cache pages of {sizes} tokens in one engine; set enable_prefix_caching=False")
    if vllm_config.model_config.hf_text_config.expert_layers and vllm_config.parallel_config.data_parallel_size > 1:
        raise ValueError(
            "HySparse: a step of several data-parallel ranks routes their tokens together, and the experts of each "
            "could not be returned; set data_parallel_size=1"
        )
    block, longest = vllm_config.model_config.hf_text_config.select_block, vllm_config.model_config.max_model_len
    if blocks_of(longest, block) > MOST_BLOCKS:
        raise ValueError(
            f"HySparse: block numbers of {longest} tokens do not fit in 16 bits; set max_model_len to at most "
            f"{MOST_BLOCKS * block}"
        )


def check_routers(runners: Iterable[Any]) -> None:
    """Raise ValueError if experts are chosen inside a kernel. ``runners`` are vLLM's mixture-of-experts layers."""
    if any(routes_in_kernel(runner) for runner in runners):
        raise ValueError(
            "HySparse: the kernel of the experts chooses them itself, and they could not be returned; set "
            "moe_backend=triton"
        )


def _check_layers(config: Any) -> None:
    found = unserved(config.to_dict())
    if found is not None:
        raise ValueError(f"HySparse: {found[0]}: {found[1]}; serve another model, or run this one with transformers")


def _check_kernels(device_type: str, config: Any) -> None:
    """Shapes that no kernel takes would stop the first step, after the weights were read."""
    if runs_reference(device_type) or not config.selecting_layers:
        return
    group = config.num_attention_heads // config.num_key_value_heads
    wrong = refusals(group, config.head_dim, config.select_block)
    if wrong:
        raise ValueError(
            f"HySparse: no kernel takes {', '.join(wrong)}; serve the model on a CPU, or set "
            f"{BACKEND_VARIABLE}={REFERENCE}, which is slow"
        )


def _check_page(page: int, block: int) -> None:
    if page % block:
        raise ValueError(
            f"HySparse: a cache page of {page} tokens cuts selection blocks of {block}; set block_size to a multiple "
            f"of {block}"
        )


def _check_cache(vllm_config: Any, config: Any) -> None:
    if vllm_config.scheduler_config.disable_hybrid_kv_cache_manager:
        raise ValueError(
            "HySparse: the hybrid KV cache manager is off, so every window layer would hold a full cache; set "
            "disable_hybrid_kv_cache_manager=False, and drop KV connectors that turn it off"
        )
    cache = vllm_config.cache_config
    if cache.user_specified_block_size:
        _check_page(cache.block_size, config.select_block)
    own = str(vllm_config.model_config.dtype).removeprefix("torch.")
    if cache.cache_dtype not in ("auto", own):
        raise ValueError(
            f"HySparse: kv_cache_dtype {cache.cache_dtype} is not implemented for it; set kv_cache_dtype=auto"
        )
    if cache.kv_sharing_fast_prefill:
        raise ValueError(
            "HySparse: kv_sharing_fast_prefill skips layers that share a cache, but sparse layers compute new hidden "
            "states; set kv_sharing_fast_prefill=False"
        )


def _check_parallel(parallel: Any, config: Any) -> None:
    ranks = parallel.tensor_parallel_size
    if ranks > config.num_key_value_heads:
        raise ValueError(
            f"HySparse: tensor_parallel_size {ranks} splits the query heads of a KV head, whose selection is their "
            f"joint maximum; set tensor_parallel_size to at most {config.num_key_value_heads}"
        )
    if len(config.expert_layers) < config.num_hidden_layers and config.intermediate_size % ranks:
        raise ValueError(
            f"HySparse: tensor_parallel_size {ranks} does not divide intermediate_size {config.intermediate_size}; set "
            "tensor_parallel_size to a divisor"
        )
    if config.lenders and parallel.pipeline_parallel_size > 1:
        raise ValueError(
            "HySparse: full layers of the cross-decoder read the input of layers of the self-decoder, which is not "
            "sent between pipeline stages; set pipeline_parallel_size=1"
        )
    _check_stages(parallel.pipeline_parallel_size, config)
    if parallel.use_ubatching:
        raise ValueError("HySparse: two micro-batches at a time would write one index buffer; set enable_dbo=False")
    for name in ("decode_context_parallel_size", "prefill_context_parallel_size"):
        if getattr(parallel, name) > 1:
            raise ValueError(f"HySparse: {name} > 1 scatters the keys that a block is scored on; set {name}=1")


def _check_stages(stages: int, config: Any) -> None:
    for rank in range(stages if stages > 1 else 0):
        begin, _ = get_pp_indices(config.num_hidden_layers, rank, stages)
        if config.layer_types[begin] != FULL:
            raise ValueError(
                f"HySparse: pipeline stage {rank} would begin at sparse layer {begin}, away from the full layer whose "
                "cache it reads; set VLLM_PP_LAYER_PARTITION so that stages begin at full layers"
            )


def _check_features(vllm_config: Any) -> None:
    if vllm_config.quant_config is not None:
        raise ValueError("HySparse: quantised weights are not implemented; load a bf16 or fp32 checkpoint")
    if vllm_config.speculative_config is not None:
        raise ValueError("HySparse: speculative decoding has not been tested with it; drop speculative_config")
