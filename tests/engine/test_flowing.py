"""Asynchronous rollouts: which groups a step takes, how old they are, the seeds of parts, and what is refused."""

import asyncio
from types import SimpleNamespace

import pytest
from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient, LLMServerClient

from judgerlvr.config.load import load_config
from judgerlvr.engine.flowing import check_flow, flows, separates
from judgerlvr.engine.in_training import sampler as module
from judgerlvr.engine.in_training.sampler import TRAIN, BoundedSampler, StreamingSampler
from judgerlvr.engine.private.agent_workers import SEEDS, PartsClient
from judgerlvr.engine.private.groups import RolloutError
from rewards.errors import InputError
from tests.helpers.transfer_queues import StoredGroups

MIXED, UNIFORM = (0.0, 1.0), (1.0, 1.0)


@pytest.fixture
def queue(monkeypatch):
    """A queue in memory, whose prompts end when a test says so."""
    made = StoredGroups()
    made.stand_in(monkeypatch, module)
    return made


def make(tmp_path, queue, kind=StreamingSampler, threshold=4, **settings):
    keys = {"replace_uniform": False, "max_extra_rounds": 2, "kind": "generate", "logged_prompts": 0} | settings
    return kind(
        sampler_kwargs=keys | {"run_dir": str(tmp_path)},
        trainer_mode="colocate_async",
        trainer_config={},
        max_off_policy_threshold=threshold,
        max_off_policy_strategy="wait",
        refill_fn=queue.refill,
    )


def uids(batch):
    return list(dict.fromkeys(key.split("_")[0] for key in batch.keys))


def test_a_step_takes_finished_groups_while_others_are_sampled(tmp_path, queue):
    queue.add("abcd", step=1)
    queue.finish(b=MIXED, d=MIXED)
    batch, metrics = make(tmp_path, queue).sample(1, TRAIN, 2)
    assert uids(batch) == ["b", "d"]
    assert metrics["sampling/groups"] == 2


def test_a_synchronous_step_waits_for_all(tmp_path, queue):
    queue.add("abc", step=1)
    queue.finish(b=MIXED, c=MIXED)
    queue.later(a=MIXED)
    batch, _ = make(tmp_path, queue, BoundedSampler).sample(1, TRAIN, 2)
    assert uids(batch) == ["a", "b"]


def test_groups_beyond_the_batch_stay_for_the_next_step(tmp_path, queue):
    queue.add("abc", step=1)
    queue.finish(a=MIXED, b=MIXED, c=MIXED)
    sampler = make(tmp_path, queue)
    first, before = sampler.sample(1, TRAIN, 2)
    queue.trained(first)
    queue.add("d", step=2)
    queue.finish(d=MIXED)
    second, after = sampler.sample(2, TRAIN, 2)
    assert (uids(first), uids(second)) == (["a", "b"], ["c", "d"])
    assert after["budget/generated_tokens"] == 2 * before["budget/generated_tokens"]


@pytest.mark.parametrize(("threshold", "taken"), [(3, ["a", "b"]), (4, ["b", "c"])])
def test_a_prompt_is_waited_for_from_the_bound_on(tmp_path, queue, threshold, taken):
    queue.add("a", step=1)
    queue.add("bc", step=3)
    queue.finish(b=MIXED, c=MIXED)
    queue.later(a=MIXED)
    assert uids(make(tmp_path, queue, threshold=threshold).sample(3, TRAIN, 2)[0]) == taken


def test_uniform_groups_are_replaced_and_dropped(tmp_path, queue):
    queue.add("abc", step=1)
    queue.finish(a=UNIFORM, b=MIXED)
    queue.on_refill = lambda: queue.finish(c=MIXED)
    batch, metrics = make(tmp_path, queue, replace_uniform=True).sample(1, TRAIN, 2)
    assert uids(batch) == ["b", "c"]
    assert queue.refilled == [1]
    assert "a" not in queue.prompts
    assert metrics["sampling/groups"] == 3


def test_ages_count_updates_since_a_response_began(tmp_path, queue):
    queue.add("ab", step=3)
    queue.finish(a=MIXED, b=MIXED)
    queue.versions("a", begun=2, ended=2)
    queue.versions("b", begun=0, ended=2)
    _, metrics = make(tmp_path, queue).sample(3, TRAIN, 2)
    found = {name.removeprefix("async/"): value for name, value in metrics.items() if name.startswith("async/")}
    assert found == {"age_mean": 1.0, "age_max": 2.0, "partial": 0.5}


def test_a_failed_prompt_ends_the_run(tmp_path, queue):
    queue.add("ab", step=1)
    queue.fail("a")
    with pytest.raises(RolloutError, match="1 prompts failed"):
        make(tmp_path, queue).sample(1, TRAIN, 1)


def test_each_part_of_a_response_has_a_seed_of_its_own(monkeypatch):
    """The server ends the first part after two tokens, as an update does."""
    calls = []

    async def answer(self, request_id, *, prompt_ids, sampling_params, **named):
        calls.append((list(prompt_ids), sampling_params["seed"]))
        reason = "aborted" if len(calls) == 1 else "completed"
        return SimpleNamespace(
            token_ids=[7, 8], log_probs=[0.0, 0.0], routed_experts=None, num_preempted=0, stop_reason=reason,
            extra_fields={"global_steps": len(calls)},
        )  # fmt: skip

    monkeypatch.setattr(LLMServerClient, "generate", answer)
    client = PartsClient.__new__(PartsClient)
    client.config = SimpleNamespace()
    given = {"seed": SEEDS - 3, "max_tokens": 4}
    done = asyncio.run(client.generate("r", prompt_ids=[1, 2, 3], sampling_params=given))
    assert calls == [([1, 2, 3], 0), ([1, 2, 3, 7, 8], 2)]
    assert done.token_ids == [7, 8, 7, 8]
    assert given["seed"] == SEEDS - 3
    assert issubclass(PartsClient, FullyAsyncLLMServerClient)


MODES = ("colocate_async", "separate_async")


def stage(mode, kind="generate", blocks=False, experts=False, **keys):
    words = [f"cluster.trainer_mode={mode}", *(f"{name}={value}" for name, value in keys.items())]
    config = load_config("configs/tiny.yaml", words)
    return SimpleNamespace(config=config, kind=kind, chooses_blocks=blocks, replays_experts=experts)


NEEDS_WHOLE = [
    ({"blocks": True}, "HySparse"),
    ({"experts": True}, "router replay"),
    ({"kind": "judge", "judge.data.candidates": "refresh_every:5"}, "refresh"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("facts", "word"), NEEDS_WHOLE, ids=[word for _, word in NEEDS_WHOLE])
def test_what_needs_whole_responses_is_refused(mode, facts, word):
    with pytest.raises(InputError, match=word):
        check_flow(stage(mode, **facts))
    check_flow(stage("sync", **facts))


@pytest.mark.parametrize("mode", MODES)
def test_any_other_stage_may_flow(mode):
    assert flows(stage(mode)) and separates(stage(mode)) == (mode == "separate_async")
    check_flow(stage(mode))
