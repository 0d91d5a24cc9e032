"""Sampling with vLLM on the shipped tiny model: one engine start, everything about it."""

import math
from itertools import pairwise

import pytest

from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.requests import Prompts
from judgerlvr.sampling.samples import Item, generate_items
from judgerlvr.sampling.steered import Steering
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.problems import generate_problems
from rewards.types import Problem

DECODING = Decoding(n=3, max_tokens=48, seed=5)
CONTEXT = 256


@pytest.fixture(scope="module")
def model_dir():
    return base_path("qwen3_moe")


@pytest.fixture(scope="module")
def sampler(model_dir):
    from judgerlvr.sampling.sampler import Sampler

    with Sampler(model_dir, CONTEXT) as sampler:
        yield sampler


def items(count: int) -> list[Item]:
    problems = [Problem(row["id"], row["problem"], row["gold"]) for row in generate_problems(count, 3, "heldout")]
    return generate_items(problems, "{{problem}}", "heldout")


def prompts(asked):
    return Prompts(base_path("qwen3_moe"), asked, {"max_model_len": CONTEXT})


@pytest.mark.engine
def test_a_sample_depends_on_its_problem_and_index_alone(sampler):
    everything = sampler.sample(prompts(items(6)), DECODING)
    alone = sampler.sample(prompts(items(6)[4:5]), DECODING)
    assert [s.response for s in everything[12:15]] == [s.response for s in alone]
    assert len({s.response for s in everything}) > 12  # samples of a group differ


@pytest.mark.engine
def test_mean_logprob_is_that_of_the_sampled_distribution(sampler, model_dir):
    import torch
    from transformers import AutoModelForCausalLM

    warm = Decoding(n=1, temperature=0.7, max_tokens=32, seed=5)
    sample = sampler.sample(prompts(items(1)), warm)[0]
    prompt = sampler.tokenizer.encode(sample.prompt_text, add_special_tokens=False)
    response = sampler.tokenizer.encode(sample.response, add_special_tokens=False)
    response += [sampler.tokenizer.eos_token_id] * (sample.tokens - len(response))
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1] / warm.temperature
    expected = logits.log_softmax(-1).gather(-1, torch.tensor(response)[:, None]).mean().item()
    assert sample.mean_logprob == pytest.approx(expected, abs=1e-4)


@pytest.mark.engine
def test_greedy_is_one_sample_and_repeats(sampler):
    first, second = (sampler.sample(prompts(items(3)), DECODING.as_greedy()) for _ in range(2))
    assert [s.response for s in first] == [s.response for s in second]
    assert len(first) == 3


@pytest.mark.engine
def test_decodings_that_run_together_draw_what_each_draws_alone(sampler):
    decodings = [DECODING, DECODING.as_greedy()]
    together = sampler.sample_each(prompts(items(6)), decodings)
    alone = [sampler.sample(prompts(items(6)), decoding) for decoding in decodings]
    assert [[s.response for s in drawn] for drawn in together] == [[s.response for s in drawn] for drawn in alone]


@pytest.mark.engine
def test_banned_tokens_do_not_occur_and_the_rest_is_sampled(sampler):
    free = sampler.sample(prompts(items(6)), DECODING)
    banned = sampler.tokenizer.encode("\nwait", add_special_tokens=False)
    kept = sampler.sample(prompts(items(6)), DECODING, banned=banned)
    assert len(banned) == 1
    assert [any("wait" in s.response for s in group) for group in (free, kept)] == [True, False]
    assert all(s.response for s in kept)


@pytest.mark.engine
def test_a_pause_lets_the_caller_write_each_next_token(sampler):
    """Each line behind another word is replaced by ``wait``."""
    wait = sampler.tokenizer.encode("\nwait", add_special_tokens=False)[0]
    starts = tuple(one for one in range(len(sampler.tokenizer)) if sampler.tokenizer.decode([one]).startswith("\n"))
    steering = Steering(starts, lambda text, token: token if text.endswith("wait") or "</think>" in text else wait)
    steered = sampler.sample_steered(prompts(items(6)), DECODING, steering)
    lines = [s.response.partition("</think>")[0].split("\n") for s in steered]
    # A word may stand behind a ``wait`` that was written, since the model goes on as the model likes.
    assert all(any(line.startswith("wait") for line in pair) for found in lines for pair in pairwise(found))
    assert len({line for found in lines for line in found}) > 10


@pytest.mark.engine
def test_steering_that_changes_nothing_leaves_greedy_responses_as_they_are(sampler):
    starts = tuple(one for one in range(len(sampler.tokenizer)) if sampler.tokenizer.decode([one]).startswith("\n"))
    plain = sampler.sample(prompts(items(6)), DECODING.as_greedy())
    steered = sampler.sample_steered(prompts(items(6)), DECODING.as_greedy(), Steering(starts, lambda _, token: token))
    assert [(s.response, s.tokens, s.finish_reason) for s in steered] == [
        (s.response, s.tokens, s.finish_reason) for s in plain
    ]


@pytest.mark.engine
def test_oversize_prompt_is_a_counted_sample_and_the_rest_is_sampled(sampler):
    long = Problem("long", "a=1\n" * 400, "1")
    asked = [*items(1), *generate_items([long], "{{problem}}", "heldout")]
    samples = sampler.sample(prompts(asked), DECODING.as_greedy())
    assert [s.finish_reason == "prompt_too_long" for s in samples] == [False, True]
    assert samples[1].tokens == 0


@pytest.mark.engine
def test_more_prompt_tokens_than_one_batch_holds(sampler):
    """Seeded prompts cut by chunked prefill crash vLLM on the CPU."""
    many = generate_items([Problem(str(i), f"mod 30\na={i}\n" * 12, "1") for i in range(120)], "{{problem}}", "s")
    samples = sampler.sample(prompts(many), Decoding(n=1, max_tokens=4))
    assert len(samples) == 120
    assert all(math.isfinite(s.mean_logprob) for s in samples)
