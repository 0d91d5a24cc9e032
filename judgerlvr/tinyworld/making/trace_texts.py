"""Traces as texts to learn: rows of a prompt in the chat template and a response with its end token."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data.jsonl import write_jsonl
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.making.sft import Examples, SFTConfig
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.tokenizer import chat
from judgerlvr.tinyworld.traces import Tracer
from rewards.errors import InputError
from rewards.wording import counted


def texts(count: int, seed: int, tokenizer: PreTrainedTokenizerFast) -> Iterator[dict[str, str]]:
    """``count`` rows of prompt and response."""
    examples, draw = Examples(Tracer(World()), tokenizer, SFTConfig()), random.Random(seed)
    for _ in range(count):
        prompt, response = examples.texts(draw)
        yield {"prompt": chat(prompt, tokenizer), "text": response + tokenizer.eos_token}


def write(options: argparse.Namespace) -> None:
    """Write the file. Raises InputError for an empty file."""
    if options.count < 1:
        raise InputError("the file would be empty", "give --count of at least 1")
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    write_jsonl(options.out, list(texts(options.count, options.seed, tokenizer)))
    print(f"{counted(options.count, 'text')} in {options.out}")
