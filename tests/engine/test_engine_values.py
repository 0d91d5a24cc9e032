"""Arguments of vLLM and names of attention: what cannot work is one line before anything starts."""

from pathlib import Path

import pytest
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from judgerlvr.config.load import ROOT, load_config
from judgerlvr.engine.private.engine_arguments import (
    DECIDED,
    check_decided,
    check_engine_values,
    check_room_for,
    engine_arguments,
)
from judgerlvr.pipeline.inputs import check_attention
from judgerlvr.runs.request import Request
from rewards.errors import InputError

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
ON_GPUS = [name for name in ALL_ATTENTION_FUNCTIONS.valid_keys() if "flash" in name and "|" not in name]


def request_for(attention):
    keys = [f"cluster.attention={attention}", "cluster.share_prefixes=false"]
    return Request("generate", load_config("configs/tiny.yaml", keys), BASE, Path("ckpt"), "cpu")


@pytest.mark.parametrize("name", DECIDED)
def test_an_argument_of_another_key_is_refused(name):
    with pytest.raises(InputError, match=f"--engine {name}"):
        check_decided({name: "x"}, "--engine ")


def test_each_decided_argument_is_one_of_vllm():
    assert set(DECIDED) <= engine_arguments()


@pytest.mark.parametrize("value", [0, -1, 255, 256.0, "256", True, [256]])
def test_a_context_below_prompt_and_response_is_refused(value):
    with pytest.raises(InputError, match="take up to 256 tokens"):
        check_room_for(256, {"max_model_len": value}, "")


@pytest.mark.parametrize("name", [*ON_GPUS, "sdpa@1", "owner/kernel"])
def test_an_attention_that_a_cpu_cannot_take_is_refused(name):
    with pytest.raises(InputError, match=r"cluster\.attention"):
        check_attention(request_for(name))


@pytest.mark.parametrize("name", ["auto", "packed_sdpa", "eager", "sdpa"])
def test_an_attention_that_a_cpu_can_take_is_accepted(name):
    check_attention(request_for(name))


WRONG = {
    "dtype": "flaot",
    "max_num_seqs": 0,
    "enable_prefix_caching": "perhaps",
    "attention_backend": "NONE_SUCH",
    "max_model_len": 10**9,
    "kv_cache_dtype": 7,
}


# Each imports vLLM in a process of its own, which takes many seconds.
@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_vllm_itself_refuses_a_wrong_value(name):
    with pytest.raises(InputError, match="vLLM refuses the arguments"):
        check_engine_values(BASE, {"dtype": "float32", "max_model_len": 256, name: WRONG[name]}, "--engine")


@pytest.mark.slow
def test_vllm_takes_right_values():
    check_engine_values(BASE, {"dtype": "float32", "max_model_len": 256, "max_num_seqs": 8}, "--engine")
