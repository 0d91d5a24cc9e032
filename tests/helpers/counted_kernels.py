"""Stand-ins of the attention kernels that compute nothing and save what the Triton kernels save, and two counters."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from judgerlvr.hysparse.ops.dispatch import Operations


class Attention(torch.autograd.Function):
    """Saves queries, keys, values, output and normaliser. ``count`` asks for indices of so many blocks."""

    @staticmethod
    def forward(ctx, q, k, v, count):
        out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
        ctx.save_for_backward(q, k, v, out, lse)
        if not count:
            return out, None
        indices = q.new_zeros((q.shape[0], k.shape[1], q.shape[2], count), dtype=torch.int32)
        ctx.mark_non_differentiable(indices)
        return out, indices

    @staticmethod
    def backward(ctx, grad, _):
        grad.contiguous()
        return *(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3]), None


class GatedSum(torch.autograd.Function):
    """Saves both branches and both gates."""

    @staticmethod
    def forward(ctx, *tensors):
        ctx.save_for_backward(*tensors)
        batch, heads, tokens, dim = tensors[0].shape
        return tensors[0].new_empty(batch, tokens, heads, dim).transpose(1, 2)

    @staticmethod
    def backward(ctx, grad):
        grad.transpose(1, 2).contiguous()
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors)


def attended(q, k, v, count=0):
    return Attention.apply(*(tensor.contiguous() for tensor in (q, k, v)), count)


STAND_INS = Operations(
    causal_attention=lambda q, k, v, *_: attended(q, k, v)[0],
    full_attention_with_selection=lambda q, k, v, segments, selection, sinks: attended(q, k, v, selection.count),
    share=lambda indices, *_: indices,
    sparse_attention=lambda q, k, v, *_: attended(q, k, v)[0],
    window_attention=lambda q, k, v, *_: attended(q, k, v)[0],
    gated_sum=lambda *tensors: GatedSum.apply(*(tensor.contiguous() for tensor in tensors)),
)

# Operations that multiply weights, and those that move no byte.
PRODUCTS = {"mm", "addmm", "bmm"}
VIEWS = {"view", "_unsafe_view", "t", "transpose", "slice", "unsqueeze", "select", "split", "permute", "alias"}
VIEWS |= {"unbind", "squeeze", "expand", "detach", "empty", "empty_like", "new_empty", "empty_strided"}


class Traffic(TorchDispatchMode):
    """Bytes that operations read and write, products of weights left out."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        if operation.overloadpacket.__name__ not in PRODUCTS | VIEWS:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)]
            # An expanded tensor is read once.
            self.bytes += sum(min(t.numel() * t.itemsize, t.untyped_storage().nbytes()) for t in tensors)
        return out


def saved(model, forward):
    """Bytes of the tensors that ``forward`` saves, weights left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(size for size, _ in kept.values())
