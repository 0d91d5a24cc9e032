"""Attention over a packed batch against each sequence by itself."""

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from judgerlvr.engine.devices import PACKED
from judgerlvr.engine.policy_passes import packed_attention as packed_attention_module
from judgerlvr.engine.policy_passes.packed_attention import LONG, fastest_padded, packed_attention, packed_row

LENGTHS = [5, 1, 17, 40, 3, 33, 16]


def positions():
    return torch.cat([torch.arange(length) for length in LENGTHS])[None]


def inputs(heads):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(1, heads, sum(LENGTHS), 8, generator=draw, dtype=torch.float64)


def by_itself(q, k, v):
    """Softmax written out, one sequence and one query head at a time."""
    rows = []
    for q_part, k_part, v_part in zip(*(tensor[0].split(LENGTHS, dim=1) for tensor in (q, k, v)), strict=True):
        heads = []
        for head in range(q.shape[1]):
            shared = head // (q.shape[1] // k.shape[1])
            scores = q_part[head] @ k_part[shared].T * 8**-0.5
            hidden = torch.ones_like(scores).triu(1).bool()
            heads.append(scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v_part[shared])
        rows.append(torch.stack(heads, dim=1))
    return torch.cat(rows)[None]


def test_each_sequence_attends_to_itself_alone():
    q, k, v = inputs(4), inputs(2) + 1, inputs(2) - 1
    out, _ = packed_attention(torch.nn.Identity(), q, k, v, None, scaling=8**-0.5, position_ids=positions())
    torch.testing.assert_close(out, by_itself(q, k, v))


def test_gradients_equal_those_of_single_sequences():
    tensors = [inputs(4).requires_grad_(), (inputs(2) + 1).requires_grad_(), (inputs(2) - 1).requires_grad_()]
    out, _ = packed_attention(torch.nn.Identity(), *tensors, None, scaling=8**-0.5, position_ids=positions())
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    packed = torch.autograd.grad((out * weights).sum(), tensors)
    alone = torch.autograd.grad((by_itself(*tensors) * weights).sum(), tensors)
    torch.testing.assert_close(packed, alone)


def test_a_model_gives_the_packed_logits_of_separate_runs():
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    config = Qwen3Config(vocab_size=50, **shape, **heads)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config).eval()
    ids = torch.randint(0, 50, (1, sum(LENGTHS)))
    alone = torch.cat([model(input_ids=part).logits for part in ids.split(LENGTHS, dim=1)], dim=1)
    model.set_attn_implementation(PACKED)
    packed = model(input_ids=ids, position_ids=positions(), attention_mask=None, use_cache=False).logits
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("asked", [{"sliding_window": 8}, {"softcap": 30.0}, {"s_aux": torch.zeros(4)}])
def test_another_attention_than_plain_causal_is_refused(asked):
    q = inputs(4)
    with pytest.raises(ValueError, match="set cluster"):
        packed_attention(torch.nn.Identity(), q, q, q, None, position_ids=positions(), **asked)


def test_a_window_that_no_sequence_reaches_is_plain_causal():
    q = inputs(4)
    out, _ = packed_attention(torch.nn.Identity(), q, q, q, None, position_ids=positions(), sliding_window=max(LENGTHS))
    assert torch.equal(out, packed_attention(torch.nn.Identity(), q, q, q, None, position_ids=positions())[0])


@pytest.mark.parametrize("rows, shift", [(2, 0), (1, 3)])
def test_an_unpacked_batch_is_refused(rows, shift):
    q = torch.zeros(rows, 2, 6, 8)
    with pytest.raises(ValueError, match="one packed row"):
        packed_attention(torch.nn.Identity(), q, q, q, None, position_ids=torch.arange(6)[None] + shift)


@pytest.mark.parametrize(
    ("lengths", "pays"),
    [([70_000], True), ([20_000, 30_000], True), ([20_000, 17_000, 32_000], False), ([4096] * 16, False), ([9], False)],
)
def test_padding_is_for_few_long_sequences(lengths, pays):
    """Of long sequences, those whose padded squares are at most 1.5 times the exact ones."""
    row = packed_row(torch.cat([torch.arange(length) for length in lengths])[None])
    octaves = {length: 2 ** (length.bit_length() - 1) for length in lengths}
    padded = sum(max(x for x in lengths if octaves[x] == octaves[length]) ** 2 for length in lengths)
    assert pays == (max(lengths) >= LONG and padded <= 1.5 * sum(length**2 for length in lengths))
    assert row.padding_pays == pays


def test_a_row_is_worked_out_once_for_all_layers():
    ids = positions()
    q = inputs(4)
    packed_attention(torch.nn.Identity(), q, q, q, None, position_ids=ids)
    first = packed_attention_module._last[0]
    packed_attention(torch.nn.Identity(), q, q, q, None, position_ids=ids)
    assert packed_attention_module._last[0] is first
    packed_attention(torch.nn.Identity(), q, q, q, None, position_ids=ids.clone())
    assert packed_attention_module._last[0] is not first


def test_cudnn_is_on_inside_although_a_library_turned_it_off():
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)  # as vLLM's import does
    try:
        with fastest_padded(on_gpu=True):
            inside = torch.backends.cuda.cudnn_sdp_enabled()
        assert (inside, torch.backends.cuda.cudnn_sdp_enabled()) == (True, False)
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
