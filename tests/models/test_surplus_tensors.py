"""Weight files with a tensor too many, and with a tensor that holds whole numbers, are told before any engine."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from judgerlvr.config.load import ROOT
from judgerlvr.models.tensors import check_tensors
from rewards.errors import InputError
from tests.helpers.model_damage import WEIGHTS, copy_base

BASES = ("qwen3", "qwen3_moe", "hysparse", "hysparse_moe", "hysparse2")
DENSE = "model.layers.0.mlp.down_proj.weight"


def changed(folder, change):
    """A copy of the dense base with other tensors."""
    model = copy_base(folder / "model")
    tensors = load_file(model / WEIGHTS)
    change(tensors)
    (model / WEIGHTS).unlink()
    save_file(tensors, model / WEIGHTS, metadata={"format": "pt"})
    return model


@pytest.mark.parametrize("base", BASES)
def test_a_shipped_base_has_no_tensor_too_many(base):
    check_tensors(ROOT / "judgerlvr" / "tinyworld" / "base" / base, False)


@pytest.mark.parametrize("name", ["v_head.weight", "lm_extra.weight", "score.weight", f"{DENSE}_scale"])
def test_a_tensor_without_a_part_of_the_model_is_named(tmp_path, name):
    model = changed(tmp_path, lambda tensors: tensors.update({name: torch.zeros(2, 2)}))
    with pytest.raises(InputError, match=f"the model has no part for 1 tensor of the weight files, first {name}"):
        check_tensors(model, False)


@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"])
def test_a_tensor_that_no_engine_reads_is_accepted(tmp_path, name):
    def add(tensors):
        tensors[name] = tensors["model.embed_tokens.weight"].clone()

    check_tensors(changed(tmp_path, add), False)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn])
def test_a_tensor_of_no_floating_point_type_is_named(tmp_path, dtype):
    model = changed(tmp_path, lambda tensors: tensors.update({DENSE: tensors[DENSE].to(dtype)}))
    with pytest.raises(InputError, match=f"tensor {DENSE} is of type"):
        check_tensors(model, False)
