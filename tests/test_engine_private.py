"""The private names of verl and vLLM that the engine relies on. Moved? Read the new version, mend, pin again."""

import importlib.metadata
import inspect

import pytest
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from judgerlvr.engine.private import VERL_VERSION, VLLM_VERSIONS


def test_versions_are_the_pinned_ones():
    assert importlib.metadata.version("verl") == VERL_VERSION
    assert importlib.metadata.version("vllm").split("+")[0] == VLLM_VERSIONS["cpu"]


@pytest.mark.parametrize("name", ["_sync_metadata_from_transfer_queue", "_clear_groups"])
def test_replay_buffer_method(name):
    assert callable(getattr(ReplayBuffer, name))


@pytest.mark.parametrize(
    "name", ["finished_keys", "failure_keys", "pending_keys", "running_keys", "prompt_global_steps"]
)
def test_replay_buffer_state(name):
    assert f"self.{name}" in inspect.getsource(ReplayBuffer.__init__)


def test_custom_sampler_still_gets_these_arguments():
    source = inspect.getsource(trainer_base.PPOTrainer._build_replay_buffer)
    for name in ("trainer_mode", "trainer_config", "sampler_kwargs", "refill_fn"):
        assert f"{name}=" in source


@pytest.mark.parametrize("hook", ["on_init_end", "on_validate_begin", "on_train_begin", "on_sample_end", "on_step_end"])
def test_trainer_hook_is_called(hook):
    assert f"self.{hook}()" in inspect.getsource(trainer_base.PPOTrainer)


def test_fit_reads_the_values_that_the_stop_rule_sets():
    source = inspect.getsource(trainer_base.PPOTrainer.fit)
    assert "self.global_steps <= self.total_training_steps" in source
    assert "self.config.trainer.save_freq > 0" in source


def test_process_group_still_builds_a_duplicate_device():
    from verl.utils import distributed

    original = inspect.unwrap(distributed.initialize_global_process_group_ray)
    assert "backend" in inspect.signature(original).parameters


def test_vllm_cpu_reload_takes_an_iterator_of_checkpoint_weights():
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    parameters = inspect.signature(GPUModelRunner.reload_weights).parameters
    assert {"weights_iterator", "is_checkpoint_format"} <= parameters.keys()


def test_vllm_moe_still_skips_repacking_while_its_kernel_is_set():
    from vllm.model_executor.layers.fused_moe import unquantized_fused_moe_method

    assert "moe_kernel" in inspect.getsource(unquantized_fused_moe_method)


def test_weight_receiver_signature():
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver

    assert {"zmq_handle", "device", "use_shm"} <= inspect.signature(BucketedWeightReceiver).parameters.keys()
