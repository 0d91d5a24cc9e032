"""The world's tokenizer: byte-level BPE, one token for each number, word and line opening of a trace."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from data.prompts import as_chat, render
from judgerlvr.tinyworld.prompts import GENERATE, JUDGE, general_prompts
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.trace_parsing import read_response
from judgerlvr.tinyworld.traces import Tracer

PAD, EOS, TURN = "<|endoftext|>", "<|im_end|>", "<|im_start|>"
THINK_TAGS = ("<think>", "</think>")
# Alternatives in order: line opening `\nb=`, box opening, a number 0-29 standing alone (else single digits, never
# joined with a space), a word with at most one blank or line break before the word, any other sign, other white space.
_PIECES = (
    r"\n?(?<![A-Za-z])[a-z]=|\n?\\boxed\{|(?<![0-9])[12]?[0-9](?![0-9])|[0-9]"
    r"|[ \n]?[A-Za-z]+|[^\sA-Za-z0-9]|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def world_text(seed: int = 0, problems: int = 2000) -> Iterator[str]:
    """Prompts and responses of both modes, from which the merges are learned. The general prompts fill up the
    vocabulary with words, so that the size is a round number.
    """
    world = World()
    tracer = Tracer(world)
    draw = random.Random(seed)
    yield from ("system\n", *general_prompts())
    for _ in range(problems):
        chain = world.sample(draw)
        response = tracer.solve(draw, chain)
        shown = read_response(response)
        yield "user\n" + render(GENERATE, {"problem": chain.text})
        yield "assistant\n" + response
        yield "user\n" + render(JUDGE, {"problem": chain.text, "response": shown.solution_text})
        yield tracer.judge(draw, chain, shown.solution)


def train_tokenizer(size: int = 384) -> PreTrainedTokenizerFast:
    """A tokenizer of ``size`` tokens. All 256 bytes are in the alphabet, so any text round-trips.

    The think tags are added and not special, because graders decode without special tokens and must see the tags.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(THINK_TAGS),
        special_tokens=[PAD, EOS, TURN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(world_text(), trainer)
    core.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in THINK_TAGS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=[TURN],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def chat(prompt: str, tokenizer: PreTrainedTokenizerFast) -> str:
    """The prompt as text in the chat template, up to the begin of the response."""
    return tokenizer.apply_chat_template(as_chat(prompt), tokenize=False, add_generation_prompt=True)
