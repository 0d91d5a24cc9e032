"""verl's agent-loop workers with less work a sample: one loop for all samples, and calls that carry many samples.

verl builds a loop, asks a load balancer twice, sends a call to a reward worker and writes to the transfer queue for
each sample. On two CPU cores these four took 20 ms a sample, more than the tiny policy's tokens.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import hydra
import numpy as np
import ray
import torch
from tensordict import TensorDict
from verl.experimental.agent_loop import agent_loop
from verl.protocol import DataProto
from verl.trainer.ppo.v1 import AgentLoopManagerTQ, agent_loop_tq
from verl.utils.profiler import simple_timer
from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient, LLMServerClient

from judgerlvr.engine.in_training.validation import with_sizes
from judgerlvr.engine.private.own_queue import own_queue

SEEDS = 2**31  # vLLM takes smaller ones
# Samples that end within this time go into one call.
GATHER_SECONDS = 0.05
ABORTED = ("aborted", "abort")
# Columns of a sample that no later part of a step reads. Each costs a put and a get as much as a column that is read.
UNREAD = {
    *("prompt", "raw_prompt", "ability", "index", "session_id", "global_steps", "metrics", "dummy_tensor"),
    *("tools_kwargs", "interaction_kwargs", "multi_modal_inputs", "mm_processor_kwargs", "mm_processor_output"),
}
QUEUED_AGAIN = 0.1  # seconds until an interrupted request queues again, behind the server's closed gate

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Together(Generic[Item, Answer]):
    """Collects items for ``GATHER_SECONDS`` and hands all to ``work``, which answers in the same order."""

    def __init__(self, work: Callable[[list[Item]], Awaitable[Sequence[Answer]]]) -> None:
        self.work = work
        self.waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        # A task without a reference may be collected before its end.
        self.running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting.append((item, answer))
        if len(self.waiting) == 1:
            task = asyncio.create_task(self._flush())
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        return await answer

    async def _flush(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        taken, self.waiting = self.waiting, []
        (work,), _ = await asyncio.wait([asyncio.ensure_future(self.work([item for item, _ in taken]))])
        error = work.exception()
        for place, (_, answer) in enumerate(taken):
            # An item whose caller was cancelled needs no answer.
            if answer.done():
                continue
            if error:
                answer.set_exception(error)
            else:
                answer.set_result(work.result()[place])


class QueueWriter:
    """Stands for ``transfer_queue`` in verl's module of the worker: what several samples put becomes one put."""

    def __init__(self, queue: Any, join: Callable[[list[dict[str, Any]]], TensorDict]) -> None:
        self.queue, self.join = queue, join
        self.puts: dict[str, Together[tuple[str, dict[str, Any], dict[str, Any]], None]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)

    async def async_kv_batch_put(
        self, keys: list[str], fields: list[dict[str, Any]], tags: list[dict[str, Any]], partition_id: str
    ) -> None:
        put = self.puts.setdefault(partition_id, Together(lambda items: self._put(partition_id, items)))
        await asyncio.gather(*map(put, zip(keys, fields, tags, strict=True)))

    async def _put(self, partition: str, items: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> list[None]:
        # A put has one set of columns.
        groups: dict[frozenset[str], list[tuple[str, dict[str, Any], dict[str, Any]]]] = {}
        for key, columns, tag in items:
            read = {name: value for name, value in columns.items() if name not in UNREAD}
            groups.setdefault(frozenset(read), []).append((key, read, tag))
        for group in groups.values():
            keys, fields, tags = (list(part) for part in zip(*group, strict=True))
            await self.queue.async_kv_batch_put(keys=keys, fields=self.join(fields), tags=tags, partition_id=partition)
        return [None] * len(items)


def gather_writes(worker: type) -> None:
    """Let a worker's class write through a ``QueueWriter``.

    Ray sends the methods of an actor's class by value, each with a copy of the names of its module. So the names that
    the method itself sees are replaced, and not those of verl's module.
    """
    names = inspect.unwrap(worker._agent_loop_postprocess).__globals__  # type: ignore[attr-defined]
    if not isinstance(names["tq"], QueueWriter):
        names["tq"] = QueueWriter(names["tq"], names["list_of_dict_to_tensordict"])
        # The fields of a sample stay a dict until the samples of a put are joined.
        names["list_of_dict_to_tensordict"] = list


# Ray wraps the class, and a wrapped class has no subclasses.
Worker: Any = agent_loop_tq.AgentLoopWorkerTQ.__ray_metadata__.modified_class.__ray_actor_class__


class LeanWorker(Worker):
    """All samples share a loop object, which keeps nothing of a sample."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        own_queue()
        gather_writes(type(self))
        super().__init__(*arguments, **named)
        self.loops: dict[str, Any] = {}
        self.grade = Together(self._grade)

    async def _run_agent_loop(
        self,
        sampling_params: dict[str, Any],
        trajectory: dict[str, Any],
        *,
        agent_name: str,
        trace: bool,
        **kwargs: Any,
    ) -> None:
        if agent_name not in self.loops:
            self.loops[agent_name] = self._make_loop(agent_name)
        output = await self.loops[agent_name].run(sampling_params, **kwargs)
        await self._agent_loop_postprocess(output, trajectory["validate"], **kwargs)

    def _make_loop(self, name: str) -> Any:
        return hydra.utils.instantiate(
            config=agent_loop._agent_loop_registry[name],
            trainer_config=agent_loop.DictConfigWrap(config=self.config),
            server_manager=self.llm_client,
            tokenizer=self.tokenizer,
            processor=self.processor,
            hf_model_type=self.hf_model_type,
            dataset_cls=self.dataset_cls,
            data_config=agent_loop.DictConfigWrap(self.config.data),
            tools=agent_loop.ToolListWrap(self.tools),
        )

    async def _compute_score(self, outputs: list[Any], kwargs: dict[str, Any]) -> None:
        final = outputs[-1]
        if final.reward_score is not None or self.reward_loop_worker_handles is None:
            return
        timing: dict[str, float] = {}
        with simple_timer("compute_score", timing):
            graded = await self.grade((final, kwargs))
        final.reward_score = graded["reward_score"]
        final.extra_fields["reward_extra_info"] = with_sizes(
            graded["reward_extra_info"],
            str(kwargs.get("data_source")),
            len(final.response_ids),
            bool(final.extra_fields.get("truncated")),
        )
        final.metrics.compute_score = timing["compute_score"]

    async def _grade(self, samples: list[tuple[Any, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Grades in the order of ``samples``, spread over the reward workers."""
        workers = self.reward_loop_worker_handles
        parts = [samples[place :: len(workers)] for place in range(min(len(workers), len(samples)))]
        calls = [
            worker.compute_score_batch.remote(graded_batch(part)) for worker, part in zip(workers, parts, strict=False)
        ]
        graded: list[dict[str, Any]] = [{}] * len(samples)
        for place, part in enumerate(await asyncio.gather(*calls)):
            graded[place :: len(workers)] = part
        return graded


def graded_batch(samples: Sequence[tuple[Any, dict[str, Any]]]) -> DataProto:
    """What verl's reward managers read of samples, each an agent loop's output and the columns of its prompt."""
    prompts, prompt_mask = padded([output.prompt_ids for output, _ in samples])
    responses, response_mask = padded([output.response_ids for output, _ in samples])
    mask = torch.cat([prompt_mask, response_mask], dim=1)
    batch = TensorDict({"prompts": prompts, "responses": responses, "attention_mask": mask}, batch_size=len(samples))
    columns = {name: objects(kwargs[name] for _, kwargs in samples) for name in samples[0][1]}
    columns["__num_turns__"] = objects(output.num_turns for output, _ in samples)
    columns["tool_extra_fields"] = objects(output.extra_fields for output, _ in samples)
    return DataProto(batch=batch, non_tensor_batch=columns)


def padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, mask), both int64 [rows, longest]. Rows are filled with zeros on the right."""
    tensors = [torch.tensor(row, dtype=torch.int64) for row in rows]
    tokens, mask = (
        torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
        for parts in (tensors, [torch.ones_like(tensor) for tensor in tensors])
    )
    return tokens, mask


def objects(values: Any) -> np.ndarray:
    """A column of plain objects. numpy would make a table of equally long lists."""
    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    column[:] = listed
    return column


class OneServerClient(LLMServerClient):
    """Asks the load balancer once: with one server there is nothing to balance."""

    only: tuple[str, Any] | None = None

    async def _acquire_server(self, request_id: str, **extra: Any) -> tuple[str, Any]:
        if self.only is None:
            self.only = await super()._acquire_server(request_id, **extra)
        return self.only

    def _release_server(self, server_id: str, request_id: str | None = None) -> None:
        return


class GatheredServer:
    """Stands for a server's handle. Requests that come together go in one call, and are answered with its last one."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.call = Together(self._call)

    @property
    def generate(self) -> GatheredServer:
        return self

    async def remote(self, **request: Any) -> Any:
        """What the server's ``generate`` answers. Raises what the server raised for this request."""
        answer = await self.call(request)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def _call(self, requests: list[dict[str, Any]]) -> list[Any]:
        answers: list[Any] = await self.server.generate_many.remote(requests)
        return answers


class GatheringClient(OneServerClient):
    """For a ``ManyServer`` on few cores, where a call costs more than the wait for the slowest sample."""

    gathered: GatheredServer | None = None

    async def _acquire_server(self, request_id: str, **extra: Any) -> tuple[str, Any]:
        name, server = await super()._acquire_server(request_id, **extra)
        if self.gathered is None:
            self.gathered = GatheredServer(server)
        return name, self.gathered


class SeededParts(LLMServerClient):
    """Gives each part of an interrupted response a seed of its own. The same seed would draw the same numbers again.

    A part that was interrupted in the queue has no token. So it is no part, and is asked for again.
    """

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **named: Any
    ) -> Any:
        seed = sampling_params.get("seed")
        own = {} if seed is None else {"seed": (seed + len(prompt_ids)) % SEEDS}
        while True:
            # verl's server takes keys out of what it is given.
            asked = {**sampling_params, **own}
            part = await super().generate(request_id, prompt_ids=prompt_ids, sampling_params=asked, **named)
            if part.token_ids or part.stop_reason not in ABORTED:
                return part
            await asyncio.sleep(QUEUED_AGAIN)


class PartsClient(FullyAsyncLLMServerClient, SeededParts):
    """A response that an update interrupts goes on where it ended, with the new weights."""


class LeanManager(AgentLoopManagerTQ):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.agent_loop_workers_class = ray.remote(LeanWorker)


def make_loops(trainer: Any, config: Any) -> Any:
    """The manager of a trainer's agent loops."""
    separate = config.trainer.v1.trainer_mode == "separate_async"
    servers = trainer.standalone_server_manager if separate else trainer.llm_server_manager
    one = GatheringClient if config.trainer.device == "cpu" else OneServerClient
    if config.trainer.v1.trainer_mode != "sync":
        client = servers.get_client(PartsClient)
    else:
        client = servers.get_client(one) if len(servers.get_addresses()) == 1 else servers.get_client()
    return LeanManager.create(
        config=config,
        llm_client=client,
        teacher_client=trainer.get_teacher_client(),
        reward_loop_worker_handles=trainer.get_reward_handles(),
    )
