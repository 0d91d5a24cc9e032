"""Texts that are held out: no learnt or searched text repeats one, wherever the repetition stands."""

from pathlib import Path

import pytest

from judgerlvr.hysparse.conversion.texts import IGNORED, Text, hold_out, split_texts
from rewards.errors import InputError

FILE = Path("texts.jsonl")


def texts(*words):
    return [Text([ord(letter) for letter in word]) for word in words]


@pytest.mark.parametrize(
    ("words", "heldout", "learnt"),
    [
        (["abc", "abc", "def"], 1, ["def"]),
        (["abc", "def", "ghi", "def", "abc"], 2, ["ghi"]),
        # Two learnt texts may be alike, and one may begin as a held-out text does.
        (["abc", "def", "def", "abcd"], 1, ["def", "def", "abcd"]),
        (["abc", "def"], 0, ["abc", "def"]),
    ],
)
def test_a_repeated_text_is_left_out(words, heldout, learnt):
    assert hold_out(texts(*words), heldout) == (texts(*words[:heldout]), texts(*learnt))


def test_the_number_of_repeated_texts_is_printed(capsys):
    _, rest = split_texts(texts("abc", "abc", "def", "abc"), 1, 8, FILE)
    assert capsys.readouterr().out == "2 of 4 texts repeat held-out texts, not learnt\n"
    assert [int(token) for token in rest.labels.flatten() if token != IGNORED] == [ord("e"), ord("f")]


def test_repetitions_alone_are_refused():
    with pytest.raises(InputError, match="all held out"):
        split_texts(texts("abc", "abc"), 1, 8, FILE)
