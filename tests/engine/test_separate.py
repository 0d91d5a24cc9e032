"""Rollouts on devices of their own: verl's settings, the weights' way, the counted GPUs, and what a start needs."""

import asyncio
import inspect
import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import ray
import torch
from omegaconf import OmegaConf
from verl.checkpoint_engine import CheckpointEngineManager, CheckpointEngineRegistry, CheckpointEngineWorker
from verl.trainer.ppo.v1 import trainer_separate_async
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.workers.rollout.replica import RolloutReplica
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

from judgerlvr.config.choices import TrainerMode
from judgerlvr.config.load import load_config
from judgerlvr.engine import preflight
from judgerlvr.engine.devices import GLOO, NCCL
from judgerlvr.engine.in_training.trainer import TRAINERS, StageHooks
from judgerlvr.engine.preflight import CUPY, PreflightError, check_cupy, check_process
from judgerlvr.engine.private import bucket_memory, separate_weights, weights
from judgerlvr.engine.private.agent_workers import PartsClient, make_loops
from judgerlvr.engine.private.separate_trainer import OneSync
from judgerlvr.engine.private.separate_weights import GlooEngine, buckets
from judgerlvr.engine.verl_config import render
from judgerlvr.pipeline.checks import offered
from judgerlvr.pipeline.checkup import start
from judgerlvr.planning.constants import CPUS_PER_ROLLOUT_GPU
from judgerlvr.sampling.engines import EngineSettings
from rewards.errors import InputError

SEPARATE = ["cluster.trainer_mode=separate_async", "cluster.rollout_gpus_per_node=2"]


@pytest.mark.parametrize(("device", "backend"), [("cpu", GLOO), ("gpu", NCCL)])
def test_verl_shares_no_device_and_sends_once_a_step(make_stage, device, backend):
    config = render(make_stage(device=device, overrides=[*SEPARATE, "cluster.nodes=3"]))
    policy = config.actor_rollout_ref
    assert (policy.hybrid_engine, policy.rollout.nnodes, policy.rollout.n_gpus_per_node) == (False, 3, 2)
    assert policy.rollout.checkpoint_engine.backend == backend
    assert policy.rollout.checkpoint_engine.custom_backend_module == separate_weights.__name__
    assert config.trainer.v1.separate_async.parameter_sync_step == 1
    assert not config.trainer.v1.separate_async.hybrid_rollout.enable_switch


@pytest.mark.parametrize("mode", ["sync", "colocate_async"])
def test_other_modes_keep_verls_way_of_the_weights(make_stage, mode):
    policy = render(make_stage(overrides=[f"cluster.trainer_mode={mode}"])).actor_rollout_ref
    assert (policy.hybrid_engine, policy.rollout.checkpoint_engine.backend) == (True, "naive")


def test_a_private_cluster_on_a_cpu_has_a_place_for_each_process(make_stage):
    stage = make_stage(overrides=[*SEPARATE, "cluster.gpus_per_node=3"])
    init = render(stage).ray_kwargs.ray_init
    (node,) = offered(stage)
    assert (init.num_gpus, node.gpus) == (5, 5)
    assert (init.num_cpus, node.cpus) == (5 * 16, 5 * 16)


def test_each_mode_has_a_trainer_with_our_hooks():
    assert set(TRAINERS) == set(TrainerMode)
    assert all(issubclass(trainer, StageHooks) for trainer in TRAINERS.values())
    assert issubclass(TRAINERS[TrainerMode.separate_async], PPOTrainerSeparateAsync)


def test_candidates_are_sampled_on_all_gpus():
    config = load_config("configs/tiny.yaml", [*SEPARATE, "cluster.gpus_per_node=6", "cluster.tensor_parallel=2"])
    place = SimpleNamespace(config=config, device="gpu", ray_address=None)
    assert EngineSettings.of_place(place).count == 4


def test_samples_come_from_the_rollout_s_own_engines(monkeypatch):
    taken = []
    monkeypatch.setattr("judgerlvr.engine.private.agent_workers.LeanManager.create", lambda **named: named)
    servers = SimpleNamespace(get_client=lambda kind: taken.append(kind))
    trainer = SimpleNamespace(
        standalone_server_manager=servers, get_teacher_client=lambda: None, get_reward_handles=lambda: []
    )
    make_loops(trainer, OmegaConf.create({"trainer": {"device": "cpu", "v1": {"trainer_mode": "separate_async"}}}))
    assert taken == [PartsClient]


# The weights over gloo.
NAMED = [
    ("a", torch.arange(6, dtype=torch.float32).view(2, 3)),
    ("half", torch.tensor([1.5], dtype=torch.bfloat16)),
    ("b", torch.arange(5, dtype=torch.float32)),
    ("scalar", torch.tensor(7, dtype=torch.int64)),
    ("large", torch.arange(100, dtype=torch.float32)),
]


@pytest.mark.parametrize("most", [1, 26, 10_000])
def test_buckets_hold_all_tensors_in_order_and_no_more_bytes(most):
    made = list(buckets(NAMED, most))
    assert [name for bucket in made for name, _ in bucket] == [name for name, _ in NAMED]
    assert all(len(bucket) == 1 or sum(tensor.nbytes for _, tensor in bucket) <= most for bucket in made)
    assert all(made)


def sent_and_received(monkeypatch, trainers, rollouts, most):
    """Each worker in a thread of its own, in verl's order of calls."""
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    senders = [GlooEngine(most, is_master=rank == 0) for rank in range(trainers)]
    receivers = [GlooEngine(most) for _ in range(rollouts)]
    found = [engine.prepare() for engine in (*senders, *receivers)]
    parts = GlooEngine.build_topology(trainers, rollouts, found)

    async def received(engine):
        return [named async for named in engine.receive_weights()]

    def work(engine, arguments, sends):
        engine.init_process_group(**arguments)
        done = asyncio.run(engine.send_weights(iter(NAMED)) if sends else received(engine))
        engine.finalize()
        return done

    with ThreadPoolExecutor(trainers + rollouts) as pool:
        calls = []
        for engines, columns, sends in ((senders, parts[0], True), (receivers, parts[1], False)):
            for place, engine in enumerate(engines):
                arguments = {name: values[place] for name, values in columns.items()}
                calls.append(pool.submit(work, engine, arguments, sends))
        return [call.result(60) for call in calls]


@pytest.mark.parametrize(("trainers", "rollouts", "most"), [(1, 1, 26), (1, 1, 10_000), (2, 2, 100)])
def test_every_engine_gets_the_first_rank_s_weights_to_the_bit(monkeypatch, trainers, rollouts, most):
    for got in sent_and_received(monkeypatch, trainers, rollouts, most)[trainers:]:
        assert [name for name, _ in got] == [name for name, _ in NAMED]
        for (_, mine), (_, sent) in zip(got, NAMED, strict=True):
            assert mine.dtype == sent.dtype and mine.shape == sent.shape and torch.equal(mine, sent)


# Reaches into verl.
def test_verl_finds_our_engine_where_it_imports_the_module():
    assert CheckpointEngineRegistry.get(GLOO) is GlooEngine
    for owner in (CheckpointEngineWorker.__init__, ActorRolloutRefWorker.init_model, CheckpointEngineManager.__init__):
        assert "custom_backend_module" in inspect.getsource(inspect.unwrap(owner))


def test_verl_still_makes_and_calls_an_engine_this_way():
    made = inspect.getsource(CheckpointEngineWorker.__init__) + inspect.getsource(
        inspect.unwrap(ActorRolloutRefWorker.init_model)
    )
    assert "is_master=(torch.distributed.get_rank() == 0), bucket_size=bucket_size" in made
    source = inspect.getsource(CheckpointEngineManager.build_process_group)
    assert '["prepare"] *' in source and '["init_process_group"] *' in source
    assert "self.backend_cls.build_topology(" in source
    assert '["finalize"] *' in inspect.getsource(inspect.unwrap(CheckpointEngineManager.update_weights))


def test_the_rollout_s_worker_sends_to_its_engine_as_the_engine_expects():
    assert getattr(BucketedWeightSender.__init__, weights.OWN)
    assert getattr(BucketedWeightSender._init_buffer, bucket_memory.OWN)


def test_a_step_may_have_several_updates(monkeypatch):
    seen = []

    def begin(self, config):
        self.config = config
        seen.append(config.actor_rollout_ref.actor.ppo_mini_batch_size)
        self.replay_buffer = None

    monkeypatch.setattr(PPOTrainer, "__init__", begin)
    config = OmegaConf.create(
        {
            "data": {"train_batch_size": 32},
            "actor_rollout_ref": {
                "hybrid_engine": False,
                "actor": {"ppo_mini_batch_size": 8},
                "rollout": {"nnodes": 1, "n_gpus_per_node": 1, "checkpoint_engine": {"backend": GLOO}},
            },
            "reward": {"reward_model": {"enable": False}},
            "trainer": {
                "v1": {
                    "separate_async": {
                        "parameter_sync_step": 1,
                        "hybrid_rollout": {"_target_": "verl.trainer.config.HybridRolloutSwitchConfig"},
                    }
                }
            },
        }
    )
    made = OneSync.__new__(OneSync)
    OneSync.__init__(made, config)
    assert (seen, config.actor_rollout_ref.actor.ppo_mini_batch_size) == ([32], 8)
    assert not made._enable_hybrid_replicas
    with pytest.raises(AssertionError, match="parameter_sync_step"):
        PPOTrainerSeparateAsync.__init__(made, config)


def test_verl_still_logs_as_it_prints():
    """A logger refuses the argument, unless the level passes over the call."""
    assert "flush=True" in inspect.getsource(PPOTrainerSeparateAsync._setup)
    assert not trainer_separate_async.logger.isEnabledFor(logging.INFO)


def test_verl_copies_weights_for_syncs_that_never_come():
    assert "save_model_to_cpu(0)" in inspect.getsource(PPOTrainerSeparateAsync._compute_old_log_prob)
    ours = inspect.signature(OneSync._compute_old_log_prob).parameters
    assert list(ours) == list(inspect.signature(PPOTrainer._compute_old_log_prob).parameters)


def test_ray_reserves_as_many_cpus_for_a_gpu_of_the_rollout():
    assert f"max_colocate_count={CPUS_PER_ROLLOUT_GPU}" in inspect.getsource(RolloutReplica.init_standalone)


# What a start needs.
def test_weights_between_gpus_need_cupy():
    with pytest.raises(PreflightError, match=r"cupy is missing.*; pip install cupy-cuda13x on every node"):
        check_cupy(dict.fromkeys(CUPY, "missing"), "gpu")
    check_cupy(dict.fromkeys(CUPY, "missing"), "cpu")
    for name in CUPY:
        check_cupy(dict.fromkeys(CUPY, "missing") | {name: "13.0"}, "gpu")


def test_a_worker_without_cupy_is_refused_in_this_mode_alone(monkeypatch):
    monkeypatch.setattr(preflight, "check_versions", lambda device: None)
    check_process("gpu")
    with pytest.raises(PreflightError, match="cupy is missing"):
        check_process("gpu", separate=True)


def test_a_stage_for_elsewhere_is_told_of_cupy_and_a_stage_here_is_refused(make_stage, monkeypatch):
    monkeypatch.setattr(start, "check_versions", lambda device: None)
    request = make_stage(device="gpu", overrides=SEPARATE)
    told = [finding.text for finding in start._installed(SimpleNamespace(request=request, here=False))]
    assert len(told) == 1 and "cupy is missing" in told[0]
    with pytest.raises(InputError, match="pip install cupy"):
        list(start._installed(SimpleNamespace(request=request, here=True)))
    # The nodes of a running cluster answer for themselves.
    joined = make_stage(device="gpu", overrides=SEPARATE, ray_address="head:1")
    assert "verl" in next(start._installed(SimpleNamespace(request=joined, here=True))).text
