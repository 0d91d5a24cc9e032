"""The trainer's passes fetch columns of tensors alone, and the handle of the samples is as before afterwards."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from tensordict import NonTensorStack, TensorDict
from verl.trainer.ppo.v1 import trainer_base
from verl.utils import transferqueue_utils

from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.engine.private import tensor_columns
from judgerlvr.engine.private.tensor_columns import TensorColumns, tensors_alone

PASSES = ["_compute_old_log_prob", "_compute_ref_log_prob", "_update_actor"]


@pytest.fixture
def batch(monkeypatch):
    """A handle of two samples with a column of tensors, a jagged one, and two of plain objects."""
    jagged = torch.nested.as_nested_tensor([torch.ones(2)], layout=torch.jagged)
    row = TensorDict(
        {
            **{"input_ids": jagged, "rm_scores": torch.ones(1, 1)},
            **{"extra_info": NonTensorStack({"id": 7}), "uid": NonTensorStack("a")},
        },
        batch_size=1,
    )
    asked = []

    def get(keys, partition_id):
        asked.append((keys, partition_id))
        return row

    monkeypatch.setattr(tensor_columns.transfer_queue, "kv_batch_get", get)
    return SimpleNamespace(keys=["a_0_0", "a_1_0"], partition_id="train", fields=["all"], asked=asked)


def test_a_pass_is_given_the_columns_of_tensors(batch):
    with tensors_alone(batch):
        assert sorted(batch.fields) == ["input_ids", "rm_scores"]


def test_one_sample_is_fetched_to_know_the_columns(batch):
    with tensors_alone(batch):
        assert batch.asked == [(["a_0_0"], "train")]


def test_the_handle_is_as_before_after_a_pass_that_failed(batch):
    with pytest.raises(RuntimeError), tensors_alone(batch):
        raise RuntimeError
    assert batch.fields == ["all"]


@pytest.mark.parametrize("name", PASSES)
def test_each_pass_runs_inside(batch, name):
    seen = []

    class Verl:
        pass

    setattr(Verl, name, lambda self, batch, metrics: seen.append(list(batch.fields)) or "answer")
    trainer = type("Trainer", (TensorColumns, Verl), {})()
    assert getattr(trainer, name)(batch, metrics={}) == "answer"
    assert [sorted(fields) for fields in seen] == [["input_ids", "rm_scores"]]


@pytest.mark.parametrize("name", PASSES)
def test_verl_still_has_the_pass_and_a_stage_goes_through_ours(name):
    assert callable(getattr(trainer_base.PPOTrainer, name))
    assert getattr(StageTrainer, name) is getattr(TensorColumns, name)


def test_verls_workers_still_fetch_the_fields_that_a_handle_names():
    source = inspect.getsource(transferqueue_utils.async_kv_batch_meta2batch_meta)
    assert "fields = meta.fields" in source and "batch_meta.select_fields(fields)" in source
