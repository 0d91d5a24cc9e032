"""The kernel of `decoding.py`."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def attend_row(
    query, keys, values, mixed, at, cached, visible, scale,
    group: tl.constexpr, width: tl.constexpr, places: tl.constexpr,
):  # fmt: skip
    """One program a row and KV head: all places at once, since a row's cache is small."""
    row = tl.program_id(0).to(tl.int64)
    place, column = tl.arange(0, places), tl.arange(0, width)
    seen = (place < visible) & (place <= tl.load(at))
    there = row * cached * width + place[:, None] * width + column[None, :]
    key = tl.load(keys + there, mask=seen[:, None], other=0.0).to(tl.float32)
    value = tl.load(values + there, mask=seen[:, None], other=0.0).to(tl.float32)
    for head in tl.static_range(group):
        here = (row * group + head) * width + column
        scores = tl.sum(key * tl.load(query + here).to(tl.float32)[None, :], 1) * scale
        scores = tl.where(seen, scores, -1.0e30)
        shares = tl.exp(scores - tl.max(scores, 0))
        summed = tl.sum(value * shares[:, None], 0) / tl.sum(shares, 0)
        tl.store(mixed + here, summed.to(mixed.dtype.element_ty))
