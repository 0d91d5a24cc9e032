"""Sampling with vLLM, offline, on CPU and GPU alike: token ids in, token ids out.

The seed of each sample depends on the run's seed, the problem and the sample's index alone, so adding a set or
changing its order changes no sample's seed.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from judgerlvr.cluster.environment import prepare_environment
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import encode_prompt
from judgerlvr.sampling.decoding import Decoding, sample_seed
from judgerlvr.sampling.samples import OVERSIZE, Item, Sample
from judgerlvr.sampling.thinking_tokens import count_thinking_tokens
from rewards.extraction.thinking import prompt_opens_thinking

# Without chunked prefill: a prompt cut in two rewinds its seeded generator, which the CPU generator cannot do.
CPU_ENGINE = {"dtype": "float32", "enforce_eager": True, "enable_chunked_prefill": False}
GPU_ENGINE = {"dtype": "bfloat16"}
# "processed": log-probabilities of the distribution that is sampled from, temperature included.
ENGINE = {"logprobs_mode": "processed_logprobs", "use_tqdm_on_load": False}


def needed_context(model_dir: Path, items: Sequence[Item], max_tokens: int) -> int:
    """Tokens that the engine must hold: the longest prompt and a whole response, within the model's context."""
    tokenizer = load_tokenizer(model_dir)
    longest = max(len(encode_prompt(tokenizer, item.prompt)) for item in items)
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    return min(longest + max_tokens, int(config.get("max_position_embeddings", longest + max_tokens)))


class Sampler:
    """One vLLM engine for one model directory; a context manager, since the engine holds memory.

    ``max_model_len`` limits prompt plus response and so the engine's memory; None takes the model's own context.
    ``engine`` holds further arguments of ``vllm.LLM`` such as ``tensor_parallel_size``.
    """

    def __init__(
        self, model_dir: Path, max_model_len: int | None = None, engine: Mapping[str, Any] | None = None
    ) -> None:
        self.tokenizer = load_tokenizer(model_dir)
        on_cpu = prepare_environment()
        import vllm  # after the environment, which it reads on import

        settings = ENGINE | (CPU_ENGINE if on_cpu else GPU_ENGINE) | {"max_model_len": max_model_len}
        self._llm = vllm.LLM(model=str(model_dir), **(settings | dict(engine or {})))
        self.context: int = self._llm.llm_engine.model_config.max_model_len

    def __enter__(self) -> Sampler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine, so that the next model directory can be loaded in this process."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        del self._llm
        gc.collect()
        cleanup_dist_env_and_memory()

    def prompt_text(self, item: Item) -> str:
        """The rendered prompt, special tokens and all."""
        text: str = self.tokenizer.decode(encode_prompt(self.tokenizer, item.prompt))
        return text

    def sample(self, items: Sequence[Item], decoding: Decoding, progress: bool = False) -> list[Sample]:
        """``decoding.n`` samples of each item, item by item.

        A prompt that leaves no room for a response is a sample too, empty and marked ``prompt_too_long``.
        """
        requests = [
            _Request(item, index, ids, sample_seed(decoding.seed, item.id, index))
            for item in items
            for ids in [encode_prompt(self.tokenizer, item.prompt)]
            for index in range(decoding.n)
        ]
        fitting = [request for request in requests if len(request.ids) < self.context]
        outputs = dict(zip(fitting, self._generate(fitting, decoding, progress), strict=True))
        return [self._to_sample(request, outputs.get(request)) for request in requests]

    def _generate(self, requests: Sequence[_Request], decoding: Decoding, progress: bool) -> list[Any]:
        from vllm import SamplingParams, TokensPrompt

        if not requests:
            return []
        params = [
            SamplingParams(
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                max_tokens=min(decoding.max_tokens, self.context - len(request.ids)),
                seed=None if decoding.greedy else request.seed,
                logprobs=0,
                detokenize=False,
            )
            for request in requests
        ]
        prompts = [TokensPrompt(prompt_token_ids=request.ids) for request in requests]
        outputs = self._llm.generate(prompts, params, use_tqdm=progress)
        return [output.outputs[0] for output in outputs]

    def _to_sample(self, request: _Request, output: Any | None) -> Sample:
        prompt_text = self.tokenizer.decode(request.ids)
        if output is None:
            return Sample(request.item, request.index, "", prompt_text, 0, 0, OVERSIZE, None, request.seed)
        ids = list(output.token_ids)
        return Sample(
            item=request.item,
            index=request.index,
            response=self._decode(ids),
            prompt_text=prompt_text,
            tokens=len(ids),
            thinking_tokens=count_thinking_tokens(ids, self._decode, prompt_opens_thinking(prompt_text)),
            finish_reason=output.finish_reason,
            mean_logprob=output.cumulative_logprob / len(ids),
            seed=request.seed,
        )

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


@dataclass(frozen=True, eq=False, slots=True)
class _Request:
    """One sample to draw; hashed by identity."""

    item: Item
    index: int
    ids: list[int]
    seed: int
