"""One prompt, one response: verl's single-turn loop with a seed for each sample and a mask over truncated responses."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from vllm.sampling_params import RequestOutputKind

from judgerlvr.engine.rollout_experts.rows import REQUEST as EXPERT_REQUEST
from judgerlvr.engine.rollout_experts.rows import from_parameters as chosen_experts
from judgerlvr.engine.rollout_experts.rows import packed
from judgerlvr.hysparse.rollout_choices import REQUEST, from_parameters

# vLLM would hand over every response token by token, and as text.
ONCE = {"output_kind": RequestOutputKind.FINAL_ONLY, "detokenize": False}


# The samples of a prompt are asked for one after another.
KEPT_PROMPTS = 64


def sample_seed(run_seed: int, step: int, prompt_id: str, sample: int) -> int:
    """31-bit seed of one sample. The seed depends neither on the time nor on the place of sampling."""
    text = f"{run_seed}/{step}/{prompt_id}/{sample}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


class SeededSingleTurn(SingleTurnAgentLoop):
    """Registered by the ``agent_loops.yaml`` that each run folder holds.

    Truncated responses keep their place in the group. Unless ``overlong`` says otherwise, a truncated response gets a
    response mask of zeros, so no token enters the loss (overlong filtering, arXiv 2503.14476 section 3.4).
    ``block_indices``: the policy is a HySparse one, and what the rollout chose goes with the sample.
    ``experts``: number of the policy's experts, where the rollout's choice goes with the sample, else 0.
    """

    def __init__(
        self, *args: Any, mask_truncated: bool = True, block_indices: bool = False, experts: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.mask_truncated, self.block_indices, self.experts = mask_truncated, block_indices, experts
        # Where vLLM itself returns experts, verl asks for them.
        asks = not self.rollout_config.enable_rollout_routing_replay
        self.prompt_tokens = lru_cache(KEPT_PROMPTS)(self._build)
        self.asked = REQUEST if block_indices else EXPERT_REQUEST if experts and asks else None

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        seed = sample_seed(
            self.rollout_config.seed,
            int(kwargs["global_steps"]),
            str(kwargs["extra_info"]["id"]),
            int(kwargs["session_id"]),
        )
        asked = ONCE | {"seed": seed} | ({"extra_args": self.asked} if self.asked else {})
        output = await super().run({**sampling_params, **asked}, priority, **kwargs)
        self._keep_choices(output)
        full = len(output.response_ids) >= self.response_length
        # A response may come to an end at exactly the limit.
        truncated = full and output.response_ids[-1] != self.tokenizer.eos_token_id
        output.extra_fields["truncated"] = truncated
        if self.mask_truncated and truncated:
            output.response_mask = [0] * len(output.response_mask)
        return output

    async def ct_build_initial_tokens(self, messages: list[dict[str, Any]], **named: Any) -> list[int]:
        """The prompt's tokens, worked out once for the samples of a prompt. verl has a thread do it for each sample."""
        if any(value is not None for name, value in named.items() if name != "mm_inputs_out"):
            built: list[int] = await super().ct_build_initial_tokens(messages, **named)
            return built
        return list(self.prompt_tokens(json.dumps(messages)))

    async def ct_merge_assistant_token(
        self,
        runtime_token_ids: list[int],
        assistant_token_ids: list[int],
        response_mask: list[int],
        response_logprobs: list[float] | None = None,
        assistant_logprobs: list[float] | None = None,
    ) -> tuple[Any, list[int], list[float] | None]:
        """As verl's, in this thread: to join two lists takes less time than to wake a thread."""
        builder = self.continuous_token_builder
        merged = builder.merge_assistant_tokens(runtime_token_ids, assistant_token_ids)
        mask, log_probs = builder.align_response_metadata(
            merged, response_mask, response_logprobs, assistant_logprobs=assistant_logprobs
        )
        return merged, mask, log_probs

    def _build(self, messages: str) -> tuple[int, ...]:
        built = self.continuous_token_builder.build_initial_tokens(json.loads(messages))
        return tuple(self._cap_text_prompt_length(built))

    def _keep_choices(self, output: AgentLoopOutput) -> None:
        """Fill verl's field for routed experts with what the rollout chose at each token."""
        tokens = len(output.prompt_ids) + len(output.response_ids)
        parameters = output.extra_fields.pop("kv_transfer_params", None)
        if self.block_indices:
            output.routed_experts = from_parameters(parameters, tokens)
        elif self.experts:
            chosen = chosen_experts(parameters) if self.asked else output.routed_experts
            output.routed_experts = packed(chosen, tokens, self.experts)
