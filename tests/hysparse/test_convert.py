"""Conversion of Qwen3 and Qwen3-MoE: exact where exactness can be had, and loadable without this package."""

import os
import subprocess
import sys
import textwrap
from dataclasses import fields

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM
from transformers.models.qwen3_moe.modeling_qwen3_moe import apply_rotary_pos_emb

from judgerlvr.hysparse.conversion.conversion import config_from, convert
from judgerlvr.hysparse.conversion.options import InitialValues
from judgerlvr.hysparse.convert import main
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import source_layer
from rewards.errors import InputError
from tests.helpers.hysparse_models import logits_of, random_ids

LENGTH = 50
SIZES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.1,
}
CLOSED, OPEN, NO_SINK = 0.0, 1.0, -float("inf")
WIDE = {"sparse_ratio": 2, "select_block": 8, "select_tokens": 64}


CONFIGS = {"qwen3": Qwen3Config, "qwen3_moe": Qwen3MoeConfig}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
# Released models differ in these from the defaults of transformers.
SETTINGS = {
    "defaults": {},
    "theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
    "yarn": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0}},
    "eps": {"rms_norm_eps": 0.1},
    "bias": {"attention_bias": True},
    "norm_topk_prob": {"norm_topk_prob": True},
}
SOURCES = [(family, name) for family in CONFIGS for name in SETTINGS if "moe" in family or "topk" not in name]


def make_source(family, setting="defaults"):
    torch.manual_seed(0)
    sizes = SIZES | SETTINGS[setting]
    if family == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**sizes)).eval()
    else:
        model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, **EXPERTS)).eval()
    with torch.no_grad():
        # transformers begins with biases of 0.
        for bias in [tensor for name, tensor in model.named_parameters() if name.endswith("bias")]:
            bias.normal_(std=0.1)
    return model


@torch.no_grad()
def twin_logits(source, kinds, ids):
    """The source run by hand with full attention everywhere, sparse layers using their full layer's K and V."""
    core, cached = source.model, {}
    hidden, where = core.embed_tokens(ids), torch.arange(ids.shape[1])[None]
    cos, sin = core.rotary_emb(hidden, where)
    for number, layer in enumerate(core.layers):
        attention, normed = layer.self_attn, layer.input_layernorm(hidden)
        split = (*normed.shape[:2], -1, attention.head_dim)
        q = attention.q_norm(attention.q_proj(normed).view(split)).transpose(1, 2)
        k = attention.k_norm(attention.k_proj(normed).view(split)).transpose(1, 2)
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        cached[number] = k, attention.v_proj(normed).view(split).transpose(1, 2)
        k, v = cached[source_layer(kinds, number)]
        out = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        hidden = hidden + attention.o_proj(out.transpose(1, 2).flatten(2))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return source.lm_head(core.norm(hidden))


@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe"])
def test_all_blocks_through_the_sparse_gate_equal_a_hand_built_twin(family):
    source, ids = make_source(family), random_ids(2, LENGTH)
    model = convert(source, InitialValues(OPEN, CLOSED, NO_SINK), **WIDE)
    expected = twin_logits(source, model.config.kinds, ids)
    torch.testing.assert_close(logits_of(model, ids), expected, rtol=1e-5, atol=1e-5)
    assert (expected - logits_of(source, ids)).abs().max() > 1e-2


@pytest.mark.parametrize(("family", "setting"), SOURCES)
def test_a_window_over_everything_through_its_gate_equals_the_source(family, setting):
    source, ids = make_source(family, setting), random_ids(2, LENGTH)
    model = convert(source, InitialValues(CLOSED, OPEN, NO_SINK), sliding_window=LENGTH, **WIDE)
    torch.testing.assert_close(logits_of(model, ids), logits_of(source, ids), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("family", "setting"), [pair for pair in SOURCES if pair[1] != "defaults"])
def test_each_setting_of_a_source_changes_its_logits(family, setting):
    """Else the identity could not tell a lost setting."""
    ids = random_ids(2, LENGTH)
    assert (logits_of(make_source(family, setting), ids) - logits_of(make_source(family), ids)).abs().max() > 1e-3


# A value of each field that a source has and a conversion carries, other than the source's default.
OTHERS = {
    "vocab_size": 512,
    "hidden_size": 512,
    "intermediate_size": 128,
    "num_hidden_layers": 5,
    "num_attention_heads": 64,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "gelu",
    "max_position_embeddings": 4096,
    "initializer_range": 0.1,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0},
    "attention_bias": True,
    "pad_token_id": 5,
    "bos_token_id": 6,
    "eos_token_id": [7, 8],
    "dtype": "bfloat16",
    "num_experts": 16,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 96,
    "norm_topk_prob": True,
    "decoder_sparse_step": 2,
    "mlp_only_layers": [1],
    "output_router_logits": True,
    "router_aux_loss_coef": 0.01,
}
CALL = "a choice of a call, and not of the model"
CLASSES = "only a classifier reads the field"
# Fields that both configurations have and a conversion leaves, with the reason.
LEFT = {
    "transformers_version": "written at each save",
    "architectures": "written at each save, and the class is another",
    "output_hidden_states": CALL,
    "return_dict": CALL,
    "use_cache": CALL,
    "chunk_size_feed_forward": "neither model reads the field",
    "is_encoder_decoder": "neither model has an encoder",
    "id2label": CLASSES,
    "label2id": CLASSES,
    "problem_type": CLASSES,
    "use_sliding_window": "a source with windows is refused",
    "sliding_window": "the window is HySparse's own, and a source with windows is refused",
    "layer_types": "the placement of full layers is HySparse's own",
    "attention_dropout": "HySparse has no dropout",
}
# A Qwen3-MoE configuration has a head dim where config.json names one, and no such field.
SHARED = {("qwen3_moe", "head_dim")} | {
    (family, field.name)
    for family, config in CONFIGS.items()
    for field in fields(config)
    if field.name in {own.name for own in fields(HySparseConfig)}
}


@pytest.mark.parametrize(("family", "field"), sorted(pair for pair in SHARED if pair[1] not in LEFT))
def test_a_field_of_the_source_is_carried(family, field):
    plain, source = CONFIGS[family](), CONFIGS[family](**{field: OTHERS[field]})
    assert getattr(source, field) != getattr(plain, field, None)
    assert getattr(config_from(source), field) == getattr(source, field)


def test_a_source_that_names_no_head_dim_splits_its_hidden_size():
    config = Qwen3MoeConfig(num_hidden_layers=1)
    with torch.device("meta"):
        model = Qwen3MoeForCausalLM(config)
    assert config_from(config).head_dim == model.model.layers[0].self_attn.head_dim == 64


def test_a_field_that_is_left_is_one_of_both_configurations_and_is_not_carried():
    assert LEFT.keys() <= {field for _, field in SHARED} - OTHERS.keys()


def test_default_start_gives_new_parts_a_gradient():
    model = convert(make_source("qwen3"), **WIDE).train()
    ids = random_ids(1, LENGTH)
    model(ids, labels=ids, use_cache=False).loss.backward()
    new = {name: p.grad for name, p in model.named_parameters() if ".g_" in name or "sinks" in name}
    assert len(new) == 4 * (4 + 2)
    assert [name for name, grad in new.items() if grad is None or not grad.any()] == []


def test_another_family_is_refused():
    source = make_source("qwen3")
    source.config.model_type = "llama"
    with pytest.raises(InputError, match="llama"):
        convert(source)


@pytest.mark.parametrize("wrong", [["--select-tokens", "100"], []], ids=["bad setting", "no model"])
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, wrong):
    if wrong:
        make_source("qwen3").save_pretrained(tmp_path / "source")
    capsys.readouterr()
    assert main([str(tmp_path / "source"), str(tmp_path / "out"), *wrong]) == 2
    assert capsys.readouterr().err.startswith("error: ")


LOADER = """
    import sys
    sys.modules["judgerlvr"] = None  # any import of the package now fails
    import torch
    from transformers import AutoModelForCausalLM
    first, second, ids = sys.argv[1:]
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(first, trust_remote_code=True).eval()
    model.save_pretrained(second)
    again = AutoModelForCausalLM.from_pretrained(second, trust_remote_code=True).eval()
    ids = torch.load(ids)
    with torch.no_grad():
        torch.save([m(ids).logits for m in (model, again)], second + "/logits.pt")
    made = model.generate(ids, max_new_tokens=2, do_sample=False)
    assert made.shape[1] == ids.shape[1] + 2
"""


def test_saved_directory_loads_without_the_package(tmp_path):
    """Also saves again from the loaded code, since a trainer would."""
    model, ids = convert(make_source("qwen3_moe"), **WIDE), random_ids(1, LENGTH)
    first, second = tmp_path / "first", tmp_path / "second"
    model.save_pretrained(first)
    torch.save(ids, tmp_path / "ids.pt")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", textwrap.dedent(LOADER), str(first), str(second), str(tmp_path / "ids.pt")]
    finished = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    for logits in torch.load(second / "logits.pt"):
        torch.testing.assert_close(logits, logits_of(model, ids), rtol=1e-5, atol=1e-5)
