"""Environment variables are set before torch looks for a GPU."""

import os

import pytest
import torch

from judgerlvr.cluster.environment import prepare_environment

CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"


@pytest.fixture
def asked(monkeypatch):
    """The variable's value at each time that torch is asked. The variable is unset before."""
    seen = []
    monkeypatch.setenv(CHECK, "")  # monkeypatch then takes the variable away afterwards
    monkeypatch.delenv(CHECK)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen.append(os.environ.get(CHECK)) or True)
    return seen


def test_torch_is_asked_without_starting_cuda_in_this_process(asked):
    prepare_environment()
    assert asked == ["1"]


def test_a_users_own_way_of_asking_stays(asked, monkeypatch):
    monkeypatch.setenv(CHECK, "0")
    prepare_environment()
    assert asked == ["0"]
