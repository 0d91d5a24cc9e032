"""The loss of a model that is trained to overlap, against loops, and against what the model selects."""

import math

import pytest
import torch

from benchmarks.hysparse.kernels.indices import jaccard
from benchmarks.hysparse.overlap_loss import (
    SOFTNESS,
    OverlapLoss,
    block_scores,
    drawn_pairs,
    memberships,
    soft_jaccard,
)
from judgerlvr.hysparse.model.attention import FullAttention
from judgerlvr.hysparse.ops.selection import Selection, select_blocks
from tests.helpers.hysparse_models import make_model, random_ids

CHOICE = Selection(block=4, count=3, first=1, local=1)


def drawn(tokens=30, heads=4, kv_heads=2, dim=8, seed=0):
    draw = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(1, many, tokens, dim, generator=draw, dtype=torch.float64) for many in (heads, kv_heads))
    return q, k, torch.randn(heads, generator=draw, dtype=torch.float64)


def naive_scores(q, k, query, sinks):
    """Log of the largest probability of each block, over the heads of each group, by loops."""
    heads, kv_heads = q.shape[1], k.shape[1]
    found = [[-math.inf] * -(-k.shape[2] // CHOICE.block) for _ in range(kv_heads)]
    for head in range(heads):
        group = head // (heads // kv_heads)
        logits = [float(q[0, head, query] @ k[0, group, key]) / math.sqrt(q.shape[3]) for key in range(query + 1)]
        total = sum(math.exp(logit) for logit in logits) + math.exp(float(sinks[head]))
        for key, logit in enumerate(logits):
            block = key // CHOICE.block
            found[group][block] = max(found[group][block], logit - math.log(total))
    return found


def naive_memberships(scores, query):
    own = query // CHOICE.block
    seen = scores[: own + 1]
    forced = {block for block in range(own + 1) if block < CHOICE.first or block > own - CHOICE.local}
    ranked = sorted((math.inf if block in forced else score for block, score in enumerate(seen)), reverse=True)
    threshold = (ranked[CHOICE.count - 1] + ranked[CHOICE.count]) / 2
    mean = sum(seen) / len(seen)
    width = SOFTNESS * math.sqrt(sum((score - mean) ** 2 for score in seen) / len(seen))
    soft = [1 / (1 + math.exp(-(score - threshold) / width)) for score in seen]
    return [1.0 if block in forced else soft[block] for block in range(own + 1)] + [0.0] * (len(scores) - own - 1)


def test_the_scores_are_those_of_loops():
    q, k, sinks = drawn()
    queries = torch.tensor([13, 22, 29])
    found = block_scores(q, k, queries, CHOICE, sinks)[0]
    for number, query in enumerate(queries.tolist()):
        for head, row in enumerate(naive_scores(q, k, query, sinks)):
            assert found[head, number].tolist() == pytest.approx(row, abs=1e-5)


def test_the_overlap_is_that_of_loops():
    q, k, sinks = drawn()
    first, shares = torch.tensor([16, 20, 25]), []
    for query in first.tolist():
        rows = [
            [naive_memberships(scores, one) for scores in naive_scores(q, k, one, sinks)] for one in (query, query + 1)
        ]
        for one, two in zip(*rows, strict=True):
            shares.append(sum(map(min, one, two)) / sum(map(max, one, two)))
    assert float(soft_jaccard(q, k, first, CHOICE, sinks)) == pytest.approx(sum(shares) / len(shares), abs=1e-5)


def test_above_one_half_are_the_chosen_blocks():
    q, k, sinks = drawn(tokens=60, seed=3)
    queries = torch.arange(16, 60)
    scores = block_scores(q, k, queries, CHOICE, sinks)
    chosen = select_blocks(scores, (queries // CHOICE.block)[None], CHOICE)[0]
    for head, rows in enumerate(memberships(scores, queries, CHOICE)[0]):
        for row, blocks in zip(rows, chosen[head], strict=True):
            assert (row > 0.5).nonzero().flatten().tolist() == blocks.tolist()


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_scaled_scores_give_the_same_loss(factor):
    """A constant shift of all scores is the normaliser's."""
    queries = torch.tensor([21, 30])
    scores = torch.randn(1, 2, 2, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = scores.masked_fill(torch.arange(8) > (queries // 4)[:, None], -torch.inf)
    one, two = (memberships(factor * scores + shift, queries, CHOICE) for shift in (0.0, 5.0))
    assert torch.allclose(one, memberships(scores, queries, CHOICE))
    assert torch.allclose(one, two)


def test_pairs_are_crowded_and_of_one_block():
    found = drawn_pairs(40, CHOICE, 500, torch.Generator().manual_seed(0))
    wanted = {query for query in range(12, 39) if query // 4 == (query + 1) // 4}
    assert set(found.tolist()) == wanted


def test_rows_too_short_for_a_pair_are_refused():
    with pytest.raises(ValueError, match="longer rows"):
        drawn_pairs(12, CHOICE, 1, torch.Generator())


def selecting(model):
    return [module for module in model.modules() if isinstance(module, FullAttention) and module.selects]


def test_the_hooks_score_what_the_layers_select():
    model, ids, seen = make_model(), random_ids(1, 96), []
    queries = torch.arange(16, 96)
    for layer in selecting(model):
        layer.register_forward_pre_hook(
            lambda layer, given: seen.append(
                block_scores(
                    layer.query(given[0], given[2]),
                    layer.keys_values(given[0], given[2])[0],
                    queries,
                    layer.selection,
                    layer.sinks,
                )
            )
        )
    with torch.no_grad():
        used = model.model(ids, use_cache=False, output_blocks=True).used_blocks
    own = (queries // model.config.select_block)[None]
    same = [
        select_blocks(one, own, model.config.selection) == two[:, :, 16:] for one, two in zip(seen, used, strict=True)
    ]
    assert torch.stack(same).float().mean() >= 0.999


def test_the_loss_alone_makes_neighbours_alike():
    """A model with peaked attention, so that neighbours differ at first."""
    model, ids = make_model(), random_ids(1, 128)
    block = model.config.select_block

    def overlap_now():
        with torch.no_grad():
            used = model.model(ids, use_cache=False, output_blocks=True).used_blocks
        return jaccard(used.flatten(0, 1), block)

    before, alike = overlap_now(), OverlapLoss(model, pairs=64)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        optimiser.zero_grad()
        model.model(ids, use_cache=False)
        alike.take().backward()
        optimiser.step()
    assert overlap_now() >= before + 0.1


def test_a_forward_without_gradients_gathers_nothing():
    model = make_model()
    alike = OverlapLoss(model, pairs=4)
    with torch.no_grad():
        model.model(random_ids(1, 64), use_cache=False)
    assert alike.found == []
