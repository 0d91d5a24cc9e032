"""One prompt, one response: verl's single-turn loop with a seed for each sample and masking of truncated ones."""

from __future__ import annotations

import hashlib
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from judgerlvr.hysparse.rollout_choices import REQUEST, from_parameters


def sample_seed(run_seed: int, step: int, prompt_id: str, sample: int) -> int:
    """31-bit seed of one sample, a function of what it is and not of when or where it is sampled."""
    text = f"{run_seed}/{step}/{prompt_id}/{sample}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


class SeededSingleTurn(SingleTurnAgentLoop):
    """Registered by the ``agent_loops.yaml`` that each run folder holds.

    Truncated responses keep their place in the group but, unless ``overlong`` says otherwise, get a response
    mask of zeros: no token of them enters the loss (overlong filtering, arXiv 2503.14476 section 3.4).
    ``block_indices``: the policy is a HySparse one, and what the rollout chose goes with the sample.
    """

    def __init__(self, *args: Any, mask_truncated: bool = True, block_indices: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mask_truncated, self.block_indices = mask_truncated, block_indices

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        seed = sample_seed(
            self.rollout_config.seed,
            int(kwargs["global_steps"]),
            str(kwargs["extra_info"]["id"]),
            int(kwargs["session_id"]),
        )
        asked = {"seed": seed} | ({"extra_args": REQUEST} if self.block_indices else {})
        output = await super().run({**sampling_params, **asked}, priority, **kwargs)
        if self.block_indices:
            # verl's field for what a rollout chose at each token and layer; its own use of it is routed experts.
            tokens = len(output.prompt_ids) + len(output.response_ids)
            output.routed_experts = from_parameters(output.extra_fields.pop("kv_transfer_params", None), tokens)
        full = len(output.response_ids) >= self.response_length
        truncated = full and output.response_ids[-1] != self.tokenizer.eos_token_id
        output.extra_fields["truncated"] = truncated
        if self.mask_truncated and truncated:
            output.response_mask = [0] * len(output.response_mask)
        return output
