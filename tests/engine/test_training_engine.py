"""Our engine against verl's own on the same policies and batches, in one process without Ray."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from judgerlvr.engine.devices import REPORTS, TRAINING
from tests.helpers.training_engines import (
    POLICIES,
    batch_of,
    gradients_of,
    log_probs_of,
    make_engine,
    one_process,
    plain_policy,
    read_json,
    whole_logits,
)


class Counted(TorchDispatchMode):
    """Operations whose name holds ``part``, in their order."""

    def __init__(self, part):
        super().__init__()
        self.part, self.names = part, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self.part in str(func):
            self.names.append(str(func))
        return func(*args, **(kwargs or {}))


LENGTHS = [23, 40, 9, 33]


@pytest.fixture(scope="module")
def group():
    with one_process():
        yield


@pytest.fixture(params=list(POLICIES))
def engine(request, group, tmp_path):
    plain_policy(request.param, tmp_path)
    return make_engine(tmp_path, TRAINING)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_equal_verls_own(engine, temperature):
    ours = log_probs_of(engine, batch_of(LENGTHS, temperature=temperature))
    with whole_logits(engine):
        theirs = log_probs_of(engine, batch_of(LENGTHS, temperature=temperature))
    for name in ("log_probs", "entropy"):
        one, other = (torch.cat(list(found[name].unbind())) for found in (ours, theirs))
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_gradients_equal_whole_logits(engine):
    ours, norm = gradients_of(engine, batch_of(LENGTHS, calculate_entropy=False))
    with whole_logits(engine):
        theirs, _ = gradients_of(engine, batch_of(LENGTHS, calculate_entropy=False))
    assert norm > 0.01 and ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert (ours[name] - expected).norm() <= 1e-5 * norm, name


@pytest.mark.parametrize("kept", ["all", "attention"])
@pytest.mark.parametrize("name", ["qwen3", "qwen3_moe"])
def test_recomputing_changes_no_gradient(group, tmp_path, name, kept):
    plain_policy(name, tmp_path)
    expected, norm = gradients_of(make_engine(tmp_path, TRAINING), batch_of(LENGTHS))
    engine = make_engine(tmp_path, TRAINING, [f"cluster.recompute={kept}"])
    with Counted("scaled_dot_product") as attentions:
        found, _ = gradients_of(engine, batch_of(LENGTHS))
    for parameter, gradient in expected.items():
        assert (found[parameter] - gradient).norm() <= 1e-5 * norm, parameter
    forward = [name for name in attentions.names if "backward" not in name]
    backward = [name for name in attentions.names if "backward" in name]
    assert len(backward) > 0 and len(forward) == len(backward) * (2 if kept == "all" else 1)


def test_a_worker_says_what_it_trains_with(group, tmp_path, monkeypatch):
    monkeypatch.setenv(REPORTS, str(tmp_path / "workers"))
    plain_policy("qwen3", tmp_path)
    make_engine(tmp_path, TRAINING)
    facts = read_json(tmp_path / "workers" / "rank-0.json")
    assert facts["name"] == TRAINING and facts["class"].endswith("TrainingEngine")
    assert facts["attention"] == "packed_sdpa, batches of similar lengths"


def test_logits_that_a_model_changes_after_its_head_are_refused(group, tmp_path):
    plain_policy("qwen3", tmp_path)
    engine = make_engine(tmp_path, TRAINING)
    engine.module.register_forward_hook(lambda _module, _inputs, output: setattr(output, "logits", output.logits * 2))
    with pytest.raises(ValueError, match="changes its logits after its head"):
        log_probs_of(engine, batch_of(LENGTHS))
