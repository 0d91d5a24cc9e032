"""One prompt, one response: verl's single-turn loop with a seed for each sample and a mask over truncated responses."""

from __future__ import annotations

import hashlib
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from vllm.sampling_params import RequestOutputKind

from judgerlvr.engine.private.carried_output import with_choices
from judgerlvr.engine.private.single_turn import PromptsOnce
from judgerlvr.engine.rollout_experts.rows import REQUEST as EXPERT_REQUEST
from judgerlvr.engine.rollout_experts.rows import from_parameters as chosen_experts
from judgerlvr.engine.rollout_experts.rows import packed
from judgerlvr.hysparse.replay.rollout_choices import REQUEST, from_parameters

# vLLM would hand over every response token by token, and as text.
ONCE = {"output_kind": RequestOutputKind.FINAL_ONLY, "detokenize": False}


def sample_seed(run_seed: int, step: int, prompt_id: str, sample: int) -> int:
    """31-bit seed of one sample. The seed depends neither on the time nor on the place of sampling."""
    text = f"{run_seed}/{step}/{prompt_id}/{sample}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


class SeededSingleTurn(PromptsOnce):
    """Registered by the ``agent_loops.yaml`` that each run folder holds.

    Truncated responses keep their place in the group. Unless ``overlong`` says otherwise, a truncated response gets a
    response mask of zeros, so no token enters the loss (overlong filtering, arXiv 2503.14476 section 3.4).
    ``block_indices``: the policy is a HySparse one, and what the rollout chose goes with the sample.
    ``parts``: an update may interrupt a response, and verl's server then waits for the first token of each request.
    ``experts``: number of the policy's experts, where the rollout's choice goes with the sample, else 0.
    ``longest``: most tokens of a response where the stage has a second loop with another limit, else 0.
    """

    def __init__(
        self,
        *args: Any,
        mask_truncated: bool = True,
        block_indices: bool = False,
        experts: int = 0,
        parts: bool = False,
        longest: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.mask_truncated, self.block_indices, self.experts = mask_truncated, block_indices, experts
        self.longest = longest
        if longest:
            self.response_length = longest
        self.output = {"detokenize": False} if parts else ONCE
        # Where vLLM itself returns experts, verl asks for them.
        asks = not self.rollout_config.enable_rollout_routing_replay
        self.asked = REQUEST if block_indices else EXPERT_REQUEST if experts and asks else None

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        seed = sample_seed(
            self.rollout_config.seed,
            int(kwargs["global_steps"]),
            str(kwargs["extra_info"]["id"]),
            int(kwargs["session_id"]),
        )
        asked = self.output | {"seed": seed} | ({"extra_args": self.asked} if self.asked else {})
        if self.longest:
            asked["max_tokens"] = self.longest
        output = await super().run({**sampling_params, **asked}, priority, **kwargs)
        output = self._with_choices(output)
        full = len(output.response_ids) >= self.response_length
        # A response may come to an end at exactly the limit.
        truncated = full and output.response_ids[-1] != self.tokenizer.eos_token_id
        output.extra_fields["truncated"] = truncated
        if self.mask_truncated and truncated:
            output.response_mask = [0] * len(output.response_mask)
        return output

    def _with_choices(self, output: AgentLoopOutput) -> AgentLoopOutput:
        """The output with what the rollout chose, in verl's field for routed experts."""
        tokens = len(output.prompt_ids) + len(output.response_ids)
        parameters = output.extra_fields.pop("kv_transfer_params", None)
        if self.block_indices:
            return with_choices(output, from_parameters(parameters, tokens))
        if self.experts:
            chosen = chosen_experts(parameters) if self.asked else output.routed_experts
            output.routed_experts = packed(chosen, tokens, self.experts)
        return output
