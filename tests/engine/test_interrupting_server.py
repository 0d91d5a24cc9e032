"""New weights interrupt requests that queue in the engine. verl alone waits until each has its first token."""

import asyncio
import inspect
import time
from types import SimpleNamespace

import pytest
from verl.workers.rollout.llm_server import LLMServerClient
from verl.workers.rollout.vllm_rollout import vllm_async_server

from judgerlvr.engine.private import interrupting_server
from judgerlvr.engine.private.agent_workers import PartsClient
from judgerlvr.engine.private.interrupting_server import InterruptingServer


class Engine:
    """Holds admitted requests that get no token until the engine is paused."""

    def __init__(self, server, queued):
        self.server, self.pauses = server, []
        self.output_processor = SimpleNamespace(request_states=dict.fromkeys(range(queued)))
        server._admitting = queued

    async def pause_generation(self, **named):
        self.pauses.append(named)
        self.server._admitting = 0


def server(queued):
    made = InterruptingServer.__new__(InterruptingServer)
    made.node_rank, made._submission_paused, made._rejecting = 0, False, False
    made._resume_event = asyncio.Event()
    made.engine = Engine(made, queued)
    return made


def test_queued_requests_are_interrupted_before_verl_s_own_pause():
    made, begun = server(3), time.monotonic()
    assert asyncio.run(made.abort_all_requests())["aborted_count"] == 3
    assert [named.get("clear_cache") for named in made.engine.pauses] == [False, True]
    assert made._submission_paused
    assert time.monotonic() - begun < vllm_async_server._GATE_BARRIER_TIMEOUT_S / 2


def test_without_queued_requests_verl_s_pause_is_the_only_one():
    made = server(0)
    asyncio.run(made.abort_all_requests(reset_prefix_cache=False, reject_request=True))
    assert [named["clear_cache"] for named in made.engine.pauses] == [False]
    assert made._rejecting


def test_a_failed_pause_of_the_engine_is_no_success(monkeypatch):
    async def fail(**named):
        raise RuntimeError("engine is dead")

    made = server(0)
    monkeypatch.setattr(made.engine, "pause_generation", fail)
    with pytest.raises(RuntimeError, match="engine is dead"):
        asyncio.run(made.abort_all_requests())


def test_a_part_without_a_token_does_not_begin_a_response(monkeypatch):
    """The first answer is of weights 0 and has no token. The whole response is of weights 1."""
    answers = [([], "aborted", 0), ([7, 8], "completed", 1)]

    async def answer(self, request_id, *, prompt_ids, sampling_params, **named):
        sampling_params.pop("max_tokens")
        tokens, reason, step = answers.pop(0)
        return SimpleNamespace(
            token_ids=tokens, log_probs=[0.0] * len(tokens), routed_experts=None, num_preempted=0, stop_reason=reason,
            extra_fields={"global_steps": step},
        )  # fmt: skip

    monkeypatch.setattr(LLMServerClient, "generate", answer)
    client = PartsClient.__new__(PartsClient)
    client.config = SimpleNamespace()
    done = asyncio.run(client.generate("r", prompt_ids=[1], sampling_params={"seed": 5, "max_tokens": 4}))
    assert (done.token_ids, done.extra_fields["min_global_steps"]) == ([7, 8], 1)


def test_verls_trainer_starts_servers_of_this_class(monkeypatch):
    monkeypatch.setattr(vllm_async_server, "vLLMHttpServer", vllm_async_server.vLLMHttpServer)
    interrupting_server.interrupt_queued()
    assert vllm_async_server.vLLMHttpServer is InterruptingServer


def test_verl_still_waits_for_first_tokens():
    """Without this wait the class has no work."""
    assert "while self._admitting > 0" in inspect.getsource(vllm_async_server.vLLMHttpServer.abort_all_requests)
