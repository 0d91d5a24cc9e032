"""Words of the long recall task, and a tokenizer with one token for each word.

A response says one symbol after the other and ends with a boxed answer. A pair links a symbol to a symbol or to an
answer, and is a single word. No layer is therefore spent on joining neighbouring tokens. Fillers fill the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END, UNKNOWN = "<pad>", "<end>", "<unknown>"
CONTROL = (PAD, END, UNKNOWN)
# The generation prompt is empty: the question is the last token before the response.
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@dataclass(frozen=True)
class Words:
    """Numbers of symbols, of answers and of all tokens. Ids: control, symbols, answers, pairs, fillers."""

    symbols: int
    answers: int
    size: int

    def __post_init__(self) -> None:
        if self.first_filler >= self.size:
            raise ValueError(f"{self.size} tokens leave none for fillers: {self.first_filler} are taken")

    @property
    def parts(self) -> int:
        """Symbols and answers together. The number of a part is its place among both."""
        return self.symbols + self.answers

    @property
    def first_pair(self) -> int:
        return len(CONTROL) + self.parts

    @property
    def first_filler(self) -> int:
        return self.first_pair + self.symbols * self.parts

    def said(self, part: int) -> int:
        """Token that says a symbol or a boxed answer. A symbol's token also asks for its chain."""
        return len(CONTROL) + part

    def pair(self, symbol: int, part: int) -> int:
        """Token that links a symbol to a part."""
        return self.first_pair + symbol * self.parts + part

    def name(self, part: int) -> str:
        return f"s{part}" if part < self.symbols else f"a{part - self.symbols}"

    def text(self, part: int) -> str:
        return self.name(part) if part < self.symbols else f"\\boxed{{{self.name(part)}}}"

    @property
    def texts(self) -> list[str]:
        """Text of every token, in the order of ids."""
        said = [self.text(part) for part in range(self.parts)]
        names = [self.name(part) for part in range(self.parts)]
        pairs = [f"{left}>{right}" for left in names[: self.symbols] for right in names]
        fillers = [f"f{number}" for number in range(self.size - self.first_filler)]
        return [*CONTROL, *said, *pairs, *fillers]

    @property
    def boxes(self) -> list[int]:
        """Tokens of boxed answers. Each ends a response."""
        return [self.said(part) for part in range(self.symbols, self.parts)]


def make_tokenizer(words: Words) -> PreTrainedTokenizerFast:
    """White space separates words, and each word is a token."""
    # Imported here, because every process that grades imports this module.
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {text: number for number, text in enumerate(words.texts)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        model_max_length=2**20,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
