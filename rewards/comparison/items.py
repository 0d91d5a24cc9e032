r"""From tokens to items: layout is dropped by a closed table, fonts become flags, spellings become one.

Every token of the input is either dropped by a table of this module or becomes an item. A command that no table names
becomes an item of kind ``unknown``, which no reader accepts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from rewards.comparison import spellings as spell
from rewards.comparison.tokens import Token, tokenize

ItemKind = Literal["num", "letter", "word", "cmd", "sign", "unknown"]


# A colour, a length, or the column format of an array.
_ROW_SPACING = re.compile(r"\[-?[0-9.]+(?:pt|em|ex|mm|cm|in)\]")
_DOTLESS = (r"\imath", r"\jmath")
_ARGUMENT = re.compile(r"[\w|.,!#\- ]+")
_COLUMNS = re.compile(r"[lcr| ]+")


@dataclass(frozen=True, slots=True)
class Item:
    """One meaningful token in its usual spelling.

    ``spaced``: white space stands before the item. ``text``: the item stands in a text command, so letter runs are
    words. ``roman``: the item is upright in mathematics. ``font``: bold, script and the like, for single letters.
    """

    kind: ItemKind
    value: str
    spaced: bool = False
    text: bool = False
    roman: bool = False
    font: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What two items must share to be the same token: spelling and font."""
        return (self.value, self.font)

    def is_(self, *values: str) -> bool:
        """Whether this item is one of these signs or commands."""
        return self.value in values and self.kind in ("sign", "cmd")


def items_of(text: str) -> list[Item]:
    """The meaningful items of ``text``, in order."""
    return _Reader(tokenize(spell.unify(text))).run()


class _Reader:
    """One pass over the tokens with a stack of open groups."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._out: list[Item] = []
        self._spaced = False
        # One entry an open brace: text, roman, font, whether the braces are kept, index of the opening item.
        self._modes: list[tuple[bool, bool, str, bool, int]] = [(False, False, "", True, 0)]

    def run(self) -> list[Item]:
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            getattr(self, f"_{token.kind}")(token.text)
        if len(self._modes) > 1:
            self._add("unknown", "{")
        return self._out

    def _add(self, kind: ItemKind, value: str) -> None:
        text, roman, font, _, _ = self._modes[-1]
        if font == "hat" and value in ("i", "j", "k"):
            font = "vector"  # the three unit vectors
        self._out.append(Item(kind, value, self._spaced, text, roman, font if kind == "letter" else ""))
        self._spaced = False

    def _space(self, _text: str) -> None:
        self._spaced = True

    def _number(self, text: str) -> None:
        self._add("num", text)

    def _letters(self, text: str) -> None:
        mode = self._modes[-1]
        if mode[0] or not text.isascii() or (mode[1] and len(text) > 1):
            self._add("letter" if len(text) == 1 else "word", text)
            return
        if spell.is_plain_word(text):
            self._add("word", text)
            return
        for part in spell.split_letters(text):
            self._add("letter" if len(part) == 1 else "word", part)

    def _sign(self, text: str) -> None:
        # A bare dollar sign opens or closes mathematics. Money is written \$.
        if text == "$":
            self._spaced = True
        elif text == "{":
            self._open("", keep=True)
        elif text == "}":
            self._close()
        # Two stars are the power sign of Python.
        elif text == "*" and self._peek() == "*":
            self._at += 1
            self._add("sign", "^")
        else:
            self._add("sign", spell.SIGNS.get(text, text))

    def _peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _next_printed(self) -> str:
        """The next token that is not white space, which stays where it is."""
        return next((token.text for token in self._tokens[self._at :] if token.kind != "space"), "")

    def _skip_space(self) -> None:
        while self._at < len(self._tokens) and self._tokens[self._at].kind == "space":
            self._at += 1

    def _open(self, command: str, *, keep: bool) -> None:
        text, roman, font, _, _ = self._modes[-1]
        if command in spell.TEXT_COMMANDS:
            text, font = True, ""
        elif command in spell.ROMAN_COMMANDS:
            roman = True
        elif command in spell.FONT_COMMANDS:
            font = spell.FONT_COMMANDS[command]
        if keep:
            self._add("sign", "{")
        self._modes.append((text, roman, font, keep, len(self._out)))

    def _close(self) -> None:
        if len(self._modes) == 1:
            self._add("unknown", "}")
            return
        mode = self._modes.pop()
        self._spaced = self._spaced and not mode[3]
        if mode[3]:
            self._add("sign", "}")
        elif len(self._out) - mode[4] > 1:
            self._settle(mode)
        elif (mode[0] or mode[1]) and len(self._out) - mode[4] == 1:
            self._name_function(mode[4])

    def _name_function(self, at: int) -> None:
        r"""``\text{lcm}(4,6)`` is a function as ``\operatorname{lcm}(4,6)`` is, so that its value is checked."""
        name = self._out[at].value.casefold()
        if name in spell.FUNCTIONS | spell.INTEGER_FUNCTIONS and self._next_printed() in ("(", r"\left", r"\{", "["):
            self._out[at] = Item("cmd", f"\\{name}", self._out[at].spaced)

    def _settle(self, mode: tuple[bool, bool, str, bool, int]) -> None:
        """A font around more than one letter is emphasis; a text before a power must stay together."""
        start = mode[4]
        if mode[2] and not self._modes[-1][2]:
            self._out[start:] = [replace(item, font="") for item in self._out[start:]]
        if self._next_printed() in ("^", "_", "!") and not mode[0] and not mode[1]:
            opening = Item("sign", "{", self._out[start].spaced)
            self._out[start:] = [opening, *self._out[start:], Item("sign", "}")]

    def _command(self, text: str) -> None:
        name = spell.COMMAND_SPELLINGS.get(text, text)
        if name == "\\":
            return
        if name in spell.SPACES:
            self._spaced = True
        elif name in _DOTLESS:
            self._letters(name[1])
        # Above digits a bar marks a period, above a letter a bar is a font.
        elif name == r"\bar" and self._out and self._out[-1].kind == "num":
            self._add("cmd", r"\overline")
        elif name in spell.LAYOUT:
            self._after_layout(name)
        elif name in spell.WITH_ARGUMENT:
            self._drop_argument()
        elif name in spell.GROUPING:
            self._group(name)
        elif name in spell.KNOWN:
            self._add("cmd", name)
        elif name in spell.AS_SIGN:
            self._add("sign", spell.AS_SIGN[name])
            if name == r"\\":
                self._drop_row_spacing()
        elif name == r"\begin" or name == r"\end":
            self._environment(name)
        else:
            self._add("unknown", name)

    def _after_layout(self, name: str) -> None:
        if name in spell.SIZED and self._peek() == ".":
            self._at += 1
        if name == r"\!":
            self._skip_space()

    def _drop_argument(self, allowed: re.Pattern[str] = _ARGUMENT) -> None:
        """The argument of a colour or of a horizontal space prints nothing."""
        self._skip_space()
        if self._peek() != "{":
            self._add("unknown", "argument")
            return
        self._at += 1
        start = self._at
        while self._at < len(self._tokens) and self._tokens[self._at].text != "}":
            self._at += 1
        argument = "".join(token.text for token in self._tokens[start : self._at])
        self._at += 1
        if not allowed.fullmatch(argument):
            self._add("unknown", argument)

    def _drop_row_spacing(self) -> None:
        """``[4pt]`` after the end of a row prints nothing."""
        ahead = "".join(token.text for token in self._tokens[self._at : self._at + 5])
        if (length := _ROW_SPACING.match(ahead)) is not None:
            end = length.end()
            while end > 0:
                end -= len(self._peek())
                self._at += 1

    def _group(self, name: str) -> None:
        self._skip_space()
        if self._peek() == "{":
            self._at += 1
            # An arrow over several letters is a mark like a bar, and no font.
            if name in spell.ARROWS and len(self._next_printed()) > 1 and self._next_printed().isalpha():
                self._add("cmd", r"\overrightarrow")
                self._open("", keep=True)
                return
            # An accent above a numeral means something that no table knows.
            if name in spell.ACCENTS and self._next_printed()[:1].isdigit():
                self._add("unknown", name)
            self._open(name, keep=False)
        elif name in spell.FONT_COMMANDS and self._at < len(self._tokens):
            self._font_on_one_token(name)
        else:
            self._add("unknown", name)

    def _font_on_one_token(self, name: str) -> None:
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "letters":
            text, roman, _, keep, start = self._modes[-1]
            self._modes.append((text, roman, spell.FONT_COMMANDS[name], keep, start))
            self._letters(token.text[0])
            self._modes.pop()
            if len(token.text) > 1:
                self._letters(token.text[1:])
        elif token.kind == "number" and name not in spell.ACCENTS:
            self._number(token.text)
        else:
            self._add("unknown", name)

    def _environment(self, name: str) -> None:
        """``\\begin{pmatrix}`` becomes one item; the column format of an array is layout."""
        words = [token.text for token in self._tokens[self._at : self._at + 3]]
        environment = words[1] if len(words) == 3 and words[0] == "{" and words[2] == "}" else ""
        if environment not in spell.ENVIRONMENTS:
            self._add("unknown", name)
            return
        self._at += 3
        self._add("cmd", f"{name}{{{spell.ENVIRONMENTS[environment]}}}")
        if environment == "array" and name == r"\begin" and self._peek() == "{":
            self._drop_argument(_COLUMNS)
