"""Multiple choice: when options are shown, what names the right one, and columns that hold an option each."""

import csv
import json

import pytest

from data.importing.choices import read_choices, with_choices
from data.importing.options import ReadOptions
from data.problems import read_problem_set, read_problems
from rewards.errors import InputError

NUMBERS = ["1", "2", "3", "0"]


def write(folder, row, kind):
    file = folder / f"a.{kind}"
    if kind == "jsonl":
        file.write_text(json.dumps(row) + "\n")
        return file
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(row))
        writer.writeheader()
        writer.writerow({name: json.dumps(value) if isinstance(value, list) else value for name, value in row.items()})
    return file


@pytest.mark.parametrize(
    "text",
    [
        "In 2013 Tom had 2 apples, 1 pear, 3 figs and 0 plums. How many pears?",
        "1, 2, 3 or 0?",
        "Which is least? 1 2 3 0",
    ],
)
def test_options_that_are_words_of_the_problem_are_shown(text):
    assert with_choices(text, read_choices(NUMBERS, "choices")).endswith("\n\nA. 1\nB. 2\nC. 3\nD. 0")


@pytest.mark.parametrize("form", ["{}. {}", "({}) {}", "{}) {}", "{}: {}", "[{}] {}", "{}.{}"])
@pytest.mark.parametrize("gap", ["\n", " ", "; "])
@pytest.mark.parametrize("letters", ["ABCD", "abcd"])
def test_options_behind_their_letters_are_not_shown_twice(form, gap, letters):
    text = "How many?\n" + gap.join(form.format(*pair) for pair in zip(letters, NUMBERS, strict=True))
    assert with_choices(text, read_choices(NUMBERS, "choices")) == text


@pytest.mark.parametrize("index", range(4))
def test_a_digit_in_a_table_that_names_two_options_is_refused(tmp_path, index):
    row = {"question": "1+1?", "choices": NUMBERS, "answer": index}
    assert read_problems(write(tmp_path, row, "jsonl"))[0].gold == "ABCD"[index]
    with pytest.raises(InputError, match=r"is the text of option . and the index of option .*give the letter"):
        read_problems(write(tmp_path, row, "csv"))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("column", ["gold_index", "answer_index", "answer_idx"])
def test_a_column_of_indices_holds_no_text(tmp_path, kind, column):
    row = {"question": "1+1?", "choices": NUMBERS, column: "1"}
    assert read_problems(write(tmp_path, row, kind))[0].gold == "B"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_digit_that_names_one_option_by_text_and_index_is_read(tmp_path, kind):
    row = {"question": "0+1?", "choices": ["0", "1", "2"], "answer": "1"}
    assert read_problems(write(tmp_path, row, kind))[0].gold == "B"


@pytest.mark.parametrize("row", [{"a": 3, "b": 5}, {"a": 3, "b": 5, "c": 1}, {"option": "x"}, {"a": "x", "c": "y"}])
def test_other_columns_of_a_letter_are_no_options(tmp_path, row):
    (problem,) = read_problems(write(tmp_path, {"problem": "3+5?", **row, "answer": "8"}, "jsonl"))
    assert (problem.text, problem.gold) == ("3+5?", "8")
    assert problem.meta == row


def test_a_missing_last_option_shortens_the_list(tmp_path):
    row = {"question": "Sky?", "A": "red", "B": "blue", "C": "green", "D": "", "answer": "B"}
    (problem,) = read_problems(write(tmp_path, row, "csv"))
    assert problem.text == "Sky?\n\nA. red\nB. blue\nC. green"


def test_every_column_of_a_verl_row_is_told(tmp_path):
    row = {
        "data_source": "x",
        "prompt": [{"role": "user", "content": "1+1?"}],
        "ability": "math",
        "reward_model": {"ground_truth": "2"},
        "extra_info": {"index": 1},
    }
    found = read_problem_set(write(tmp_path, row, "jsonl"))
    assert sorted(found.used) == ["prompt", "reward_model"]
    assert found.passed_over == {"ability"}
    assert set(found.unused) == {"data_source"}


@pytest.mark.parametrize("text", ["\u200b", " \u2060\n", "\ufeff"])
def test_a_problem_that_nobody_can_see_is_refused(tmp_path, text):
    with pytest.raises(InputError, match="write text"):
        read_problems(write(tmp_path, {"problem": text, "answer": "1"}, "jsonl"), ReadOptions())


def test_the_last_mark_of_a_worked_solution_counts(tmp_path):
    row = {"question": "1?", "answer": "First #### 1, then #### 2"}
    assert read_problems(write(tmp_path, row, "jsonl"))[0].gold == "2"
