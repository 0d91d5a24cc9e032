"""The agent loop of the pair: after a recheck the world writes its reply, which carries no loss."""

from __future__ import annotations

import random
from typing import Any

import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput

from benchmarks.lab.worlds.base import TOKENS
from benchmarks.lab.worlds.chain import ChainWorld
from benchmarks.lab_pair.world import world_of
from judgerlvr.engine.in_training.agent_loop import SeededSingleTurn

CELL = "cell"
SEEDS = 2**31  # vLLM takes smaller ones


def reply(world: ChainWorld, tokens: list[int], noise: float) -> int:
    """The token that the world writes after a response so far, or -1 where the policy writes."""
    window = ([TOKENS.pad] * world.window + tokens)[-world.window :]
    return int(world.reply(torch.tensor(window), torch.tensor(noise)))


class AnsweringClient:
    """Stands for verl's client. A request that names a cell goes on behind each reply of the cell's world."""

    def __init__(self, client: Any, limit: int) -> None:
        self.client, self.limit = client, limit

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **named: Any
    ) -> Any:
        """A single output for the whole response. Tokens of the world have log-probability 0."""
        params = dict(sampling_params)
        cell = params.pop(CELL, None)
        if cell is None:
            return await self.client.generate(request_id, prompt_ids=prompt_ids, sampling_params=params, **named)
        noise, tokens, log_probs = random.Random(f"{params['seed']}/world"), list[int](), list[float]()
        while True:
            # The same seed would draw the same numbers again.
            own = {"seed": (params["seed"] + len(tokens)) % SEEDS, "max_tokens": self.limit - len(tokens)}
            asked = {**params, **own, "stop_token_ids": [TOKENS.recheck]}
            so_far = [*prompt_ids, *tokens]
            part = await self.client.generate(request_id, prompt_ids=so_far, sampling_params=asked, **named)
            tokens, log_probs = [*tokens, *part.token_ids], [*log_probs, *(part.log_probs or [])]
            answer = reply(world_of(cell), tokens, noise.random()) if len(tokens) < self.limit else -1
            if answer >= 0:
                tokens, log_probs = [*tokens, answer], [*log_probs, 0.0]
            if answer < 0 or len(tokens) >= self.limit:
                break
        return part.model_copy(update={"token_ids": tokens, "log_probs": log_probs if part.log_probs else None})


class RecheckLoop(SeededSingleTurn):
    """``generate.agent_loop``. The column ``cell`` of a problem names the world."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.server_manager = AnsweringClient(self.server_manager, self.response_length)

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        cell = kwargs["extra_info"][CELL]
        output = await super().run({**sampling_params, CELL: cell}, priority, **kwargs)
        by_world = world_of(cell).by_world(torch.tensor(output.response_ids)).tolist()
        output.response_mask = [
            int(own and not world) for own, world in zip(output.response_mask, by_world, strict=True)
        ]
        return output
