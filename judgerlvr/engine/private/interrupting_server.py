"""verl's server of a rollout engine, which interrupts queued requests too when new weights come."""

from __future__ import annotations

import asyncio
from typing import Any

from verl.workers.rollout.vllm_rollout import vllm_async_server

# Seconds between two looks. An admitted request reaches the engine's queue in milliseconds.
LANDING = 0.2


class InterruptingServer(vllm_async_server.vLLMHttpServer):
    async def abort_all_requests(self, reset_prefix_cache: bool = True, reject_request: bool = False) -> dict[str, Any]:
        """Interrupt all requests, and answer what verl answers.

        verl waits for the first token of each admitted request, up to 60 s. A request that queues in the engine has no
        token yet, so the engine ends the request here.
        """
        closing = asyncio.ensure_future(super().abort_all_requests(reset_prefix_cache, reject_request))
        while not (await asyncio.wait([closing], timeout=LANDING))[0]:
            await self.engine.pause_generation(clear_cache=False)
        return await closing


def interrupt_queued() -> None:
    """Let verl's trainer in this process start servers of this class."""
    vllm_async_server.vLLMHttpServer = InterruptingServer
