"""Why asynchronous scheduling is off where choices travel: what vLLM does to a request that is preempted in flight.

vLLM 0.24 ends such a request by its last step's token, with no blocks left to read choices by. 0.31 does not.
"""

import os

import pytest
import torch

from judgerlvr.cluster.environment import cpu_sampling
from judgerlvr.hysparse.model.presets import preset
from judgerlvr.hysparse.replay.rollout_choices import REQUEST, TRANSFER

pytestmark = pytest.mark.engine

STOP, OTHER, PAGE = 7, 5, 64


@pytest.fixture
def configuration(tmp_path, monkeypatch):
    """vLLM's own, of an engine that carries choices and asks for asynchronous scheduling."""
    for name, value in cpu_sampling(1.0).items():
        os.environ.setdefault(name, value)
    from vllm.engine.arg_utils import EngineArgs

    monkeypatch.setattr("judgerlvr.hysparse.vllm.choice_store.FOLDERS", (tmp_path,))
    preset("tiny", head_dim=32, architectures=["HySparseForCausalLM"]).save_pretrained(tmp_path)
    sizes = {"dtype": "float32", "block_size": PAGE, "max_model_len": 512, "enable_prefix_caching": False}
    carrying = {"kv_transfer_config": TRANSFER | {"engine_id": tmp_path.name}, "async_scheduling": True}
    return EngineArgs(model=str(tmp_path), skip_tokenizer_init=True, **sizes, **carrying).create_engine_config()


def test_a_cpu_has_no_asynchronous_scheduling(configuration):
    assert configuration.scheduler_config.async_scheduling is False


class Scheduling:
    """vLLM's asynchronous scheduler over few pages, with a step in flight while the next step is scheduled."""

    def __init__(self, configuration, pages):
        from vllm.v1.core.sched.async_scheduler import AsyncScheduler
        from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
        from vllm.v1.structured_output import StructuredOutputManager

        configuration.scheduler_config.async_scheduling = True
        configuration.cache_config.num_gpu_blocks = pages
        layers = configuration.model_config.hf_text_config.selecting_layers
        spec = FullAttentionSpec(block_size=PAGE, num_kv_heads=2, head_size=32, dtype=torch.float32)
        group = KVCacheGroupSpec([f"model.layers.{layer}.self_attn.attn" for layer in layers], spec)
        cache, structured = KVCacheConfig(pages, [], [group]), StructuredOutputManager(configuration)
        self.scheduler = AsyncScheduler(configuration, cache, structured, PAGE, PAGE)
        self.in_flight = []

    def add(self, name, tokens):
        from vllm import SamplingParams
        from vllm.v1.request import Request

        asked = SamplingParams(max_tokens=200, stop_token_ids=[STOP], extra_args=REQUEST)
        self.scheduler.add_request(Request(name, [1] * tokens, asked, None))

    def step(self, stopping):
        """Schedule a step, and hand in the output of the step before, by whose tokens ``stopping`` requests end."""
        from vllm.v1.outputs import ModelRunnerOutput

        step = self.scheduler.schedule()
        self.in_flight.append(step)
        if len(self.in_flight) == 2:
            done = self.in_flight.pop(0)
            names = list(done.num_scheduled_tokens)
            tokens = [[STOP if name in stopping(step) else OTHER] for name in names]
            positions = {name: place for place, name in enumerate(names)}
            self.scheduler.update_from_output(done, ModelRunnerOutput(names, positions, tokens))
        return step


def test_a_request_that_was_preempted_in_flight_is_computed_again(configuration):
    """Its stop token is dropped, so no request ends whose blocks are gone."""
    engine = Scheduling(configuration, pages=4)
    for name in ("kept", "preempted"):
        engine.add(name, PAGE - 4)
    steps = [engine.step(lambda step: step.preempted_req_ids or ()) for _ in range(7)]
    when = next(number for number, step in enumerate(steps) if "preempted" in (step.preempted_req_ids or ()))
    assert steps[when + 1].num_scheduled_tokens["preempted"] == PAGE and "preempted" in engine.scheduler.requests
