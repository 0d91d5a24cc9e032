"""A HySparse2 policy with the weights of a Qwen3 base: right at times, so that RL has something to learn."""

import shutil

from transformers import AutoModelForCausalLM

from judgerlvr.hysparse import HySparseConfig, HySparseForCausalLM
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.hysparse_models import KINDS

# Fields that both kinds of configuration have.
SHARED = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"]
SHARED += ["head_dim", "vocab_size", "max_position_embeddings", "rope_parameters", "tie_word_embeddings"]
SHARED += ["rms_norm_eps", "bos_token_id", "eos_token_id", "pad_token_id"]
SHARED += ["num_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob"]
# The cross-decoder's full layer makes its keys of the input of the layer before. Most rows see more than 32 tokens.
LAYOUT = {
    "layer_types": [KINDS[letter] for letter in "ffwffs"],
    "self_decoder_layers": 4,
    "bridges": [3],
    "branches": "sparse",
    "sliding_window": 32,
    "select_block": 1,
    "select_tokens": 32,
    "forced_local_blocks": 8,
    "gates": "none",
    "sinks": False,
    "qk_norm": True,
}


def write_policy(source, folder):
    base = AutoModelForCausalLM.from_pretrained(base_path(source))
    fields = {name: getattr(base.config, name) for name in SHARED if hasattr(base.config, name)}
    weights = base.state_dict()
    model = HySparseForCausalLM(HySparseConfig(**fields, **LAYOUT))
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    shutil.copytree(base_path(source), folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    model.to(base.dtype).save_pretrained(folder)
