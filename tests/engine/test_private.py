"""The private names of verl and vLLM that the engine relies on. Moved? Read the new version, mend, pin again."""

import importlib.metadata
import inspect
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from judgerlvr.engine.devices import COMPARING, REPLAYING, SOCKETS, TRAINING
from judgerlvr.engine.private import VERL_VERSION, VLLM_VERSIONS, weights
from judgerlvr.engine.private.tracking import flush
from judgerlvr.engine.private.validation import ValidationFigures


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


def test_a_step_is_logged_after_its_checkpoint_is_saved_and_under_the_same_number():
    source = inspect.getsource(trainer_base.PPOTrainer.fit)
    marks = [
        "self._save_checkpoint()",
        "self.logger.log(data=metrics, step=self.global_steps)",
        "self.global_steps += 1",
    ]
    places = [source.rindex(mark) for mark in marks]
    assert places == sorted(places)


def test_the_trackers_writer_of_tensorboard_files_is_flushed(tmp_path, monkeypatch):
    """A killed trainer closes no writer, so the writer is not closed here."""
    from verl.utils.tracking import Tracking

    monkeypatch.setenv("TENSORBOARD_DIR", str(tmp_path))
    tracker = Tracking("project", "experiment", ["tensorboard"])
    tracker.log({"a": 1.0}, step=7)
    flush(tracker)
    seen = EventAccumulator(str(tmp_path)).Reload().Scalars("a")
    tracker.finish()
    assert [event.step for event in seen] == [7]


def test_validation_still_hands_its_samples_to_one_method():
    source = inspect.getsource(trainer_base.PPOTrainer._validate)
    assert "return self._val_metrics_update(" in source
    parameters = list(inspect.signature(trainer_base.PPOTrainer._val_metrics_update).parameters)
    ours = list(inspect.signature(ValidationFigures._val_metrics_update).parameters)
    assert parameters == ours


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


def test_batches_still_pass_through_the_engine_this_way():
    from verl.workers.engine import FSDPEngineWithLMHead

    inputs = inspect.signature(FSDPEngineWithLMHead.prepare_model_inputs).parameters
    outputs = inspect.signature(FSDPEngineWithLMHead.prepare_model_outputs).parameters
    assert list(inputs) == ["self", "micro_batch"]
    assert list(outputs) == ["self", "output", "output_args", "micro_batch", "logits_processor_func"]
    source = inspect.getsource(FSDPEngineWithLMHead.prepare_model_inputs)
    assert 'output_args["pad_size"] = static_pad_size + sp_pad_size' in source
    assert "return model_inputs, output_args" in source
    for name in ("input_ids_rmpad_rolled", "temperature_rmpad"):
        assert f'output_args["{name}"] = {name}' in source


def test_verl_reads_log_probabilities_where_its_flag_of_fused_kernels_is_set():
    from verl.workers.engine import FSDPEngineWithLMHead

    source = inspect.getsource(FSDPEngineWithLMHead.prepare_model_outputs)
    assert 'key="use_fused_kernels"' in source
    assert "output.log_probs.squeeze(0)" in source and "output.entropy.squeeze(0)" in source


@pytest.mark.parametrize("name", [TRAINING, REPLAYING, COMPARING])
def test_verl_finds_the_engines_by_their_vendor(monkeypatch, name):
    from verl.workers.engine import EngineRegistry

    from judgerlvr.engine.private import block_engine  # noqa: F401  (registers all three)

    monkeypatch.setenv("VERL_ENGINE_DEVICE", "cuda")
    monkeypatch.setenv("VERL_ENGINE_VENDOR", name)
    assert EngineRegistry.get_engine_cls("language_model", "fsdp2").name == name


def test_a_samples_choices_travel_in_the_field_of_routed_experts():
    from verl.experimental.agent_loop import AgentLoopOutput
    from verl.trainer.ppo import padding_utils
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

    assert "routed_experts" in AgentLoopOutput.model_fields
    # Our output replaces the rows that this method makes of the field.
    assert "output.as_dict()" in inspect.getsource(AgentLoopWorkerTQ._agent_loop_postprocess)
    # Samples that fill up a batch get rows too.
    assert "build_padding_routed_experts" in inspect.getsource(padding_utils.construct_minimal_padding_template)


def test_verls_rollout_server_hands_on_what_a_connector_returns():
    from verl.workers.rollout.vllm_rollout import vllm_async_server

    assert 'extra_fields["kv_transfer_params"] = response_kv_transfer_params' in inspect.getsource(vllm_async_server)


def test_checkpoints_are_still_loaded_through_this_method():
    from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager

    original = inspect.unwrap(FSDPCheckpointManager.load_checkpoint)
    assert list(inspect.signature(original).parameters)[:2] == ["self", "local_path"]
    source = inspect.getsource(original)
    for used in ("self.model.", "self.optimizer.", "self.lr_scheduler.", "self.rank", "self.world_size"):
        assert used in source
    assert "self.load_rng_state(" in source


def test_workers_import_what_external_lib_names_before_the_model(make_stage):
    from verl.workers.config import model

    assert "import_external_libs(self.external_lib)" in inspect.getsource(model.HFModelConfig)


# The form of verl's own name, which lies in a folder that all runs of a machine share.
VERLS_SOCKET = "ipc://rl-colocate-zmq-01000000-replica-0-rank-0.sock"


def test_two_runs_on_one_machine_have_sockets_of_their_own(monkeypatch):
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

    monkeypatch.setattr(BucketedWeightSender, "__init__", BucketedWeightSender.__init__)
    weights.send_on_own_socket()
    weights.send_on_own_socket()
    handles = []
    for run in ("one", "two"):
        monkeypatch.setenv(SOCKETS, run)
        sender = BucketedWeightSender(zmq_handle=VERLS_SOCKET)
        assert sender.zmq_handle == weights.own_socket(VERLS_SOCKET)
        handles.append(sender.zmq_handle)
    assert len(set(handles)) == 2


def test_a_rollout_worker_looks_for_weights_at_the_runs_own_socket(monkeypatch):
    from types import SimpleNamespace

    from judgerlvr.engine.private.rollout_worker import RolloutWorker

    monkeypatch.setenv(SOCKETS, "one")
    worker: Any = object.__new__(RolloutWorker)
    worker.model_runner, worker.local_rank = SimpleNamespace(), 0
    assert "rl-colocate-one-zmq" in worker._get_zmq_handle()


@pytest.mark.parametrize("method", ["update_weights_from_ipc", "update_verl_delta_weights"])
def test_verls_workers_still_ask_for_their_socket(method):
    from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

    assert "self._get_zmq_handle()" in inspect.getsource(getattr(vLLMColocateWorkerExtension, method))


def test_verls_loop_still_has_what_a_prompts_tokens_are_built_with():
    from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

    for name in ("ct_build_initial_tokens", "ct_merge_assistant_token", "_cap_text_prompt_length"):
        assert callable(getattr(SingleTurnAgentLoop, name))
    source = inspect.getsource(SingleTurnAgentLoop.ct_merge_assistant_token)
    assert "merge_assistant_tokens" in source and "align_response_metadata" in source


def test_verl_still_says_in_these_words_that_gpus_are_missing():
    from verl.single_controller.ray.base import ResourcePoolManager

    source = inspect.getsource(ResourcePoolManager._check_resource_available)
    assert "Total available GPUs {total_available_gpus} is less than total desired GPUs {total_required" in source
