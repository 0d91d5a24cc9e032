"""Engines outside training: an argument that a person names wins over the share of memory."""

from types import SimpleNamespace

import pytest

from judgerlvr.config.load import load_config
from judgerlvr.sampling.engines import EngineSettings, engine_arguments

OWN = "cluster.rollout_engine.gpu_memory_utilization=0.3"


@pytest.mark.parametrize(("words", "share"), [([], 0.5), ([OWN], 0.3)])
def test_a_named_argument_wins_over_the_share(words, share):
    config = load_config(None, ["cluster.rollout_gpu_share=0.5", *words])
    place = SimpleNamespace(config=config, device="gpu", ray_address=None)
    assert EngineSettings.of_place(place).arguments == engine_arguments(config.cluster, "gpu")
    assert engine_arguments(config.cluster, "gpu")["gpu_memory_utilization"] == share


def test_a_cpu_engine_gets_no_share_of_a_gpu():
    assert engine_arguments(load_config(None).cluster, "cpu") == {}
