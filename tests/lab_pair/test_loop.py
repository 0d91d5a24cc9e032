"""The agent loop with a server that writes what it is told: what the world answers, and what carries loss."""

import asyncio
from types import SimpleNamespace

import pytest
from verl.workers.rollout.replica import TokenOutput

from benchmarks.lab.worlds.base import TOKENS
from benchmarks.lab_pair import loop
from benchmarks.lab_pair.prepare import direct_response
from tests.lab_pair.conftest import NAME

PROMPT = [1, 3, 33]
LIMIT = 40


class Server:
    """Writes ``parts`` one after another and keeps what was asked."""

    def __init__(self, parts):
        self.parts, self.asked = list(parts), []

    async def generate(self, request_id, *, prompt_ids, sampling_params, **named):
        self.asked.append((list(prompt_ids), dict(sampling_params)))
        tokens = self.parts.pop(0)[: sampling_params.get("max_tokens", LIMIT)]
        return TokenOutput(token_ids=tokens, log_probs=[-1.0] * len(tokens), extra_fields={"global_steps": 1})


@pytest.fixture
def line(small):
    """A line that states a true fact, and the same line with a wrong value."""
    right = direct_response(small.problems, 0, small.problems["gold"][0].tolist())[:5]
    return right, [*right[:4], 31 if right[4] != 31 else 32]


def generate(parts, seed=7, limit=LIMIT, **named):
    server = Server(parts)
    client = loop.AnsweringClient(server, limit)
    params = {"seed": seed, "temperature": 1.0, "cell": NAME} | named
    output = asyncio.run(client.generate("1", prompt_ids=PROMPT, sampling_params=params))
    return output, server


def test_the_world_answers_a_recheck_and_the_policy_goes_on(line):
    first, second = [*line[0], TOKENS.recheck], [TOKENS.answer, 31, TOKENS.end]
    output, server = generate([first, second])
    answer = output.token_ids[len(first)]
    assert answer in (TOKENS.accepted, TOKENS.refused)
    assert output.token_ids == [*first, answer, *second]
    assert output.log_probs == [-1.0] * len(first) + [0.0] + [-1.0] * len(second)
    (prompt, asked), (next_prompt, next_asked) = server.asked
    assert (prompt, next_prompt) == (PROMPT, [*PROMPT, *first, answer])
    assert asked["stop_token_ids"] == [TOKENS.recheck]
    assert next_asked["max_tokens"] == LIMIT - len(first) - 1
    assert asked["seed"] != next_asked["seed"]
    assert "cell" not in asked


@pytest.mark.parametrize(("place", "token"), [(0, TOKENS.accepted), (1, TOKENS.refused)])
def test_replies_are_right_as_often_as_the_world_says(small, line, place, token):
    written = [*line[place], TOKENS.recheck]
    found = [generate([written, [TOKENS.end]], seed)[0].token_ids[len(written)] == token for seed in range(400)]
    assert sum(found) / 400 == pytest.approx(small.world.config.check_right, abs=0.05)


def test_a_reply_hangs_on_the_seed_alone(line):
    written = [*line[0], TOKENS.recheck]
    first, again = (generate([written, [TOKENS.end]], 11)[0].token_ids for _ in range(2))
    assert first == again


@pytest.mark.parametrize(("limit", "length"), [(6, 6), (7, 7)])
def test_a_response_never_passes_the_limit(line, limit, length):
    output, server = generate([[*line[0], TOKENS.recheck], [TOKENS.end]], limit=limit)
    assert (len(output.token_ids), len(output.log_probs), len(server.asked)) == (length, length, 1)


def test_without_a_cell_nothing_is_asked_twice(line):
    output, server = generate([[*line[0], TOKENS.recheck]], cell=None)
    assert output.token_ids == [*line[0], TOKENS.recheck]
    assert "stop_token_ids" not in server.asked[0][1]


def run_loop(monkeypatch, response, mask):
    """What the loop hands on of an output of the product's loop."""

    async def inherited(self, sampling_params, priority, **kwargs):
        assert sampling_params["cell"] == NAME
        return SimpleNamespace(response_ids=response, response_mask=mask)

    monkeypatch.setattr(loop.SeededSingleTurn, "run", inherited)
    made = object.__new__(loop.RecheckLoop)
    return asyncio.run(made.run({}, extra_info={"cell": NAME})).response_mask


def test_the_worlds_tokens_carry_no_loss(monkeypatch):
    response = [16, 31, 25, 31, 32, TOKENS.recheck, TOKENS.refused, 16, TOKENS.accepted, TOKENS.end]
    assert run_loop(monkeypatch, response, [1] * 10) == [1] * 6 + [0] + [1] * 3


def test_a_masked_response_stays_masked(monkeypatch):
    assert run_loop(monkeypatch, [TOKENS.recheck, TOKENS.accepted, 16], [0] * 3) == [0] * 3
