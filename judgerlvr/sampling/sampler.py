"""Sampling with vLLM on CPU and GPU alike: token ids in, token ids out, each sample as soon as it ends.

The seed of each sample depends on the run's seed, the problem and the sample's index alone, so adding a set or
changing its order changes no sample's seed.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from judgerlvr.cluster.environment import CPU_PAGE, prepare_environment
from judgerlvr.models.configuration import read_config
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.requests import Finished, Prompts, Request
from judgerlvr.sampling.samples import Sample
from judgerlvr.sampling.steered import Steering, sample_steered
from judgerlvr.sampling.thinking_tokens import count_thinking_tokens
from rewards.errors import reading
from rewards.extraction.thinking import solution_part

# Without chunked prefill: a prompt cut in two rewinds its seeded generator, which the CPU generator cannot do.
CPU_ENGINE = {"dtype": "float32", "enforce_eager": True, "enable_chunked_prefill": False}
GPU_ENGINE = {"dtype": "bfloat16"}
# "processed": log-probabilities of the distribution that is sampled from, temperature included.
ENGINE = {"logprobs_mode": "processed_logprobs", "use_tqdm_on_load": False}
BAN = -100.0  # the strongest bias that vLLM takes: odds of e^-100


def cpu_engine(model_dir: Path) -> dict[str, Any]:
    """Arguments of ``vllm.LLM`` for a model directory on a CPU."""
    small = read_config(model_dir).get("model_type") != "hysparse"
    return CPU_ENGINE | ({"block_size": CPU_PAGE} if small else {})


class Sampler:
    """One vLLM engine for one model directory; a context manager, since the engine holds memory.

    ``max_model_len`` limits prompt plus response and so the engine's memory; None takes the model's own context.
    ``engine`` holds further arguments of ``vllm.LLM`` such as ``tensor_parallel_size``.
    """

    def __init__(
        self, model_dir: Path, max_model_len: int | None = None, engine: Mapping[str, Any] | None = None
    ) -> None:
        self.model_dir = model_dir
        self.tokenizer = load_tokenizer(model_dir)
        on_cpu = prepare_environment()
        import vllm  # after the environment, which it reads on import

        settings = ENGINE | (cpu_engine(model_dir) if on_cpu else GPU_ENGINE) | {"max_model_len": max_model_len}
        settings |= dict(engine or {})
        if engine:
            # Without processes and weights, so that a wrong value costs no engine's start.
            with reading("vLLM refuses the engine's arguments", "mend or leave out the value", field="--engine"):
                vllm.EngineArgs(model=str(model_dir), **settings).create_engine_config()
        self._llm = vllm.LLM(model=str(model_dir), **settings)
        self._asked: dict[str, Request] = {}
        config = self._llm.llm_engine.vllm_config
        self.context: int = config.model_config.max_model_len
        self.width: int = config.scheduler_config.max_num_seqs

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

    @property
    def busy(self) -> bool:
        """Whether a request has not ended yet."""
        return bool(self._asked)

    def add(self, request: Request) -> None:
        """Queue a request. ``width`` requests run at once."""
        from vllm import SamplingParams, TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.limit,
            seed=request.seed,
            logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            logit_bias=dict.fromkeys(request.banned, BAN) or None,
            stop_token_ids=list(request.pauses) or None,
        )
        prompt = TokensPrompt(prompt_token_ids=list(request.ids))
        self._asked[request.name] = request
        self._llm.llm_engine.add_request(request.name, prompt, params)

    def step(self) -> list[Finished]:
        """One step of the engine: a token of each running request. Returns the requests that ended."""
        ended = [output for output in self._llm.llm_engine.step() if output.finished]
        return [self._finished(self._asked.pop(output.request_id), output.outputs[0]) for output in ended]

    def sample(
        self, prompts: Prompts, decoding: Decoding, progress: bool = False, banned: Sequence[int] = ()
    ) -> list[Sample]:
        """``decoding.n`` samples of each item of the prompts, item by item, without the ``banned`` token ids.

        The prompts must know the engine's context. A prompt that leaves no room for a response is a sample too,
        empty and marked ``prompt_too_long``.
        """
        return self.sample_each(prompts, [decoding], progress, banned)[0]

    def sample_each(
        self, prompts: Prompts, decodings: Sequence[Decoding], progress: bool = False, banned: Sequence[int] = ()
    ) -> list[list[Sample]]:
        """The samples of ``sample`` for each decoding. All run together, since a step costs little more for more."""
        from tqdm import tqdm

        asked = [
            (decoding, place, index)
            for decoding in decodings
            for place in range(len(prompts.items))
            for index in range(decoding.n)
        ]
        for number, (decoding, place, index) in enumerate(asked):
            if request := prompts.request(str(number), place, index, decoding):
                self.add(replace(request, banned=banned))
        ended: dict[str, Finished] = {}
        with tqdm(total=len(self._asked), disable=not progress, desc="samples") as bar:
            while self.busy:
                found = self.step()
                ended |= {finished.name: finished for finished in found}
                bar.update(len(found))
        samples = iter(
            prompts.sample(place, index, decoding, ended.get(str(number)))
            for number, (decoding, place, index) in enumerate(asked)
        )
        return [list(islice(samples, len(prompts.items) * decoding.n)) for decoding in decodings]

    def sample_steered(self, prompts: Prompts, decoding: Decoding, steering: Steering) -> list[Sample]:
        """``decoding.n`` samples of each item, with tokens that the steering writes in place of sampled tokens."""
        return sample_steered(self, prompts, decoding, steering)

    def _finished(self, request: Request, output: Any) -> Finished:
        ids = list(output.token_ids)
        found = self.finished_of(request, ids, output.finish_reason)
        return replace(
            found,
            stop_reason=output.stop_reason,
            mean_logprob=output.cumulative_logprob / len(ids),
            ids=ids if request.pauses else (),
        )

    def finished_of(self, request: Request, ids: Sequence[int], reason: str) -> Finished:
        """The answer of these response ids. Its log-probability is unknown."""
        response = self.text_of(ids)
        return Finished(
            name=request.name,
            response=response,
            tokens=len(ids),
            thinking_tokens=count_thinking_tokens(ids, self.text_of, request.thinking_open),
            unclosed=solution_part(response, thinking_open=request.thinking_open) is None,
            finish_reason=reason,
            stop_reason=None,
            mean_logprob=math.nan,
        )

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text
