"""Write traces as texts to learn: ``python -m judgerlvr.tinyworld.making.texts OUT.jsonl --count 20000``.

Each row has a ``prompt`` in the chat template and the ``text`` of a response with its end token, generation and judging
in equal shares: what the base models were trained on, drawn with another seed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data.jsonl import write_jsonl
from judgerlvr.cli import exit_code
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.making.sft import Examples, SFTConfig
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.tokenizer import chat
from judgerlvr.tinyworld.traces import Tracer
from rewards.errors import InputError


def texts(count: int, seed: int, tokenizer: PreTrainedTokenizerFast) -> Iterator[dict[str, str]]:
    """``count`` rows of prompt and response."""
    examples, draw = Examples(Tracer(World()), tokenizer, SFTConfig()), random.Random(seed)
    for _ in range(count):
        prompt, response = examples.texts(draw)
        yield {"prompt": chat(prompt, tokenizer), "text": response + tokenizer.eos_token}


def write(options: argparse.Namespace) -> None:
    """Write the file; raises InputError for an empty one."""
    if options.count < 1:
        raise InputError("the file would be empty", "give --count of at least 1")
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    write_jsonl(options.out, list(texts(options.count, options.seed, tokenizer)))
    print(f"{options.count} texts in {options.out}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m judgerlvr.tinyworld.making.texts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="JSONL file to write")
    parser.add_argument("--count", type=int, default=20_000, help="texts (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="draws the traces (default %(default)s)")
    return exit_code(lambda: write(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
