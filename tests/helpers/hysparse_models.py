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
