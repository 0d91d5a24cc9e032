"""The lab's vocabulary as words: a word for each token, and a tokenizer of these words alone."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.lab.worlds.base import TOKENS
from benchmarks.lab.worlds.chain import LABELS, LINE, MOST_OPERATIONS, MOST_STEPS, OPERATIONS, VALUES

VOCABULARY = 64
# verl asks a Qwen3 tokenizer for this end of a turn, and for a line break of one token.
PAD, END, UNKNOWN = "<pad>", "<|im_end|>", "<unknown>"
# The product grades a verdict inside of a box. So the box is opened by the lab's verdict token alone.
VERDICTS = ("right", "wrong")
_NAMED = {
    **{getattr(TOKENS, name): name for name in ("begin", "solve", "judge", "ready", "recheck", "accepted", "refused")},
    **{TOKENS.again: "again", TOKENS.answer: "answer", TOKENS.fill: "fill", TOKENS.pad: PAD, TOKENS.end: END},
    **{TOKENS.verdict: r"\boxed{", TOKENS.right: f"{VERDICTS[0]}}}", TOKENS.wrong: f"{VERDICTS[1]}}}"},
    TOKENS.first_own - 1: UNKNOWN,  # no world writes this token
    **{LABELS + place: f"s{place + 1}" for place in range(MOST_STEPS)},
    **{OPERATIONS + place: f"o{place}" for place in range(MOST_OPERATIONS)},
    **{VALUES + value: f"v{value}" for value in range(VOCABULARY - VALUES)},
}
WORDS = [_NAMED[token] for token in range(VOCABULARY)]
_IDS = {word: token for token, word in enumerate(WORDS)}
SHOWS = "shows"  # stands between problem and candidate in a judge prompt, and gets no token

# A judge prompt of the lab has each value behind its step. The product's template has problem and response apart.
CHAT = """{%- set words = messages[-1]['content'].split() -%}
begin {% if words[0] == 'judge' and 'SHOWS' in words -%}
{%- set shown = words[words.index('SHOWS') + 1:] -%}
judge {{ words[1] }}
{%- for step in range(STEPS) -%}
{%- set slot = words[2 + 3 * step:5 + 3 * step] %} {{ slot | join(' ') }} {{ 'fill' if slot[0] == 'fill'
else shown[LINE * step + LINE - 1] }}
{%- endfor -%}
{%- else -%}
{{ messages[-1]['content'] }}
{%- endif -%}
{%- if add_generation_prompt %} ready{% endif -%}"""


def text_of(tokens: Iterable[int]) -> str:
    return " ".join(WORDS[token] for token in tokens)


def tokens_of(text: str) -> list[int]:
    """Tokens of the words of a text. Words of no token become the unknown token."""
    return [_IDS.get(word, _IDS[UNKNOWN]) for word in text.split()]


def make_tokenizer(steps: int) -> PreTrainedTokenizerFast:
    """A tokenizer for worlds of at most ``steps`` steps. Decoding joins words by blanks."""
    core = Tokenizer(models.WordLevel(_IDS, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False, model_max_length=512
    )
    places = {"SHOWS": SHOWS, "STEPS": str(steps), "LINE": str(LINE)}
    template = CHAT
    for name, value in places.items():
        template = template.replace(name, value)
    tokenizer.chat_template = template
    return tokenizer
