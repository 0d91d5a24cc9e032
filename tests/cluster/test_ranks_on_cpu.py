"""A CPU machine that trains with several ranks."""

import pytest

from judgerlvr.cluster import environment
from judgerlvr.cluster.ray import LOGICAL_CPUS, cluster_arguments


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_private_cluster_offers_a_logical_gpu_to_each_rank(ranks):
    arguments = cluster_arguments("cpu", None, ranks)
    assert (arguments["num_gpus"], arguments["num_cpus"]) == (ranks, LOGICAL_CPUS * ranks)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_running_cluster_offers_what_it_has(device):
    assert cluster_arguments(device, "head:6379", 4) == {"address": "head:6379"}


@pytest.mark.parametrize(("cores", "ranks", "threads"), [(2, 1, 1), (16, 1, 8), (16, 2, 4), (16, 4, 2), (2, 4, 1)])
def test_ranks_share_the_threads_of_one(monkeypatch, cores, ranks, threads):
    monkeypatch.setattr(environment.os, "cpu_count", lambda: cores)
    assert environment.environment("cpu", 1.0, ranks)[environment.CPU_THREADS] == str(threads)
