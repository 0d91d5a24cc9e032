"""Gradients of the whole model, every parameter, against an independent twin in float64."""

import copy
import re
from functools import cache

import pytest
import torch

from judgerlvr.hysparse.model.attention import SparseAttention
from judgerlvr.hysparse.ops.segments import whole
from tests.helpers.hysparse_models import NAMES, assert_selection_bites, make_model, random_ids
from tests.helpers.hysparse_twin import Twin

LENGTH = 40
# Norms, router and RoPE of transformers compute in float32 in a float64 model too. The twin does not.
TOLERANCE = 1e-5
EVERYTHING = {
    "gates": "head",
    "gate_bias": True,
    "gate_full": True,
    "sinks_full": True,
    "qk_norm": True,
    "attention_bias": True,
}
OPTIONS = {"default": {}, "every part": EVERYTHING, "no gate": {"gates": "none", "sinks": False}}


@cache
def case(name, options):
    """(model, ids, loss and gradients of the twin). Tests change copies of the model only."""
    model, ids = make_model(name, **OPTIONS[options]).double().train(), random_ids(1, LENGTH)
    weights = {key: p.detach().clone().requires_grad_() for key, p in model.named_parameters()}
    loss = Twin(model.config, weights).loss(ids[0])
    loss.backward()
    return model, ids, loss.detach(), {key: weight.grad for key, weight in weights.items()}


def wrong_parameters(model, ids, expected):
    """Parameters whose gradient differs from the twin's by more than the tolerance of its norm."""
    model.zero_grad()
    model(ids, labels=ids, use_cache=False).loss.backward()
    return [key for key, p in model.named_parameters() if error_of(p.grad, expected[key]) > TOLERANCE]


def error_of(found, wanted):
    """Distance relative to the size of what is wanted. 1 if there is no gradient at all."""
    assert wanted is not None and wanted.norm() > 0
    return 1.0 if found is None else float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_gradient_equals_the_twins(name, options):
    model, ids, loss, expected = case(name, options)
    assert_selection_bites(model, whole(1, LENGTH))
    assert set(expected) == {key for key, _ in model.named_parameters()}
    assert model(ids, labels=ids, use_cache=False).loss.item() == pytest.approx(loss.item(), rel=TOLERANCE)
    assert wrong_parameters(copy.deepcopy(model), ids, expected) == []


def detach_shared(model, monkeypatch, part):
    """Plant: sparse layers read the full layer's keys or values without a gradient."""
    honest = SparseAttention.shared

    def faulty(layer, q, blocks, step):
        kept = getattr(blocks, part)
        setattr(blocks, part, kept.detach())
        out = honest(layer, q, blocks, step)
        setattr(blocks, part, kept)
        return out

    monkeypatch.setattr(SparseAttention, "shared", faulty)


def feed_residual_stream(model, monkeypatch, gate):
    """Plant: a gate reads the layer's input before the norm."""
    for layer in model.model.layers:
        if not layer.is_full:
            layer.register_forward_pre_hook(lambda layer, given: setattr(layer, "stream", given[0]))
            fed = lambda _gate, _given, layer=layer: (layer.stream,)  # noqa: E731
            getattr(layer.self_attn, gate).register_forward_pre_hook(fed)


FAULTS = [(detach_shared, "keys"), (detach_shared, "values")]
FAULTS += [(feed_residual_stream, "g_sparse"), (feed_residual_stream, "g_swa")]


@pytest.mark.parametrize(("plant", "part"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_fault_is_found(name, plant, part, monkeypatch):
    model, ids, _, expected = case(name, "default")
    faulty = copy.deepcopy(model)
    plant(faulty, monkeypatch, part)
    assert wrong_parameters(faulty, ids, expected) != []


def wires(model, ids):
    """Every place where a tensor with a gradient enters or leaves a module: (module's name, which side, its place).

    Of the same place in several layers of a kind, the first counts. Later full layers may serve no sparse layer.
    """
    found = {}

    def note(name, side, tensors):
        kind = re.sub(r"layers\.(\d+)", lambda at: f"layers.{model.config.layer_types[int(at[1])]}", name)
        for place, tensor in enumerate(tensors if isinstance(tensors, tuple) else (tensors,)):
            if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
                found.setdefault((kind, side, place), (name, side, place))

    watched = copy.deepcopy(model)
    for name, module in watched.named_modules():
        if name not in ("", "lm_head"):  # Behind the head nothing is left to be cut.
            module.register_forward_pre_hook(lambda _, given, name=name: note(name, "in", given))
            module.register_forward_hook(lambda _, given, out, name=name: note(name, "out", out))
    watched(ids, use_cache=False)
    return list(found.values())


def cut(model, wire):
    """Detach the tensor of one wire."""
    name, side, wanted = wire

    def detached(tensors):
        if not isinstance(tensors, tuple):
            return tensors.detach()
        return tuple(tensor.detach() if place == wanted else tensor for place, tensor in enumerate(tensors))

    module = model.get_submodule(name)
    if side == "in":
        module.register_forward_pre_hook(lambda _, given: detached(given))
    else:
        module.register_forward_hook(lambda _, given, out: detached(out))


# Rotary tables take only the dtype of what they get. Only the loss that balances experts reads a router's logits.
HARMLESS = {"model.rotary_emb in 0", "mlp.gate out 0"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_cut_wire_anywhere_is_found(name):
    model, ids, _, expected = case(name, "every part")
    cuts = wires(model, ids)
    assert {wire[1] for wire in cuts} == {"in", "out"} and ("model.layers.0", "out", 2) in cuts
    unseen = set()
    for wire in cuts:
        faulty = copy.deepcopy(model)
        cut(faulty, wire)
        if not wrong_parameters(faulty, ids, expected):
            module, side, place = wire
            unseen.add(f"{'.'.join(module.split('.')[-2:])} {side} {place}")
    assert unseen == (HARMLESS if model.config.num_experts else {"model.rotary_emb in 0"})
