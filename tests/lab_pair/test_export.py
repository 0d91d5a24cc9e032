"""A lab's base as a policy of the product: the same tokens, the same prompts, the same log-probabilities."""

import pytest
import torch
from transformers import AutoTokenizer, Qwen3ForCausalLM

from benchmarks.lab.model import next_token_logits, rotary_table
from benchmarks.lab.objective import token_logprobs
from benchmarks.lab_pair.prepare import TEMPLATES, direct_response, write_model
from benchmarks.lab_pair.qwen3 import read_policy
from benchmarks.lab_pair.words import VOCABULARY, WORDS, text_of, tokens_of
from benchmarks.lab_pair.world import problem_rows
from data.prompts import as_chat, render
from judgerlvr.models.directory import check_model
from judgerlvr.models.prompt_tokens import encode_prompt
from tests.lab_pair.conftest import NAME


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    rounded = {name: value.bfloat16().float() for name, value in small.base.items()}
    write_model(small.cell, small.world, rounded, folder)
    return folder, rounded


def test_the_product_takes_the_policy(exported):
    check_model(exported[0], 200)


def test_words_and_tokens_are_one_to_one(exported):
    tokenizer = AutoTokenizer.from_pretrained(exported[0])
    assert len(set(WORDS)) == len(WORDS) == len(tokenizer) == VOCABULARY
    assert tokens_of(text_of(range(VOCABULARY))) == list(range(VOCABULARY))
    assert tokenizer.encode(" ".join(WORDS), add_special_tokens=False) == list(range(VOCABULARY))
    assert tokenizer.decode(range(3, VOCABULARY)) == text_of(range(3, VOCABULARY))


def chat_ids(exported, template, **values):
    return encode_prompt(AutoTokenizer.from_pretrained(exported[0]), as_chat(render(template.rstrip(), values)))


def test_prompts_are_the_labs(small, exported):
    rows, values = problem_rows(NAME, small.problems), small.candidates.tolist()
    solving, judging = small.world.prompt(small.problems), small.world.judge_prompt(small.problems, small.candidates)
    for index, row in enumerate(rows[:12]):
        assert chat_ids(exported, TEMPLATES["solve.txt"], problem=row["problem"]) == solving[index].tolist()
        shown = text_of(direct_response(small.problems, index, values[index]))
        asked = chat_ids(exported, TEMPLATES["judge.txt"], problem=row["problem"], response=shown)
        assert asked == judging[index].tolist()


@pytest.mark.parametrize("kind", ["solved", "judged"])
def test_log_probabilities_are_the_labs(small, exported, kind):
    folder, weights = exported
    samples, prompts = getattr(small, kind), small.world.prompt(small.problems)
    if kind == "judged":
        prompts = small.world.judge_prompt(small.problems, small.candidates)
    prompts = prompts.repeat_interleave(len(samples.lengths[0]) // len(prompts), 0)
    ids, first = torch.cat((prompts, samples.tokens[0]), 1), prompts.shape[1]
    table = rotary_table(ids.shape[1], small.shape.head_width, ids.device, torch.float32)
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        lab = token_logprobs(
            next_token_logits(small.shape, weights, ids[None, :, :-1], table, first), ids[None, :, first:]
        )
        logits = torch.log_softmax(model(ids).logits[:, first - 1 : -1], -1)
    product = logits.gather(2, ids[:, first:, None])[..., 0]
    assert ((lab[0] - product) * samples.own[0]).abs().max() < 1e-3


def test_a_policy_comes_back_as_the_labs_weights(small, exported):
    folder, weights = exported
    back = read_policy(small.shape, folder)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], value) for name, value in weights.items())
