"""The tokenizer: one token a piece, any text back unchanged, think tags that survive decoding."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.tokenizer import chat, train_tokenizer
from judgerlvr.tinyworld.traces import Tracer

TOKENIZER = AutoTokenizer.from_pretrained(base_path())


def pieces(text):
    return [TOKENIZER.decode([token]) for token in TOKENIZER(text).input_ids]


@given(st.text())
def test_any_text_round_trips(text):
    assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


@pytest.mark.parametrize("text", [str(n) for n in range(30)] + ["\nb=", "\nwait", "\nhmm", "\ncheck", " ok", " bad"])
def test_pieces_of_traces_are_one_token(text):
    assert pieces(text) == [text]


def test_line_has_six_tokens():
    assert pieces("\nb=29*11=19") == ["\nb=", "29", "*", "11", "=", "19"]


@pytest.mark.parametrize(("text", "wanted"), [("30", ["3", "0"]), ("123", ["1", "2", "3"]), (" 7", [" ", "7"])])
def test_longer_numbers_are_digits_and_blanks_stay_apart(text, wanted):
    assert pieces(text) == wanted


def test_think_tags_are_kept_where_special_tokens_are_dropped():
    ids = TOKENIZER("<think>\n</think>\n\\boxed{7}<|im_end|>").input_ids
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "<think>\n</think>\n\\boxed{7}"


def test_prompt_and_response_are_tokenized_apart_as_together():
    """The engine samples ids after the prompt's. Training reads the same ids."""
    tracer, draw = Tracer(World()), random.Random(0)
    for _ in range(50):
        chain = tracer.world.sample(draw)
        prompt, response = chat(f"Solve.\n{chain.text}", TOKENIZER), tracer.solve(draw, chain)
        assert TOKENIZER(prompt).input_ids + TOKENIZER(response).input_ids == TOKENIZER(prompt + response).input_ids


def test_chat_template_is_qwens():
    assert chat("Hi", TOKENIZER) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_training_it_again_gives_the_committed_one():
    assert train_tokenizer().get_vocab() == TOKENIZER.get_vocab()
