"""The whole model: caching, packing, padding and checkpointing change where work is done, never its result."""

from itertools import pairwise
from unittest.mock import MagicMock

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeTopKRouter

import judgerlvr.hysparse.model.registration  # noqa: F401
from judgerlvr.hysparse.agreement.trainer_choices import trainer_choices
from judgerlvr.hysparse.model import modeling
from judgerlvr.hysparse.model.attention import FullAttention
from judgerlvr.hysparse.model.presets import preset
from judgerlvr.hysparse.ops import dispatch, reference
from judgerlvr.hysparse.ops.segments import from_lengths, from_mask, whole
from judgerlvr.hysparse.replay.rollout_choices import Choices
from tests.helpers.hysparse_models import NAMES, assert_selection_bites, logits_of, make_model, random_ids

LENGTH = 60
TIGHT = {"rtol": 1e-5, "atol": 1e-5}


def chunked_logits(model, ids, lengths):
    """Logits of ``ids`` fed through one cache in chunks of ``lengths``."""
    cache, parts = None, []
    for chunk in ids.split(lengths, dim=1):
        with torch.no_grad():
            out = model(chunk, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        parts.append(out.logits)
    return torch.cat(parts, dim=1), cache


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lengths", [[1] * LENGTH, [17, 1, 30, 5, 7]], ids=["token by token", "uneven chunks"])
def test_cached_equals_whole(name, lengths):
    model, ids = make_model(name), random_ids(2, LENGTH)
    assert_selection_bites(model, whole(2, LENGTH))
    torch.testing.assert_close(chunked_logits(model, ids, lengths)[0], logits_of(model, ids), **TIGHT)


def test_cache_holds_full_keys_once_a_block_and_a_window_in_sparse_layers():
    model = make_model(layer_types=None)
    cache = chunked_logits(model, random_ids(1, LENGTH), [50, 10])[1]
    held = [layer.keys.shape[2] for layer in cache.layers]
    window = model.config.sliding_window - 1
    assert held == [LENGTH, window, window, LENGTH, window, window, LENGTH]


@pytest.mark.parametrize("name", NAMES)
def test_generate_repeats_the_uncached_argmax(name):
    model, ids = make_model(name), random_ids(1, LENGTH)
    made = model.generate(ids, max_new_tokens=6, do_sample=False, use_cache=True)
    for end in range(LENGTH, LENGTH + 6):
        assert made[0, end] == logits_of(model, made[:, :end])[0, -1].argmax()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["position_ids", "cu_seqlens"])
def test_packed_equals_separate(name, how):
    model, ids, cuts = make_model(name), random_ids(1, 90), [0, 50, 51, 90]
    assert_selection_bites(model, from_lengths(torch.tensor(cuts), 90))
    separate = [ids[:, a:b] for a, b in pairwise(cuts)]
    arguments = {"position_ids": torch.cat([torch.arange(part.shape[1]) for part in separate])[None]}
    if how == "cu_seqlens":
        arguments = {"cu_seqlens": torch.tensor(cuts, dtype=torch.int32)}
    packed = logits_of(model, ids, **arguments)
    torch.testing.assert_close(packed, torch.cat([logits_of(model, part) for part in separate], dim=1), **TIGHT)


@pytest.mark.parametrize("name", NAMES)
def test_left_padding_changes_nothing(name):
    model, ids = make_model(name), random_ids(2, LENGTH)
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[0, :13] = 0
    assert_selection_bites(model, from_mask(mask, LENGTH))
    padded = logits_of(model, ids, attention_mask=mask)
    torch.testing.assert_close(padded[:1, 13:], logits_of(model, ids[:1, 13:]), **TIGHT)


def test_another_cache_is_refused():
    with pytest.raises(ValueError, match="DynamicCache, not in a StaticCache"):
        make_model().generate(random_ids(1, 8), max_new_tokens=2, cache_implementation="static")


def test_padded_batch_generates_as_its_rows_do():
    model, ids = make_model(), random_ids(2, LENGTH)
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[0, :13] = 0
    made = model.generate(ids, attention_mask=mask, max_new_tokens=8, do_sample=False)
    alone = model.generate(ids[:1, 13:], max_new_tokens=8, do_sample=False)
    assert made[0, LENGTH:].tolist() == alone[0, LENGTH - 13 :].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_in_training_with_checkpointing_generates_as_in_evaluation(name):
    model, ids = make_model(name), random_ids(1, LENGTH)
    expected = model.generate(ids, max_new_tokens=8, do_sample=False)
    model.train().gradient_checkpointing_enable()
    assert model.generate(ids, max_new_tokens=8, do_sample=False).tolist() == expected.tolist()


def test_checkpointing_with_gradients_warns_of_a_cache_and_drops_it(monkeypatch):
    """As transformers' Qwen3. A mask that covers cached tokens, too, is cut to the new tokens."""
    model, ids, warned = make_model().train(), random_ids(1, LENGTH), []
    monkeypatch.setattr(modeling.logger, "warning_once", warned.append)
    with torch.no_grad():
        cache = model(ids[:, :20], use_cache=True).past_key_values
    model.gradient_checkpointing_enable()
    mask = torch.ones(1, LENGTH, dtype=torch.long)
    found = model(ids[:, 20:], past_key_values=cache, attention_mask=mask)
    assert any("the given cache is unused" in line for line in warned) and found.past_key_values is None
    torch.testing.assert_close(found.logits, logits_of(model, ids[:, 20:]), **TIGHT)


def test_selection_matters_to_these_models():
    """Guards the tests above: were selection without effect, they would pass on a model without it."""
    ids = random_ids(1, LENGTH)
    narrow, wide = make_model(), make_model(select_tokens=64)
    assert (logits_of(narrow, ids) - logits_of(wide, ids)).abs().max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_checkpointing_keeps_gradients_and_selects_once(name, monkeypatch):
    model, ids = make_model(name).train(), random_ids(2, LENGTH)
    assert_selection_bites(model, whole(2, LENGTH))
    plain = gradients(model, ids)
    counted = count_selections(monkeypatch)
    model.gradient_checkpointing_enable()
    torch.testing.assert_close(gradients(model, ids), plain, **TIGHT)
    assert len(counted) == sum(getattr(m, "selects", False) for m in model.modules())


def gradients(model, ids):
    model.zero_grad()
    model(ids, labels=ids, use_cache=False).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def count_selections(monkeypatch):
    calls, select = [], reference.select_blocks
    monkeypatch.setattr(reference, "select_blocks", lambda *args: calls.append(1) or select(*args))
    return calls


def test_every_parameter_gets_a_gradient():
    model, ids = make_model().train(), random_ids(2, LENGTH)
    dead = [name for name, p in model.named_parameters() if p.grad is None and name not in gradients(model, ids)]
    assert dead == []


def test_mixture_loss_includes_the_router_balance():
    model, ids = make_model("tiny-moe"), random_ids(1, LENGTH)
    plain = model(ids, labels=ids).loss
    out = model(ids, labels=ids, output_router_logits=True)
    torch.testing.assert_close(out.loss, plain + model.config.router_aux_loss_coef * out.aux_loss)


def test_router_balance_equals_loops_over_the_tokens_that_are_no_padding():
    """Switch Transformer, equations 4-6, over the tokens of all layers together and each of the top k apart."""
    model, ids, config = make_model("tiny-moe"), random_ids(2, LENGTH), preset("tiny-moe")
    mask, seen = torch.ones(2, LENGTH, dtype=torch.long), []
    mask[0, :13] = 0
    for router in (module for module in model.modules() if isinstance(module, Qwen3MoeTopKRouter)):
        router.register_forward_hook(lambda router, given, _: seen.append(given[0] @ router.weight.T))
    balance = model(ids, attention_mask=mask, output_router_logits=True).aux_loss.item()
    real = mask.flatten().bool()
    rows = [row for layer in seen for row in layer.reshape(2 * LENGTH, -1)[real].double().softmax(-1).tolist()]
    chosen = [sorted(range(len(row)), key=lambda expert: -row[expert])[: config.num_experts_per_tok] for row in rows]
    expected, tokens = 0.0, len(rows)
    for expert in range(config.num_experts):
        taken = sum(expert in experts for experts in chosen) / tokens
        expected += config.num_experts * taken * sum(row[expert] for row in rows) / tokens
    assert len(seen) == len(config.expert_layers) and tokens == len(seen) * (2 * LENGTH - 13)
    assert balance == pytest.approx(expected, rel=1e-5)


def test_auto_classes_know_the_model(tmp_path):
    make_model().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)).__name__ == "HySparseConfig"
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(again, random_ids(1, 9)), logits_of(make_model(), random_ids(1, 9)))


def test_half_precision_keeps_sinks_in_float32(tmp_path):
    make_model().save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert model.model.layers[1].self_attn.sinks_swa.dtype == torch.float32
    assert model.model.layers[1].self_attn.q_proj.weight.dtype == torch.bfloat16
    assert logits_of(model, random_ids(1, LENGTH)).isfinite().all()


def test_half_precision_sums_shared_gradients_in_float32(monkeypatch):
    model, ids = make_model().to(torch.bfloat16).train(), random_ids(1, LENGTH)
    seen, layer = [], model.model.layers[1].self_attn
    shared, recorded = layer.shared, lambda q, blocks: seen.append((q.dtype, blocks.keys.dtype))
    monkeypatch.setattr(layer, "shared", lambda q, blocks, step: recorded(q, blocks) or shared(q, blocks, step))
    assert all(grad.isfinite().all() for grad in gradients(model, ids).values())
    logits_of(model, ids)
    assert seen == [(torch.bfloat16, torch.float32), (torch.bfloat16, torch.bfloat16)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trained", [("q", "v"), ("v",), ("k",), ("q",)], ids="".join)
def test_frozen_projections_change_no_bit_of_the_other_gradients(name, trained):
    """In half precision. A first full layer without k among the trained still sums v's gradient in float32."""
    ids, found = random_ids(2, LENGTH), []
    for frozen in (False, True):
        model = make_model(name).to(torch.bfloat16).train()
        for key, parameter in model.named_parameters():
            parameter.requires_grad_(not frozen or key.endswith(tuple(f"{part}_proj.weight" for part in trained)))
        found.append(gradients(model, ids))
    full, part = found
    assert len(part) == len(trained) * model.config.num_hidden_layers
    assert [key for key, gradient in part.items() if not torch.equal(gradient, full[key])] == []


def test_closing_layer_is_full_and_selects_nothing():
    layers = make_model().model.layers
    assert [isinstance(layer.self_attn, FullAttention) for layer in layers] == [1, 0, 0, 1, 0, 0, 1]
    assert not layers[-1].self_attn.selects


@pytest.mark.parametrize(("name", "full"), [("7b", 10), ("80b-a3b", 5)])
def test_paper_presets_have_its_layer_counts(name, full):
    assert preset(name).layer_types.count("full_attention") == full


@pytest.mark.parametrize(
    "wrong",
    [
        {"select_tokens": 100, "select_block": 64},
        {"forced_first_blocks": 9, "forced_local_blocks": 9},
        {"gates": "row"},
        {"branches": "neither"},
        {"sliding_window": 1},
        {"layer_types": ["sliding_attention"] * 7},
        {"num_key_value_heads": 3},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\d|must|first layer"):
        preset("tiny", **{"select_block": 64, "select_tokens": 1024, **wrong})


def test_mask_with_a_hole_is_refused():
    mask = torch.ones(1, 9, dtype=torch.long)
    mask[0, 4] = 0
    with pytest.raises(ValueError, match="hole"):
        make_model()(random_ids(1, 9), attention_mask=mask)


@pytest.mark.parametrize(
    ("device", "package", "missing"),
    [
        ("cuda", "triton", "triton is not installed"),
        ("cuda", "judgerlvr", "judgerlvr is not"),
        ("xpu", "", "'cuda' only"),
    ],
)
def test_a_device_without_kernels_says_what_is_missing(monkeypatch, device, package, missing):
    monkeypatch.delenv(dispatch.BACKEND_VARIABLE, raising=False)
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(RuntimeError, match=missing):
        dispatch.operations(device)


def test_the_reference_can_be_asked_for_on_any_device(monkeypatch):
    monkeypatch.setenv(dispatch.BACKEND_VARIABLE, "reference")
    assert dispatch.operations("cuda") is dispatch.REFERENCE_OPERATIONS


def test_an_unknown_backend_is_an_error(monkeypatch):
    monkeypatch.setenv(dispatch.BACKEND_VARIABLE, "kv")
    with pytest.raises(RuntimeError, match="set it to one of reference, by-overlap, union"):
        dispatch.operations("cuda")


@pytest.mark.parametrize(
    ("backend", "model", "vllm"),
    [
        ("", "by overlap", "union tiles"),
        (dispatch.BY_OVERLAP, "by overlap", "by overlap"),
        (dispatch.UNION, "union tiles", "union tiles"),
    ],
)
def test_kernels_by_overlap_are_the_models_default_and_must_be_asked_for_in_vllm(monkeypatch, backend, model, vllm):
    """On a GPU the setting changes what sparse layers share. On a CPU the reference runs."""
    kernels = MagicMock(share="union tiles", share_by_overlap="by overlap")
    monkeypatch.setattr(dispatch, "import_module", lambda name: kernels)
    monkeypatch.setattr(dispatch, "find_spec", lambda name: name)
    monkeypatch.setenv(dispatch.BACKEND_VARIABLE, backend)
    dispatch.triton_operations.cache_clear()
    assert dispatch.operations("cuda").share == model
    assert dispatch.operations("cuda", overlap_by_default=False).share == vllm
    dispatch.triton_operations.cache_clear()
    assert dispatch.operations("cpu") is dispatch.REFERENCE_OPERATIONS


@pytest.mark.parametrize("name", NAMES)
def test_replaying_the_own_choices_changes_nothing(name):
    model, ids = make_model(name), random_ids(1, 60)
    chosen, expected = trainer_choices(model, ids[0].tolist())
    _, replayed = trainer_choices(model, ids[0].tolist(), chosen)
    torch.testing.assert_close(replayed, expected, rtol=0, atol=1e-5)


def test_replaying_other_choices_changes_crowded_rows_only():
    """Every row reads its own block alone: as before where there is no other, another result elsewhere."""
    model, ids = make_model(), random_ids(1, 60)
    chosen, expected = trainer_choices(model, ids[0].tolist())
    own = torch.full_like(chosen.blocks, -1)
    own[..., 0] = (torch.arange(60) // model.config.select_block)[None, :, None]
    _, replayed = trainer_choices(model, ids[0].tolist(), Choices(own))
    first = model.config.select_block
    torch.testing.assert_close(replayed[:first], expected[:first], rtol=0, atol=1e-5)
    assert (replayed[first:] - expected[first:]).abs().max() > 1e-2


def test_indices_that_miss_a_token_are_refused():
    model, ids = make_model(), random_ids(1, 60)
    chosen, _ = trainer_choices(model, ids[0].tolist())
    with pytest.raises(ValueError, match="an index row for each token"):
        trainer_choices(model, ids[0].tolist(), Choices(chosen.blocks[:, 1:]))
