"""Log-probabilities and entropy in chunks against whole logits."""

from unittest.mock import Mock

import pytest
import torch

from judgerlvr.engine.policy_passes import head_log_probs as head

TOKENS, SIZE, VOCABULARY = 37, 16, 101


def inputs(dtype, tokens=TOKENS, vocabulary=VOCABULARY):
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, SIZE, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, SIZE, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    labels = torch.randint(0, vocabulary, (tokens,), generator=draw)
    temperature = torch.rand(tokens, generator=draw) + 0.5
    return hidden, weight, labels, temperature


def naive(hidden, weight, labels, temperature=None):
    """All logits at once."""
    logits = hidden @ weight.T
    if temperature is not None:
        logits = logits / temperature[:, None]
    log_p = logits.log_softmax(dim=-1)
    return log_p[torch.arange(len(labels)), labels], -(log_p.exp() * log_p).sum(dim=-1)


def gradients(found, tensors):
    """Of a loss in which each token's log-probability and entropy counts differently."""
    weights = torch.linspace(-1, 2, len(found[0]), dtype=found[0].dtype)
    return torch.autograd.grad((found[0] * weights).sum() + (found[1] * weights.flip(0)).sum(), tensors)


@pytest.fixture(params=[1, 7, 1000])
def chunk(request, monkeypatch):
    """Tokens a chunk: one, some with a rest, all."""
    monkeypatch.setitem(head.CHUNK_ELEMENTS, "cpu", request.param * VOCABULARY)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tempered", [False, True])
@pytest.mark.usefixtures("chunk")
def test_values_and_gradients_equal_those_of_whole_logits(dtype, tempered):
    hidden, weight, labels, temperature = inputs(dtype)
    temperature = temperature.to(dtype) if tempered else None
    found = head.head_log_probs(hidden, weight, labels, temperature, with_entropy=True)
    wide = [part.detach().double().requires_grad_() for part in (hidden, weight)]
    expected = naive(*wide, labels, temperature.double() if tempered else None)
    ours, theirs = gradients(found, (hidden, weight)), gradients(expected, wide)
    for one, true in zip((*found, *ours), (*expected, *theirs), strict=True):
        assert (one.double() - true).norm() <= 1e-5 * true.norm()


class Products(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts products of matrices."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.count += function._overloadpacket is torch.ops.aten.mm
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize(("room", "kept"), [(0, 0), (7, 1), (13, 1), (14, 2), (10**6, 6)])
def test_kept_logits_are_not_computed_again_and_change_no_bit(room, kept, monkeypatch):
    """Six chunks of seven tokens, the last with two."""
    monkeypatch.setitem(head.CHUNK_ELEMENTS, "cpu", 7 * VOCABULARY)
    found = []
    for elements in (0, room * VOCABULARY):
        monkeypatch.setitem(head.KEPT_ELEMENTS, "cpu", elements)
        hidden, weight, labels, _ = inputs(torch.float32, tokens=37)
        with Products() as products:
            answer = head.head_log_probs(hidden, weight, labels, with_entropy=True)
            found.append((*answer, *gradients(answer, (hidden,)), torch.tensor(products.count)))
    *numbers, counts = zip(*found, strict=True)
    assert all(torch.equal(one, other) for one, other in numbers)
    assert counts[0] - counts[1] == kept


@pytest.mark.parametrize("learning", [False, True])
def test_a_pass_without_gradients_keeps_no_logits(learning, monkeypatch):
    asked = Mock(return_value=(0, 0))
    monkeypatch.setattr(head._HeadLogProbs, "apply", asked)
    hidden, weight, labels, _ = inputs(torch.float32)
    with torch.set_grad_enabled(learning):
        head.head_log_probs(hidden, weight, labels)
    assert asked.call_args.args[-1] == (head.KEPT_ELEMENTS["cpu"] if learning else 0)


@pytest.mark.parametrize("with_entropy", [False, True])
def test_fused_arithmetic_is_the_plain_one(with_entropy):
    hidden, weight, labels, temperature = inputs(torch.float32)
    logits = (hidden @ weight.T).detach()
    _, entropy, normaliser = head._statistics(logits, labels, temperature, True)
    of_entropy = torch.rand(TOKENS) if with_entropy else None
    arguments = (labels, normaliser, torch.rand(TOKENS), temperature, of_entropy, entropy)
    fused = head._gradient(logits, *arguments)
    torch.testing.assert_close(head._plain_gradient(logits.clone(), *arguments), fused)


def test_entropy_is_not_computed_unasked():
    hidden, weight, labels, _ = inputs(torch.float32)
    _, entropy = head.head_log_probs(hidden, weight, labels)
    assert not entropy.any()


def test_frozen_parts_get_no_gradient():
    hidden, weight, labels, _ = inputs(torch.float32)
    found, _ = head.head_log_probs(hidden, weight.detach(), labels)
    assert torch.autograd.grad(found.sum(), hidden)[0].shape == hidden.shape


@pytest.mark.parametrize("tokens", [512, 4096])
def test_bfloat16_gradients_are_no_further_from_float64_than_those_of_whole_logits(tokens, monkeypatch):
    """The weight's gradient sums over chunks, which bfloat16 sums would spoil the more the longer the row."""
    monkeypatch.setitem(head.CHUNK_ELEMENTS, "cpu", 64 * VOCABULARY)
    hidden, weight, labels, _ = inputs(torch.bfloat16, tokens)
    wide = [part.detach().double().requires_grad_() for part in (hidden, weight)]
    exact = torch.autograd.grad(naive(*wide, labels)[0].sum(), wide)
    ours = torch.autograd.grad(head.head_log_probs(hidden, weight, labels)[0].sum(), (hidden, weight))
    whole = torch.autograd.grad(naive(hidden, weight, labels)[0].sum(), (hidden, weight))
    for one, other, true in zip(ours, whole, exact, strict=True):
        assert (one.double() - true).norm() <= 1.05 * (other.double() - true).norm()


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Elements of the largest tensor that any operation made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


@pytest.mark.parametrize("vocabulary", [5003, 151_936])
def test_memory_does_not_grow_with_tokens_times_vocabulary(vocabulary):
    """What is larger than the weight holds one chunk, at 4 and at 16 times its tokens."""
    chunk = head.CHUNK_ELEMENTS["cpu"] // vocabulary
    largest = []
    for tokens in (4 * chunk, 16 * chunk):
        tokens = min(tokens, 4096)
        hidden, weight, labels, _ = inputs(torch.float32, tokens, vocabulary)
        with Largest() as seen:
            found, entropy = head.head_log_probs(hidden, weight, labels, with_entropy=True)
            (found + entropy).sum().backward()
        largest.append(seen.elements)
    assert largest[0] == largest[1] <= max(head.CHUNK_ELEMENTS["cpu"], weight.numel())
