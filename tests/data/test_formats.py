"""Every known layout in every known container: the file is generated, read, and gives the same problems."""

import json

import pyarrow.parquet
import pytest

from data.importing.options import ReadOptions
from data.problems import read_problem_set, read_problems
from data.responses import read_responses
from rewards.errors import InputError
from tests.helpers.containers import CONTAINERS, json_list, jsonl, parquet, table, tsv

COUNT = 12
TEXTS = [
    f"Anna has {n} apples and buys {n + 1} \u00e9clairs.\nHow many things has she?\u2028Say it." for n in range(COUNT)
]
GOLDS = [str(2 * n + 1) for n in range(COUNT)]
WORKED = [f"She has {n} and {n + 1} things, so there are many of them in all. " for n in range(COUNT)]
OPTIONS = [["none", str(2 * n + 1), "too many"] for n in range(COUNT)]
SHOWN = [f"{text}\n\nA. {a}\nB. {b}\nC. {c}" for text, (a, b, c) in zip(TEXTS, OPTIONS, strict=True)]


def rows(make):
    return [make(n, TEXTS[n], GOLDS[n]) for n in range(COUNT)]


def user(text):
    return [{"role": "user", "content": text}]


# name -> (rows, expected texts, expected golds)
LAYOUTS = {
    "plain": (rows(lambda n, t, g: {"id": n, "problem": t, "gold": g}), TEXTS, GOLDS),
    "MATH": (rows(lambda n, t, g: {"problem": t, "solution": WORKED[n] + f"It is $\\boxed{{{g}}}$."}), TEXTS, GOLDS),
    "GSM8K": (rows(lambda n, t, g: {"question": t, "answer": WORKED[n] + f"\n#### {g}"}), TEXTS, GOLDS),
    "numbers as golds": (rows(lambda n, t, g: {"problem": t, "answer": float(g)}), TEXTS, GOLDS),
    "verl": (
        rows(
            lambda n, t, g: {
                "data_source": "x",
                "prompt": user(t),
                "ability": "math",
                "reward_model": {"style": "rule", "ground_truth": g},
                "extra_info": {"index": n, "split": "train"},
            }
        ),
        TEXTS,
        GOLDS,
    ),
    "verl with the raw question": (
        rows(
            lambda n, t, g: {
                "data_source": "x",
                "prompt": user(t + " Let's think step by step and output the answer after ####."),
                "reward_model": {"style": "rule", "ground_truth": g},
                "extra_info": {"index": n, "question": t},
            }
        ),
        TEXTS,
        GOLDS,
    ),
    "TRL": (rows(lambda n, t, g: {"prompt": user(t), "solution": f"${g}$"}), TEXTS, [f"${g}$" for g in GOLDS]),
    "NeMo-Skills": (rows(lambda n, t, g: {"problem": t, "expected_answer": g, "problem_source": "s"}), TEXTS, GOLDS),
    "verifiers": (rows(lambda n, t, g: {"prompt": user(t), "answer": g, "info": {"x": n}, "task": "m"}), TEXTS, GOLDS),
    "prime-rl": (
        rows(lambda n, t, g: {"prompt": t, "task_type": "m", "verification_info": json.dumps({"ground_truth": g})}),
        TEXTS,
        GOLDS,
    ),
    "lighteval": (rows(lambda n, t, g: {"query": t, "choices": OPTIONS[n], "gold_index": 1}), SHOWN, ["B"] * COUNT),
    "index": (rows(lambda n, t, g: {"question": t, "choices": OPTIONS[n], "answer": 2}), SHOWN, ["C"] * COUNT),
    "letter": (
        rows(
            lambda n, t, g: {
                "question": t,
                "options": [f"{x}) {o}" for x, o in zip("ABC", OPTIONS[n], strict=True)],
                "correct": "A",
            }
        ),
        SHOWN,
        ["A"] * COUNT,
    ),
    "a column for each option": (
        rows(lambda n, t, g: {"question": t, **dict(zip("ABC", OPTIONS[n], strict=True)), "answer": "B"}),
        SHOWN,
        ["B"] * COUNT,
    ),
    "named option columns": (
        rows(
            lambda n, t, g: {
                "question": t,
                **{f"option_{x}": o for x, o in zip("abc", OPTIONS[n], strict=True)},
                "answer": OPTIONS[n][2],
            }
        ),
        SHOWN,
        ["C"] * COUNT,
    ),
    "numbered option columns": (
        rows(
            lambda n, t, g: {
                "question": t,
                **{f"choice{x}": o for x, o in zip("123", OPTIONS[n], strict=True)},
                "answer_index": 0,
            }
        ),
        SHOWN,
        ["A"] * COUNT,
    ),
    "labelled options": (
        rows(
            lambda n, t, g: {
                "question": t,
                "choices": {"text": OPTIONS[n], "label": ["1", "2", "3"]},
                "answerKey": "2",
            }
        ),
        SHOWN,
        ["B"] * COUNT,
    ),
    "ShareGPT": (
        rows(
            lambda n, t, g: {
                "conversations": [
                    {"from": "human", "value": t},
                    {"from": "gpt", "value": WORKED[n] + f"\\boxed{{{g}}}"},
                ]
            }
        ),
        TEXTS,
        GOLDS,
    ),
    "messages": (
        rows(lambda n, t, g: {"messages": [*user(t), {"role": "assistant", "content": f"So.\n\nAnswer: {g}"}]}),
        TEXTS,
        GOLDS,
    ),
    "SVAMP": (
        rows(lambda n, t, g: {"Body": t, "Question": "Tell?", "Answer": float(g), "ID": f"chal-{n}"}),
        [f"{t} Tell?" for t in TEXTS],
        GOLDS,
    ),
    "ASDiv": (
        rows(lambda n, t, g: {"body": t, "question": "Tell?", "answer": f"{g} (apples)"}),
        [f"{t} Tell?" for t in TEXTS],
        GOLDS,
    ),
    "context": (
        rows(lambda n, t, g: {"context": "Read this.", "question": t, "answer": [g]}),
        [f"Read this.\n\n{t}" for t in TEXTS],
        GOLDS,
    ),
    "chat as text": (rows(lambda n, t, g: {"prompt": json.dumps(user(t)), "answer": g}), TEXTS, GOLDS),
    "parts": (
        rows(lambda n, t, g: {"prompt": [{"role": "user", "content": [{"type": "text", "text": t}]}], "answer": g}),
        TEXTS,
        GOLDS,
    ),
    "gold in text": (
        rows(lambda n, t, g: {"problem": t, "ground_truth": json.dumps({"ground_truth": g})}),
        TEXTS,
        GOLDS,
    ),
    "instruction": (
        rows(lambda n, t, g: {"instruction": "Solve.", "input": t, "output": WORKED[n] + f"The answer is {g}."}),
        [f"Solve.\n\n{t}" for t in TEXTS],
        GOLDS,
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_layout_in_every_container(tmp_path, layout, container):
    made, texts, golds = LAYOUTS[layout]
    problems = read_problems(container(tmp_path, made))
    assert [problem.text for problem in problems] == texts
    assert [problem.gold for problem in problems] == golds


@pytest.mark.parametrize("kind", [jsonl, json_list, table, tsv])
@pytest.mark.parametrize(("ending", "packing"), [(".gz", "gzip"), (".zst", "zstd")])
def test_every_kind_of_text_is_read_packed(tmp_path, kind, ending, packing):
    made, texts, golds = LAYOUTS["plain"]
    plain = kind(tmp_path, made)
    packed = tmp_path / f"packed{plain.suffix}{ending}"
    with pyarrow.output_stream(str(packed), compression=packing) as out:
        out.write(plain.read_bytes())
    problems = read_problems(packed)
    assert [(problem.text, problem.gold) for problem in problems] == list(zip(texts, golds, strict=True))


@pytest.mark.parametrize("container", CONTAINERS)
def test_responses_in_every_container(tmp_path, container):
    made = rows(lambda n, t, g: {"question": t, "answer": g, "generation": f"so {g}", "is_correct": n % 2 == 0})
    candidates = read_responses(container(tmp_path, made))
    assert [c.response for c in candidates] == [row["generation"] for row in made]
    assert [c.label for c in candidates] == [row["is_correct"] for row in made]


@pytest.mark.parametrize("layout", ["plain", "verl", "messages"])
def test_a_problem_keeps_its_identity_in_every_container(tmp_path, layout):
    made = LAYOUTS[layout][0]
    ids = []
    for container in CONTAINERS:
        folder = tmp_path / container.__name__
        folder.mkdir()
        ids.append([problem.id for problem in read_problems(container(folder, made))])
    assert all(found == ids[0] for found in ids)


def test_system_and_earlier_turns_are_kept(tmp_path):
    turns = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Let x = 3."},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "What is x + 1?"},
    ]
    (problem,) = read_problems(jsonl(tmp_path, [{"prompt": turns, "answer": "4"}]))
    assert problem.text == "What is x + 1?"
    assert problem.meta["earlier_turns"] == turns[:3]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"problem": "x", "gold": "1", "image": {"bytes": "x"}}, "comes with an image"),
        ({"prompt": [{"role": "tool", "content": "x"}], "answer": "1"}, "role 'tool'"),
        ({"prompt": [{"role": "system", "content": "x"}], "answer": "1"}, "without a user turn"),
        ({"prompt": [{"role": "user", "content": [{"type": "image_url"}]}], "answer": "1"}, "kind 'image_url'"),
        ({"problem": "x", "gold": ["1", "2"]}, "2 answers"),
        ({"problem": "x", "answer": WORKED[0] * 2}, "without a marked answer"),
        ({"question": "x", "choices": ["a", "b"], "answer": 2}, "names none of 2 options"),
        ({"problem": "x", "gold": float("nan")}, "nan"),
        ({"task": "x", "expected_answer": "1"}, "nearest layout is NeMo-Skills"),
        ({"text": "x", "reward_model": {}, "data_source": "s"}, "nearest layout is verl"),
        ({"extra_info": {"problem": 17}, "prompt": "x", "answer": "1"}, "extra_info.problem"),
    ],
)
def test_a_row_that_cannot_be_shown_is_refused_by_name(tmp_path, row, says):
    with pytest.raises(InputError, match="row 1") as caught:
        read_problems(jsonl(tmp_path, [row]))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extra", ["text", ["a"], json.dumps({"split": "x"}), None, {}])
def test_extra_info_of_any_kind_is_read(tmp_path, extra):
    (problem,) = read_problems(jsonl(tmp_path, [{"prompt": "1+1?", "answer": "2", "extra_info": extra}]))
    assert (problem.text, problem.gold) == ("1+1?", "2")


def test_unusual_columns_are_mapped(tmp_path):
    path = jsonl(tmp_path, [{"input": {"text": "1+1?"}, "truth": "2", "problem": "other", "answer": "9"}])
    (problem,) = read_problems(path, ReadOptions({"problem": "input.text", "gold": "truth"}))
    assert (problem.text, problem.gold) == ("1+1?", "2")


def test_a_mapped_column_that_is_absent_is_named(tmp_path):
    path = jsonl(tmp_path, [{"problem": "1+1?", "answer": "2"}])
    with pytest.raises(InputError, match=r"no column 'truth'; the columns are problem, answer"):
        read_problems(path, ReadOptions({"gold": "truth"}))


def test_all_bad_rows_are_named_at_once_or_dropped(tmp_path):
    made = [{"problem": f"{n}?", "answer": None if n in (3, 5) else "1"} for n in range(8)]
    with pytest.raises(InputError, match=r"2 rows cannot be used: .*rows 4, 6"):
        read_problems(jsonl(tmp_path, made))
    found = read_problem_set(jsonl(tmp_path, made), ReadOptions(bad_rows="drop"))
    assert len(found.problems) == 6
    assert "rows 4, 6" in " ".join(found.notes())


def test_a_problem_without_gold_is_read_where_the_verifier_needs_none(tmp_path):
    (problem,) = read_problems(jsonl(tmp_path, [{"problem": "walk", "maze": [1, 2]}]), ReadOptions(need_gold=False))
    assert problem.gold is None
    assert problem.meta["maze"] == [1, 2]


@pytest.mark.parametrize("name", ["no/such", "org/data@main", "org/data:conf#train"])
def test_a_hub_name_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="no such file, and") as caught:
        read_problems(name)
    assert "\n" not in str(caught.value)


def test_two_kinds_or_two_splits_in_a_folder_are_refused(tmp_path):
    made = LAYOUTS["plain"][0]
    parquet(tmp_path, made, "train-0.parquet")
    parquet(tmp_path, made, "test-0.parquet")
    with pytest.raises(InputError, match="several splits lie together"):
        read_problems(tmp_path)
    (tmp_path / "test-0.parquet").unlink()
    jsonl(tmp_path, made)
    with pytest.raises(InputError, match="files of several kinds"):
        read_problems(tmp_path)
