"""The sampler: the cache against a single forward, the world's replies, styles, and distribution."""

import pytest
import torch

from benchmarks.lab.model import Shape, initial_weights, next_token_logits, rotary_table
from benchmarks.lab.objective import token_logprobs
from benchmarks.lab.sampler import Sampler, Style
from benchmarks.lab.worlds.base import TOKENS
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld

CPU = torch.device("cpu")


@pytest.fixture
def short():
    return ChainWorld(ChainConfig(least_steps=1, most_steps=2), CPU)


def prompts(world, draw, runs, n):
    return world.prompt(world.problems(runs * n, draw)).unflatten(0, (runs, n))


@pytest.mark.parametrize("width, layers, heads", [(32, 2, 4), (96, 4, 6)])
def test_cached_log_probabilities_are_those_of_one_forward(short, draw, width, layers, heads):
    shape = Shape(64, width, layers, heads, 2, 16, 64)
    weights = {name: 4 * value for name, value in initial_weights(shape, [0, 1], CPU).items()}
    sampler = Sampler(shape, short, 2, 12, False, CPU)
    asked = prompts(short, draw, 2, 4)
    samples = sampler.run(weights, asked, draw)
    ids = torch.cat((asked.repeat_interleave(3, 1), samples.tokens), -1)
    table = rotary_table(ids.shape[2], shape.head_width, CPU, torch.float32)
    whole = token_logprobs(next_token_logits(shape, weights, ids[..., :-1], table, short.prompt_length), samples.tokens)
    assert ((whole - samples.logprobs).abs() * samples.own).max() < 1e-3


def biased(shape, weights, token):
    """The same models with a token far likelier than the rest at every place."""
    changed = {name: value.clone() for name, value in weights.items()}
    changed["norm_last"] = torch.ones_like(changed["norm_last"])
    changed["embedding"][:, token] = 0
    changed["embedding"] = changed["embedding"] * 0.01
    changed["embedding"][:, token, 0] = 5.0
    changed["out"], changed["down"] = changed["out"] * 0, changed["down"] * 0
    changed["embedding"][..., 0] = changed["embedding"][..., 0].abs() + 0.5
    return changed


def test_the_world_answers_every_recheck(short, shape, weights, draw):
    samples = Sampler(shape, short, 2, 8, False, CPU).run(
        biased(shape, weights, TOKENS.recheck), prompts(short, draw, 2, 8), draw
    )
    after = samples.tokens[..., 1:][samples.tokens[..., :-1] == TOKENS.recheck]
    assert len(after) > 50
    assert set(after.tolist()) <= {TOKENS.accepted, TOKENS.refused}


def test_replies_are_not_the_policys_own(short, shape, weights, draw):
    samples = Sampler(shape, short, 2, 8, False, CPU).run(
        biased(shape, weights, TOKENS.recheck), prompts(short, draw, 2, 8), draw
    )
    replied = torch.roll(samples.tokens, 1, -1) == TOKENS.recheck
    assert not bool((samples.own & replied)[..., 1:].any())


def test_no_reply_in_judging(short, shape, weights, draw):
    problems = short.problems(16, draw)
    asked = short.judge_prompt(problems, short.candidates(problems, draw)).unflatten(0, (2, 8))
    samples = Sampler(shape, short, 2, 8, True, CPU).run(biased(shape, weights, TOKENS.recheck), asked, draw)
    assert int((samples.tokens == TOKENS.recheck).sum()) > 0.9 * samples.tokens.numel()


def test_the_style_without_rechecks_bans_them(short, shape, weights, draw):
    sampler = Sampler(shape, short, 2, 8, False, CPU)
    style = torch.full((2, 8), int(Style.NONE))
    samples = sampler.run(biased(shape, weights, TOKENS.recheck), prompts(short, draw, 2, 8), draw, style=style)
    assert not bool(((samples.tokens == TOKENS.recheck) | (samples.tokens == TOKENS.again)).any())


def test_the_end_token_ends_a_row(short, shape, weights, draw):
    samples = Sampler(shape, short, 2, 8, False, CPU).run(
        biased(shape, weights, TOKENS.end), prompts(short, draw, 2, 8), draw
    )
    assert bool(samples.ended.all())
    assert samples.lengths.float().mean().item() < 3


def test_greedy_takes_the_likeliest_token(short, shape, weights, draw):
    sampler = Sampler(shape, short, 2, 8, False, CPU)
    asked = prompts(short, draw, 2, 8)
    one, two = sampler.run(weights, asked, draw, 0.0), sampler.run(weights, asked, draw, 0.0)
    assert torch.equal(one.tokens[..., 0], two.tokens[..., 0])
    assert one.entropy.max().item() < 1e-3


def test_first_tokens_follow_the_models_chances(short, shape, weights, draw):
    rows = 4000
    sampler = Sampler(shape, short, 1, rows, False, CPU)
    one = {name: value[:1] for name, value in weights.items()}
    asked = prompts(short, draw, 1, 1)
    table = rotary_table(asked.shape[2], shape.head_width, CPU, torch.float32)
    chances = next_token_logits(shape, one, asked, table, asked.shape[2])[0, 0, -1].softmax(-1)
    sampler.limit = 1
    counted = torch.bincount(sampler.run(one, asked, draw).tokens[0, :, 0], minlength=64) / rows
    assert (counted - chances).abs().max().item() < 0.03
