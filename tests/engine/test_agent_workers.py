"""verl's agent-loop worker with fewer calls: what samples write and what is graded is the same, in fewer pieces."""

import ast
import asyncio
import inspect
import textwrap
from types import SimpleNamespace

import pytest
import ray
import torch
from verl.experimental.agent_loop import agent_loop
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.trainer.ppo.v1 import agent_loop_tq
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.rollout.llm_server import LLMServerClient, LLMServerManager

from judgerlvr.engine.in_training import block_metrics, mismatch, rollouts
from judgerlvr.engine.private import agent_workers
from judgerlvr.engine.private.agent_workers import (
    UNREAD,
    LeanWorker,
    OneServerClient,
    QueueWriter,
    Together,
    gather_writes,
    graded_batch,
)

SAMPLES = [([1, 2, 3], [4, 5]), ([6], [7, 8, 9, 10]), ([11, 12], [13])]


def outputs():
    return [
        (
            SimpleNamespace(prompt_ids=prompt, response_ids=response, num_turns=2, extra_fields={"truncated": False}),
            {"raw_prompt": [{"role": "user", "content": str(prompt)}], "extra_info": {"id": number}},
        )
        for number, (prompt, response) in enumerate(SAMPLES)
    ]


async def all_of(together, items):
    return await asyncio.gather(*map(together, items), return_exceptions=True)


def test_items_of_a_moment_share_one_call_and_keep_their_answers():
    calls = []

    async def work(items):
        calls.append(list(items))
        return [10 * item for item in items]

    assert asyncio.run(all_of(Together(work), [1, 2, 3])) == [10, 20, 30]
    assert calls == [[1, 2, 3]]


def test_an_error_of_the_call_reaches_every_item():
    async def work(items):
        raise OSError("lost")

    found = asyncio.run(all_of(Together(work), [1, 2]))
    assert [str(error) for error in found] == ["lost", "lost"]


def test_a_later_item_gets_a_call_of_its_own():
    calls = []

    async def work(items):
        calls.append(list(items))
        return items

    async def go():
        together = Together(work)
        await together(1)
        await together(2)

    asyncio.run(go())
    assert calls == [[1], [2]]


def puts_of(rows):
    """What reaches the queue when each row is put by itself, at one moment."""
    put = []

    async def async_kv_batch_put(**named):
        put.append(named)

    writer = QueueWriter(SimpleNamespace(async_kv_batch_put=async_kv_batch_put), list_of_dict_to_tensordict)

    async def go():
        puts = [
            writer.async_kv_batch_put(keys=[f"k{n}"], fields=[row], tags=[{"n": n}], partition_id="train")
            for n, row in enumerate(rows)
        ]
        await asyncio.gather(*puts)

    asyncio.run(go())
    return put


def test_puts_of_samples_become_one_put_of_the_same_rows():
    rows = [{"input_ids": torch.arange(n), "extra_info": {"id": n}} for n in (2, 3, 3)]
    put = puts_of(rows)
    assert [(call["keys"], call["tags"]) for call in put] == [(["k0", "k1", "k2"], [{"n": 0}, {"n": 1}, {"n": 2}])]
    found = put[0]["fields"]["input_ids"].unbind()
    assert all(torch.equal(one, row["input_ids"]) for one, row in zip(found, rows, strict=True))


def test_samples_with_other_columns_are_put_apart():
    put = puts_of([{"a": torch.ones(1)}, {"a": torch.ones(1), "b": torch.ones(2)}, {"a": torch.ones(1)}])
    assert [call["keys"] for call in put] == [["k0", "k2"], ["k1"]]
    assert set(put[1]["fields"].keys()) == {"a", "b"}


def test_a_column_that_nothing_reads_is_not_put():
    put = puts_of([{"a": torch.ones(1), "raw_prompt": [{"role": "user"}], "metrics": {}}])
    assert set(put[0]["fields"].keys()) == {"a"}


def asked_columns(function):
    """Columns that a function of verl's trainer names in a list, to get from the queue."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    lists = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.keyword)]
    constants = [entry for found in lists if isinstance(found, ast.List) for entry in found.elts]
    return {entry.value for entry in constants if isinstance(entry, ast.Constant)}


def test_verls_trainer_asks_for_no_column_that_is_left_out():
    # The only one that asks for such a column grades with a reward model, which no stage has.
    methods = [method for name, method in vars(PPOTrainer).items() if inspect.isfunction(method)]
    asked = {
        column
        for method in methods
        if method.__name__ != "_compute_reward_colocate"
        for column in asked_columns(method)
    }
    assert {"uid", "num_turns", "reward_model", "data_source", "extra_fields", "rm_scores"} <= asked
    assert not asked & UNREAD


def test_the_stages_ask_for_no_column_that_is_left_out():
    asked = [*rollouts.FIELDS, *mismatch.FIELDS, mismatch.OWN, *block_metrics.FIELDS]
    assert not UNREAD.intersection(asked)


def test_a_worker_as_ray_sends_it_gathers_its_writes():
    """Ray sends methods by value, with copies of the names of verl's module."""
    sent = ray.cloudpickle.dumps(ray.remote(LeanWorker).__ray_metadata__.modified_class)
    worker = ray.cloudpickle.loads(sent)
    gather_writes(worker)
    names = inspect.unwrap(worker._agent_loop_postprocess).__globals__
    assert isinstance(names["tq"], QueueWriter) and names["list_of_dict_to_tensordict"] is list


def read_as_a_reward_manager(item):
    """Response tokens and columns as verl's reward managers read one sample."""
    width = item.batch["responses"].shape[-1]
    length = int(item.batch["attention_mask"][-width:].sum())
    return item.batch["responses"][:length].tolist(), item.non_tensor_batch["extra_info"]["id"]


def test_a_graded_batch_holds_each_sample_as_it_was():
    batch = graded_batch(outputs())
    found = [read_as_a_reward_manager(batch[n : n + 1][0]) for n in range(len(SAMPLES))]
    assert found == [(response, number) for number, (_, response) in enumerate(SAMPLES)]
    assert batch.non_tensor_batch["raw_prompt"][1] == [{"role": "user", "content": "[6]"}]


def test_one_server_is_asked_for_once():
    asked = []

    class Balancer(LLMServerClient):
        async def _acquire_server(self, request_id, **extra):
            asked.append(request_id)
            return "server", object()

    class Client(OneServerClient, Balancer):
        pass

    async def go():
        client = Client(config=None)
        return [await client._acquire_server(name) for name in ("a", "b")]

    first, second = asyncio.run(go())
    assert first is second
    assert asked == ["a"]


@pytest.mark.parametrize("name", ["_run_agent_loop", "_compute_score", "_agent_loop_postprocess"])
def test_verl_still_has_what_is_replaced(name):
    assert callable(getattr(agent_workers.Worker, name))
    assert issubclass(LeanWorker, agent_loop.AgentLoopWorker)


def test_verl_still_writes_and_grades_through_these():
    source = inspect.getsource(agent_workers.Worker._agent_loop_postprocess)
    assert "await tq.async_kv_batch_put(" in source
    assert "fields=list_of_dict_to_tensordict(fields)" in source
    assert "await self._compute_score(outputs, kwargs=kwargs)" in source
    assert "compute_score_batch" in vars(RewardLoopWorker)
    assert hasattr(agent_loop_tq, "tq")
    assert {"get_client", "get_addresses"} <= vars(LLMServerManager).keys()


def test_verl_still_builds_a_loop_from_these():
    source = inspect.getsource(agent_loop.AgentLoopWorker._run_agent_loop)
    for name in ("trainer_config", "server_manager", "tokenizer", "processor", "hf_model_type", "dataset_cls", "tools"):
        assert f"{name}=" in source


def test_a_cancelled_item_leaves_the_others_their_answers():
    async def work(items):
        await asyncio.sleep(0)
        return items

    async def go():
        together = Together(work)
        tasks = [asyncio.create_task(together(item)) for item in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(go())
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [1, 2]


class Grader:
    """A reward worker that counts the samples it is given."""

    def __init__(self):
        self.given = 0
        self.compute_score_batch = SimpleNamespace(remote=self.grade)

    async def grade(self, batch):
        self.given += len(batch)
        return [{"reward_score": row["id"]} for row in batch.non_tensor_batch["extra_info"]]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_call_is_spread_over_the_reward_workers_and_keeps_its_order(workers):
    graders = [Grader() for _ in range(workers)]
    graded = asyncio.run(LeanWorker._grade(SimpleNamespace(reward_loop_worker_handles=graders), outputs()))
    assert [row["reward_score"] for row in graded] == [0, 1, 2]
    assert max(grader.given for grader in graders) == -(-len(SAMPLES) // workers)
