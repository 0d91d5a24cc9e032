"""Steered responses against a naive loop, token by token, over an engine whose tokens follow from the ids before."""

import hashlib
import math

import pytest

from judgerlvr.models.directory import load_tokenizer
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.requests import Finished, Prompts
from judgerlvr.sampling.samples import generate_items
from judgerlvr.sampling.steered import Steering, sample_steered
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.types import Problem

END, PAUSE, WRITTEN = 0, 7, 9
DECODING = Decoding(n=3, max_tokens=12, seed=1)


def next_token(ids):
    """A token of eleven, by the ids before alone."""
    return hashlib.sha256(str(list(ids)).encode()).digest()[0] % 11


class Engine:
    """Ends each request at once, last in first out, so that the order of ends is reversed."""

    def __init__(self):
        self.waiting, self.asked = [], []

    @property
    def busy(self):
        return bool(self.waiting)

    def add(self, request):
        self.waiting.append(request)
        self.asked.append(request)

    def step(self):
        request, ids = self.waiting.pop(), []
        while len(ids) < request.limit and (not ids or ids[-1] not in (END, *request.pauses)):
            ids.append(next_token([*request.ids, *ids]))
        return [Finished(request.name, "", len(ids), 0, False, "stop" if ids[-1] == END else "length", None, -1.0, ids)]

    def text_of(self, ids):
        return " ".join(map(str, ids))

    def finished_of(self, request, ids, reason):
        return Finished(request.name, self.text_of(ids), len(ids), 0, False, reason, None, math.nan)


def write(text, token):
    """Another token behind an even number of tokens."""
    return WRITTEN if len(text.split()) % 2 == 0 else token


def naive(prompt, limit):
    ids = []
    while len(ids) < limit:
        token = next_token([*prompt, *ids])
        ids.append(write(" ".join(map(str, ids)), token) if token == PAUSE else token)
        if token == END:
            return ids, "stop"
    return ids, "length"


@pytest.fixture(scope="module")
def prompts():
    items = generate_items([Problem(str(n), f"mod 30\na={n}", "1") for n in range(12)], "{{problem}}", "s")
    return Prompts(base_path("qwen3_moe"), items, {"max_model_len": 256})


@pytest.fixture(scope="module")
def steered(prompts):
    engine = Engine()
    return engine, sample_steered(engine, prompts, DECODING, Steering((PAUSE,), write))


def test_responses_are_those_of_the_naive_loop(prompts, steered):
    expected = [
        naive(prompts.request("r", place, index, DECODING).ids, DECODING.max_tokens)
        for place in range(12)
        for index in range(DECODING.n)
    ]
    found = [([int(one) for one in s.response.split()], s.finish_reason) for s in steered[1]]
    assert found == expected
    assert {reason for _, reason in found} == {"stop", "length"}
    assert any(WRITTEN in ids for ids, _ in found)


def test_no_response_is_longer_than_the_limit_and_none_has_a_log_probability(steered):
    assert max(s.tokens for s in steered[1]) == DECODING.max_tokens
    assert {s.mean_logprob for s in steered[1]} == {None}


def test_each_part_of_a_response_has_a_seed_of_its_own(steered):
    """Under a shared seed each part would begin with the same luck."""
    by_name = {}
    for request in steered[0].asked:
        by_name.setdefault(request.name, []).append(request.seed)
    assert max(len(seeds) for seeds in by_name.values()) > 1
    assert all(len(set(seeds)) == len(seeds) for seeds in by_name.values())


def test_a_prompt_without_room_is_an_empty_sample(prompts):
    tokens = len(load_tokenizer(base_path("qwen3_moe")).encode("a=1\n" * 400))
    long = generate_items([Problem("long", "a=1\n" * 400, "1")], "{{problem}}", "s")
    asked = Prompts(base_path("qwen3_moe"), long, {"max_model_len": 256})
    found = sample_steered(Engine(), asked, DECODING, Steering((PAUSE,), write))
    assert tokens > 256
    assert {s.finish_reason for s in found} == {"prompt_too_long"}
