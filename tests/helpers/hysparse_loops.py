"""Naive twins of the HySparse operations: float64, one query, one head, one key at a time."""

import math

import torch

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.selection import Selection


def loop_softmax(logits, values, sink=None):
    """Output and log normaliser of one query of one head. ``logits`` is a list, ``values`` a list of vectors."""
    peak = max([*logits, *([] if sink is None else [sink])])
    total = sum(math.exp(x - peak) for x in logits) + (0.0 if sink is None else math.exp(sink - peak))
    out = sum(math.exp(x - peak) / total * value for x, value in zip(logits, values, strict=True))
    return out, peak + math.log(total)


def loop_keys(segments: Segments, row, query):
    """Indices of the keys that a query sees under plain causal attention."""
    return list(range(int(segments.starts[row, query]), segments.offset + query + 1))


def loop_logits(q, k, row, head, query, keys):
    group = q.shape[1] // k.shape[1]
    return [float(q[row, head, query] @ k[row, head // group, key]) / math.sqrt(q.shape[-1]) for key in keys]


def loop_full(q, k, v, segments: Segments, sinks=None):
    """Output [batch, heads, queries, dim] and, per (row, head, query), the probability of each visible key."""
    out, probabilities = torch.zeros_like(q), {}
    for row, head, query in indices_of(q):
        keys = loop_keys(segments, row, query)
        logits = loop_logits(q, k, row, head, query, keys)
        sink = None if sinks is None else float(sinks[head])
        values = [v[row, head // (q.shape[1] // k.shape[1]), key] for key in keys]
        out[row, head, query], lse = loop_softmax(logits, values, sink)
        probabilities[row, head, query] = [math.exp(x - lse) for x in logits]
    return out, probabilities


def loop_selection(probabilities, shape, kv_heads, segments: Segments, selection: Selection):
    """Chosen blocks of each (row, kv head, query), as sorted lists."""
    batch, heads, queries = shape
    group = heads // kv_heads
    chosen = {}
    for row in range(batch):
        for kv_head in range(kv_heads):
            for query in range(queries):
                per_head = [probabilities[row, kv_head * group + member, query] for member in range(group)]
                chosen[row, kv_head, query] = loop_top(per_head, selection)
    return chosen


def loop_top(per_head, selection: Selection):
    visible = -(-len(per_head[0]) // selection.block)
    score = {}
    for block in range(visible):
        inside = slice(block * selection.block, (block + 1) * selection.block)
        score[block] = max(max(probabilities[inside]) for probabilities in per_head)
        if block < selection.first or block >= visible - selection.local:
            score[block] = math.inf
    return sorted(sorted(score, key=lambda block: (-score[block], block))[: selection.count])


def loop_sparse(q, k, v, chosen, segments: Segments, block, sinks=None):
    """Attention over the keys of the chosen blocks."""
    out = torch.zeros_like(q)
    group = q.shape[1] // k.shape[1]
    for row, head, query in indices_of(q):
        seen = loop_keys(segments, row, query)
        keys = [key for key in seen if (key - seen[0]) // block in chosen[row, head // group, query]]
        values = [v[row, head // group, key] for key in keys]
        sink = None if sinks is None else float(sinks[head])
        out[row, head, query] = loop_softmax(loop_logits(q, k, row, head, query, keys), values, sink)[0]
    return out


def loop_window(q, k, v, segments: Segments, window, sinks=None):
    """Attention over the last ``window`` visible keys."""
    out = torch.zeros_like(q)
    for row, head, query in indices_of(q):
        keys = loop_keys(segments, row, query)[-window:]
        values = [v[row, head // (q.shape[1] // k.shape[1]), key] for key in keys]
        sink = None if sinks is None else float(sinks[head])
        out[row, head, query] = loop_softmax(loop_logits(q, k, row, head, query, keys), values, sink)[0]
    return out


def indices_of(q):
    return [(r, h, t) for r in range(q.shape[0]) for h in range(q.shape[1]) for t in range(q.shape[2])]


def crowded_share(segments: Segments, selection: Selection):
    """Share of query rows that see more blocks than they may choose."""
    visible = segments.positions // selection.block + 1
    return (visible > selection.count).double().mean().item()
