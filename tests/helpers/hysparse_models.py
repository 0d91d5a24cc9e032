"""Tiny HySparse models with attention so peaked that selection changes the output."""

import torch

from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.model.presets import preset
from tests.helpers.hysparse_loops import crowded_share

# Tensors here are too small to share between threads. With two threads, a busy machine runs these tests ten times
# slower.
torch.set_num_threads(1)

NAMES = ["tiny", "tiny-moe"]
SELECTIVE = {"select_block": 4, "select_tokens": 16, "sliding_window": 12, "initializer_range": 0.08}
KINDS = {"w": "sliding_attention", "s": "sliding_attention", "f": "full_attention"}
# HySparse2 with other pairs, heads, experts and rotation than the preset. "w" is a window layer, "s" a sparse layer.
CROSSED = {
    "num_hidden_layers": 13,
    "layer_types": [KINDS[letter] for letter in "wfwfwwwfsfssf"],
    "self_decoder_layers": 7,
    "bridges": [3, 1, 3],
    "num_key_value_heads": 2,
    "rotary_layers": "every",
    "qk_norm": True,
    "attention_bias": True,
    "gates": "head",
    "gate_bias": True,
    "gate_full": True,
    "sinks_full": True,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
}
PEAKED = 4.0  # factor on query weights


def make_model(name="tiny", seed=0, **changes):
    """Model in evaluation mode. Sinks, biases and gates drawn at random, so that none of them is neutral."""
    torch.manual_seed(seed)
    model = HySparseForCausalLM(preset(name, **{**SELECTIVE, **changes})).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "sinks" in key or key.endswith("bias"):
                parameter.normal_()
            if "q_proj.weight" in key:
                parameter.mul_(PEAKED)
    return model


def random_ids(batch, length, seed=1):
    return torch.randint(0, 512, (batch, length), generator=torch.Generator().manual_seed(seed))


def assert_selection_bites(model, segments):
    assert crowded_share(segments, model.config.selection) >= 0.5


def logits_of(model, ids, **arguments):
    with torch.no_grad():
        return model(ids, use_cache=False, **arguments).logits
