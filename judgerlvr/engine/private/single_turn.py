"""verl's single-turn loop with less work a sample: a prompt's tokens are built once, and lists are joined at once."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

# The samples of a prompt are asked for one after another.
KEPT_PROMPTS = 64


class PromptsOnce(SingleTurnAgentLoop):
    """The same tokens and masks as verl's loop. verl has a thread do both for each sample."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prompt_tokens = lru_cache(KEPT_PROMPTS)(self._build)

    async def ct_build_initial_tokens(self, messages: list[dict[str, Any]], **named: Any) -> list[int]:
        """The prompt's tokens. Tools and pictures are left to verl."""
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
        """To join two lists takes less time than to wake a thread."""
        builder = self.continuous_token_builder
        merged = builder.merge_assistant_tokens(runtime_token_ids, assistant_token_ids)
        mask, log_probs = builder.align_response_metadata(
            merged, response_mask, response_logprobs, assistant_logprobs=assistant_logprobs
        )
        return merged, mask, log_probs

    def _build(self, messages: str) -> tuple[int, ...]:
        built = self.continuous_token_builder.build_initial_tokens(json.loads(messages))
        return tuple(self._cap_text_prompt_length(built))
