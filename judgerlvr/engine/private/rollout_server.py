"""verl's server of a rollout engine, which also answers many requests in one call.

A call between two processes took about as long as thirty of the tiny policy's tokens.
"""

from __future__ import annotations

import asyncio
from typing import Any

from verl.workers.rollout.vllm_rollout import vllm_async_server


class ManyServer(vllm_async_server.vLLMHttpServer):
    async def generate_many(self, calls: list[dict[str, Any]]) -> list[Any]:
        """What ``generate`` answers to each of ``calls``, or the error that it raises. Waits for the last answer."""
        return await asyncio.gather(*(self.generate(**call) for call in calls), return_exceptions=True)


def serve_many() -> None:
    """Let verl's trainer in this process start servers of this class."""
    vllm_async_server.vLLMHttpServer = ManyServer
