"""Requests to a rollout engine that come together go in one call between processes."""

import asyncio
import inspect

import pytest
from verl.workers.rollout.llm_server import LLMServerClient
from verl.workers.rollout.vllm_rollout import vllm_async_server

from judgerlvr.engine.private import rollout_server
from judgerlvr.engine.private.agent_workers import GatheredServer, GatheringClient


class Engine:
    """Answers with the request's prompt, and refuses prompts below zero."""

    async def generate(self, prompt):
        await asyncio.sleep(0)
        if prompt < 0:
            raise ValueError(f"no {prompt}")
        return prompt


class Handle:
    """A Ray handle whose method runs here, and notes each call's requests."""

    def __init__(self):
        self.calls, self.generate_many = [], self

    async def remote(self, calls):
        self.calls.append(calls)
        return await rollout_server.ManyServer.generate_many(Engine(), calls)


def ask(*prompts):
    async def go():
        server = GatheredServer(handle)
        return await asyncio.gather(
            *(server.generate.remote(prompt=prompt) for prompt in prompts), return_exceptions=True
        )

    handle = Handle()
    return asyncio.run(go()), handle.calls


def test_requests_that_come_together_are_one_call_with_each_its_answer():
    answers, calls = ask(3, 1, 2)
    assert answers == [3, 1, 2]
    assert [len(call) for call in calls] == [3]


def test_a_refused_request_leaves_the_others_their_answers():
    answers, _ = ask(1, -5, 2)
    assert [answers[0], answers[2]] == [1, 2]
    assert isinstance(answers[1], ValueError)


def test_all_requests_of_a_client_are_gathered_together(monkeypatch):
    async def acquire(self, request_id, **extra):
        await asyncio.sleep(0)
        return "server", object()

    async def go():
        client = GatheringClient(config=None)
        return await asyncio.gather(*(client._acquire_server(name) for name in "abc"))

    monkeypatch.setattr(LLMServerClient, "_acquire_server", acquire)
    assert len({id(server) for _, server in asyncio.run(go())}) == 1


def test_verls_trainer_starts_servers_of_this_class(monkeypatch):
    monkeypatch.setattr(vllm_async_server, "vLLMHttpServer", vllm_async_server.vLLMHttpServer)
    rollout_server.serve_many()
    assert vllm_async_server.vLLMHttpServer is rollout_server.ManyServer


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (vllm_async_server.vLLMReplica.__init__, "ray.remote(vLLMHttpServer)"),
        (LLMServerClient.generate, "await server.generate.remote("),
    ],
)
def test_verl_still_starts_and_asks_a_server_so(place, text):
    assert text in inspect.getsource(place)
