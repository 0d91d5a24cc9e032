"""The bad-input table of data files: each kind is one line with file, row, field and remedy."""

import json

import pytest

from data.decontaminate import check_overlap
from data.judge_set import build_judge_set
from data.problems import check_golds, read_problems
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from data.responses import read_responses
from data.row_files import read_rows
from rewards.errors import InputError
from rewards.grading.pool import GraderPool
from rewards.types import Problem, Reason, Result

GOOD = {"id": "a", "problem": "1+1?", "gold": "2"}
ANSWER = GOOD | {"response": "so \\boxed{2}"}
LONG = "what is the sum of the first nine positive whole numbers exactly"


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


# name -> (file name, content, reader, what the line must say: row, field, and words of problem and remedy)
FILES = {
    "empty file": ("a.jsonl", b"", read_rows, ["file is empty", "at least one row"]),
    "unknown extension": ("a.xls", b"x", read_rows, ["'.xls'", ".parquet"]),
    "not UTF-8": ("a.jsonl", b'{"problem": "\xff"}\n', read_rows, ["not UTF-8", "convert"]),
    "broken JSON": ("a.jsonl", jsonl(GOOD) + b"{oops\n", read_rows, ["row 2", "broken JSON", "mend"]),
    "row is no object": ("a.jsonl", jsonl(GOOD, GOOD) + b"[1]\n", read_rows, ["row 3", "list"]),
    "columns of two lengths": ("a.json", b'{"a": [1], "b": [1, 2]}', read_rows, ["differ in length"]),
    "not parquet": ("a.parquet", b"PAR0", read_rows, ["not parquet"]),
    "missing problem": (
        "a.jsonl",
        jsonl(without(GOOD, "problem")),
        read_problems,
        ["row 1", "'problem'", "add one of"],
    ),
    "problem of wrong type": ("a.jsonl", jsonl(GOOD | {"problem": 7}), read_problems, ["row 1", "'problem'", "int"]),
    "missing gold": ("a.jsonl", jsonl(GOOD, without(GOOD, "gold")), read_problems, ["row 2", "'answer'", "add one of"]),
    "two golds": ("a.jsonl", jsonl(GOOD | {"gold": ["1", "2"]}), read_problems, ["row 1", "'gold'", "2 answers"]),
    "gold is an object": ("a.jsonl", jsonl(GOOD | {"gold": {"x": 1}}), read_problems, ["row 1", "'gold'", "dict"]),
    "gold is not a number": ("a.jsonl", b'{"problem": "1?", "gold": NaN}\n', read_problems, ["'gold'", "nan"]),
    "two golds for a text": (
        "a.jsonl",
        jsonl(GOOD, GOOD | {"gold": "3"}),
        read_problems,
        ["row 2", "'gold'", "row 1 has the same text"],
    ),
    "CSV of unequal rows": ("a.csv", b"problem,gold\n1+1?,2,3\n", read_rows, ["row 1", "more cells"]),
    "broken gzip": ("a.jsonl.gz", b"nothing", read_rows, ["cannot be unpacked"]),
    "not Arrow": ("a.arrow", b"nothing", read_rows, ["not Arrow"]),
    "missing response": ("a.jsonl", jsonl(GOOD), read_responses, ["row 1", "'response'", "missing"]),
    "empty response": ("a.jsonl", jsonl(ANSWER | {"response": " "}), read_responses, ["row 1", "'response'", "empty"]),
    "label not boolean": ("a.jsonl", jsonl(ANSWER | {"label": "maybe"}), read_responses, ["'label'", "true or false"]),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_file_is_one_line_with_place_and_remedy(tmp_path, name):
    file, content, read, says = FILES[name]
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    line = str(caught.value)
    assert "\n" not in line
    assert [text for text in [str(path), *says] if text not in line] == []


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.jsonl: no such file; check"):
        read_rows(tmp_path / "nowhere.jsonl")


def test_unparsable_gold_names_its_row(tmp_path):
    problems = [Problem("a", "1+1?", "2"), Problem("b", "1+2?", "\\frac{")]
    with GraderPool(workers=1) as pool, pytest.raises(InputError, match=r"row 2, field 'gold': .*unparsable"):
        check_golds(problems, pool, tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{problem}} {{gold}}", "unknown field {{gold}}"),
        ("Judge {{response}}", "{{problem}} does not occur"),
        ("{{problem}} {{response}} {{ gold }}", "{{ gold }} has spaces inside the braces"),
        ("{% if problem %}{{problem}}{% endif %} {{response}}", "{% if problem %} is no place"),
        ("{{problem}} {{response}} \0", "holds the control character '\\x00'"),
        ("{{problem}} \x1b[31m {{response}}", "holds the control character '\\x1b'"),
        ("{{problem}} {{response }}", "{{response }} has spaces inside the braces; write e.g. {{problem}}"),
    ],
)
def test_bad_template(tmp_path, text, says):
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_template(path, JUDGE_FIELDS)
    assert says in str(caught.value)


def test_missing_template(tmp_path):
    with pytest.raises(InputError, match="no such prompt template"):
        load_template(tmp_path / "t.txt", GENERATE_FIELDS)


def test_contaminated_training_set_is_refused(tmp_path):
    path = tmp_path / "eval.jsonl"
    path.write_bytes(jsonl({"problem": LONG, "gold": "45"}))
    with pytest.raises(InputError, match=r"1 of 2 .* contaminated.*data\.contamination=drop"):
        check_overlap([Problem("a", LONG), Problem("b", "something else entirely")], [path])


def test_only_right_answers_leave_nothing_to_judge(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(jsonl(ANSWER, ANSWER | {"response": "thus \\boxed{2}"}))
    with pytest.raises(InputError, match="0 problems of mixed outcome"):
        build_judge_set(read_responses(path), grade_many=lambda pairs: [Result(1.0, Reason.CORRECT) for _ in pairs])
