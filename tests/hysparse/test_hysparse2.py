"""HySparse2: each way to run the model gives the logits of the literal twin, and each parameter the twin's gradient."""

import copy
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from judgerlvr.hysparse.model.attention import FullAttention, SparseAttention
from judgerlvr.hysparse.model.modeling import HySparseDecoderLayer
from judgerlvr.hysparse.model.presets import preset
from judgerlvr.hysparse.model.sizes import arrangements
from judgerlvr.hysparse.ops.segments import whole
from tests.helpers.hysparse2_base import trace_ids, trained_base
from tests.helpers.hysparse2_twin import Twin2
from tests.helpers.hysparse_models import CROSSED, KINDS, assert_selection_bites, logits_of, make_model, random_ids

TOLERANCE = 1e-5
TIGHT = {"rtol": TOLERANCE, "atol": TOLERANCE}
BITE = {"select_block": 1, "select_tokens": 10, "forced_local_blocks": 4, "sliding_window": 6}
# Random models differ in layers, pairing, heads, experts and rotation. The shipped base has weights that were trained.
RANDOM = {"tiny": BITE, "crossed pairs": BITE | CROSSED | {"v_head_dim": 24}}
TRAINED = "trained"
SHAPES = [*RANDOM, TRAINED]


@cache
def ids_of(shape):
    """Two rows of token ids. The trained base reads solutions of its world and selects more tokens."""
    return trace_ids(2, 100) if shape == TRAINED else random_ids(2, 40)


def length_of(shape):
    return ids_of(shape).shape[1]


@cache
def model_of(shape):
    model = trained_base() if shape == TRAINED else make_model("hysparse2-tiny", **RANDOM[shape])
    assert_selection_bites(model, whole(1, length_of(shape)))
    return model


def twin_of(model):
    weights = {key: p.detach().double().requires_grad_() for key, p in model.named_parameters()}
    return Twin2(model.config, weights)


@cache
def expected(shape, row, first=0, last=None):
    """The twin's logits of a part of a row of ``ids_of``."""
    with torch.no_grad():
        return twin_of(model_of(shape)).logits(ids_of(shape)[row, first:last]).float()


def rows(shape):
    return torch.stack([expected(shape, 0), expected(shape, 1)])


def assert_twins(shape, found, wanted):
    """The trained base has logits up to 16, so its differences are held to the largest logit."""
    trained = {"rtol": 0, "atol": TOLERANCE * wanted.abs().max().item()}
    torch.testing.assert_close(found, wanted, **(trained if shape == TRAINED else TIGHT))


def fed_in_parts(model, ids, lengths):
    """Logits of ``ids`` fed through one cache in parts of ``lengths``, and the cache."""
    cache, parts = None, []
    for part in ids.split(lengths, dim=1):
        with torch.no_grad():
            out = model(part, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        parts.append(out.logits)
    return torch.cat(parts, dim=1), cache


@pytest.mark.parametrize("shape", SHAPES)
def test_full(shape):
    assert_twins(shape, logits_of(model_of(shape), ids_of(shape)), rows(shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", ["cached", "chunked"])
def test_cached_and_chunked(shape, how):
    length = length_of(shape)
    lengths = [1] * length if how == "cached" else [17, 1, 14, 5, length - 37]
    found, _ = fed_in_parts(model_of(shape), ids_of(shape), lengths)
    assert_twins(shape, found, rows(shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", ["position_ids", "cu_seqlens"])
def test_packed(shape, how):
    cuts = [0, 18, 19, length_of(shape)]
    arguments = {"position_ids": torch.cat([torch.arange(last - first) for first, last in pairwise(cuts)])[None]}
    if how == "cu_seqlens":
        arguments = {"cu_seqlens": torch.tensor(cuts, dtype=torch.int32)}
    found = logits_of(model_of(shape), ids_of(shape)[:1], **arguments)[0]
    separate = torch.cat([expected(shape, 0, first, last) for first, last in pairwise(cuts)])
    assert_twins(shape, found, separate)


@pytest.mark.parametrize("shape", SHAPES)
def test_left_padding(shape):
    ids = ids_of(shape)
    mask = torch.ones_like(ids)
    mask[0, :13] = 0
    found = logits_of(model_of(shape), ids, attention_mask=mask)
    assert_twins(shape, found[0, 13:], expected(shape, 0, 13))
    assert_twins(shape, found[1], expected(shape, 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_prefill_stops_half_way(shape, monkeypatch):
    """The prompt's tokens but the last pass the self-decoder only, and decoding goes on as if all had passed."""
    model, ids, passed = model_of(shape), ids_of(shape), []
    honest = HySparseDecoderLayer.forward
    monkeypatch.setattr(
        HySparseDecoderLayer,
        "forward",
        lambda self, hidden, *rest: passed.append(hidden.shape[1]) or honest(self, hidden, *rest),
    )
    with torch.no_grad():
        out = model(ids[:, :-1], use_cache=True, logits_to_keep=1)
        after = model(ids[:, -1:], use_cache=True, past_key_values=out.past_key_values)
    early = model.config.self_decoder_layers
    late = model.config.num_hidden_layers - early
    assert passed == [length_of(shape) - 1] * early + [1] * late + [1] * (early + late)
    found = torch.cat([out.logits, after.logits], dim=1)
    assert_twins(shape, found, rows(shape)[:, -2:])


@pytest.mark.parametrize("shape", ["tiny", TRAINED])
def test_generate_repeats_the_twins_argmax(shape):
    model, ids, length = model_of(shape), ids_of(shape)[:1], length_of(shape)
    made = model.generate(ids, max_new_tokens=4, do_sample=False, use_cache=True)[0]
    with torch.no_grad():
        best = twin_of(model).logits(made).argmax(-1)
    assert made[length:].tolist() == best[length - 1 : -1].tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_only_full_and_window_layers_keep_a_cache(shape):
    model, length = model_of(shape), length_of(shape)
    _, kept = fed_in_parts(model, ids_of(shape)[:1], [30, length - 30])
    held = [layer.keys.shape[2] if layer.is_initialized else 0 for layer in kept.layers]
    early, window = model.config.self_decoder_layers, model.config.sliding_window - 1
    kinds = enumerate(model.config.layer_types)
    assert held == [length if kind == KINDS["f"] else window if n < early else 0 for n, kind in kinds]


@pytest.mark.parametrize("shape", SHAPES)
def test_kv_bytes_of_the_size_command_are_those_of_a_cache(shape):
    config, length = model_of(shape).config, length_of(shape)
    _, kept = fed_in_parts(model_of(shape), ids_of(shape), [length])
    held = sum(layer.keys.numel() + layer.values.numel() for layer in kept.layers if layer.is_initialized)
    # The cache keeps window - 1 tokens, because the query brings its own.
    windows = sum(row.window is not None for row in config.rows)
    missing = 2 * windows * config.num_key_value_heads * (config.head_dim + (config.v_head_dim or config.head_dim))
    own = arrangements(config, length, batch=2)["HySparse2"]
    assert own.kv_bytes == 2 * (held + missing)


def test_a_saved_model_gives_the_same_logits(tmp_path):
    model, ids = model_of("crossed pairs"), ids_of("crossed pairs")
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.config.bridges == [3, 1, 3]
    torch.testing.assert_close(logits_of(again, ids), logits_of(model, ids), rtol=0, atol=0)


@cache
def gradients_of(shape):
    """(model in float64, ids, loss and gradients of the twin)."""
    model, ids = copy.deepcopy(model_of(shape)).double().train(), ids_of(shape)[:1]
    twin = twin_of(model)
    loss = twin.loss(ids[0])
    loss.backward()
    return model, ids, loss.item(), {key: weight.grad for key, weight in twin.weights.items()}


def wrong_parameters(model, shape):
    """Parameters whose gradient differs from the twin's by more than the tolerance of its norm."""
    _, ids, _, wanted = gradients_of(shape)
    model.zero_grad()
    model(ids, labels=ids, use_cache=False).loss.backward()
    wrong = []
    for key, parameter in model.named_parameters():
        assert wanted[key].norm() > 0
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        wrong += [key] if (found - wanted[key]).norm() > TOLERANCE * wanted[key].norm() else []
    return wrong


@pytest.mark.parametrize("checkpointed", [False, True], ids=["plain", "checkpointed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_gradient_equals_the_twins(shape, checkpointed):
    model, ids, loss, wanted = gradients_of(shape)
    model = copy.deepcopy(model)
    if checkpointed:
        model.gradient_checkpointing_enable()
    assert set(wanted) == {key for key, _ in model.named_parameters()}
    assert model(ids, labels=ids, use_cache=False).loss.item() == pytest.approx(loss, rel=TOLERANCE)
    assert wrong_parameters(model, shape) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_replayed_choices_in_packed_rows_give_the_twins_gradients(shape):
    """The trainer's pass: the same row twice in one packed row, with choices that were given."""
    model, ids, _, wanted = gradients_of(shape)
    model, length = copy.deepcopy(model), length_of(shape)
    packed = {"input_ids": ids.repeat(1, 2), "cu_seqlens": torch.tensor([0, length, 2 * length], dtype=torch.int32)}
    with torch.no_grad():
        chosen = model(**packed, use_cache=False, output_blocks=True).chosen_blocks
    logits = model(**packed, use_cache=False, block_indices=chosen).logits[0].unflatten(0, (2, length))[:, :-1]
    cross_entropy(logits.flatten(0, 1), ids[0, 1:].repeat(2)).backward()
    found = {key: parameter.grad for key, parameter in model.named_parameters()}
    assert [key for key in found if (found[key] - wanted[key]).norm() > TOLERANCE * wanted[key].norm()] == []


def with_lent(change):
    """A full layer whose forward gets ``change`` of what another layer lent to it."""
    honest = FullAttention.forward

    def forward(layer, hidden, blocks, step, lent=None):
        return honest(layer, hidden, blocks, step, None if lent is None else change(hidden, lent))

    return FullAttention, "forward", forward


def detached(part):
    """Sparse layers that read K or V of their full layer without a gradient."""
    honest = SparseAttention.shared

    def shared(layer, q, blocks, step):
        kept = getattr(blocks, part)
        setattr(blocks, part, kept.detach())
        out = honest(layer, q, blocks, step)
        setattr(blocks, part, kept)
        return out

    return SparseAttention, "shared", shared


def without_a_norm():
    """The lender gives its input before the norm."""
    honest = HySparseDecoderLayer.forward

    def forward(layer, hidden, *rest):
        out = honest(layer, hidden, *rest)
        return (*out[:-1], hidden) if layer.lends else out

    return HySparseDecoderLayer, "forward", forward


FAULTS = {
    "bridge detached": lambda: with_lent(lambda hidden, lent: lent.detach()),
    "bridge from the own input": lambda: with_lent(lambda hidden, lent: hidden),
    "bridge from the input before the norm": without_a_norm,
    "keys detached": lambda: detached("keys"),
    "values detached": lambda: detached("values"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_planted_fault_is_found(shape, fault, monkeypatch):
    model = copy.deepcopy(gradients_of(shape)[0])
    monkeypatch.setattr(*FAULTS[fault]())
    assert wrong_parameters(model, shape) != []


WIRING = {
    "another pair": ("crossed pairs", {"bridges": [1, 3, 3]}),
    "pairs of one layer": ("tiny", {"bridges": [1, 1]}),
    "rotation everywhere": ("tiny", {"rotary_layers": "every"}),
    "rotation of whole heads": ("tiny", {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}}),
    "no forced tokens": ("tiny", {"forced_local_blocks": 0}),
}


@pytest.mark.parametrize("case", WIRING)
def test_another_wiring_gives_other_logits(case):
    """The same weights in another table: were the field without effect, the tests above would not see it."""
    shape, change = WIRING[case]
    other = make_model("hysparse2-tiny", **RANDOM[shape] | change)
    other.load_state_dict(model_of(shape).state_dict())
    assert (logits_of(other, ids_of(shape)) - rows(shape)).abs().max() > 1e-2


WRONG = {
    "nothing after the self-decoder": {"self_decoder_layers": 11},
    "sparse first in the cross-decoder": {"self_decoder_layers": 6},
    "a bridge from a window layer": {"bridges": [0, 4]},
    "a bridge from the cross-decoder": {"bridges": [1, 5]},
    "a bridge too few": {"bridges": [1]},
    "bridges of no self-decoder": {"self_decoder_layers": 0, "bridges": [0], "layer_types": None},
    "half a query turned": {"branches": "both"},
    "unknown rotation": {"rotary_layers": "some"},
}


@pytest.mark.parametrize("case", WRONG)
def test_impossible_tables_are_refused(case):
    with pytest.raises(ValueError, match=r"bridges|self-decoder|cross-decoder|rotary_layers|two branches"):
        preset("hysparse2-tiny", **WRONG[case])
