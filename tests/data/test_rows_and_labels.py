"""Labels of judge rows, JSON lines and balanced accuracy: each has one definition."""

import json
import math
import random

import pytest

from data.balanced_accuracy import balanced_accuracy_of, mean_recall
from data.jsonl import read_jsonl, write_jsonl
from data.judge_row import JudgeRow, read_label
from rewards.errors import InputError


def judge_row(label):
    return JudgeRow("i", "p", "1+1?", "so 2", "2", label, [{"role": "user", "content": "judge"}])


@pytest.mark.parametrize("label", [True, False])
def test_a_judge_row_reads_what_it_wrote(label):
    assert JudgeRow.from_verl(judge_row(label).to_verl(3)) == judge_row(label)


@pytest.mark.parametrize("truth", ["2", "", None, 1, True])
def test_a_label_other_than_the_two_is_refused(truth):
    with pytest.raises(InputError, match="not a judge row"):
        read_label({"reward_model": {"ground_truth": truth}})


def test_lines_hold_other_line_ends(tmp_path):
    rows = [{"text": "a\u2028b\x85c\x0bd\re"}, {"text": "f"}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert list(read_jsonl(tmp_path / "a.jsonl")) == rows


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_torn_last_line_is_left_out_only_on_demand(tmp_path, cut):
    path = tmp_path / "a.jsonl"
    text = json.dumps({"step": 1}) + "\n" + json.dumps({"step": 2, "b": {}}) + "\n"
    path.write_text(text[:-cut])
    whole = cut == 1  # only the line feed is missing
    assert len(list(read_jsonl(path, torn_last_line=True))) == 1 + whole
    if not whole and cut < 19:
        with pytest.raises(InputError, match="row 2"):
            list(read_jsonl(path))


def test_a_broken_line_in_the_middle_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a"\n{"a": 2}\n')
    with pytest.raises(InputError, match="row 2"):
        list(read_jsonl(path, torn_last_line=True))


def test_a_failed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [{"a": 1}])
    with pytest.raises(TypeError):
        write_jsonl(path, [{"a": 2}, {"a": object()}])
    assert list(read_jsonl(path)) == [{"a": 1}]


@pytest.mark.parametrize("seed", range(20))
def test_balanced_accuracy_is_the_mean_of_naive_recalls(seed):
    draw = random.Random(seed)
    rows = [(draw.random() < 0.4, draw.choice([True, False, None])) for _ in range(draw.choice([2, 7, 200]))]
    recalls = []
    for label in (True, False):
        said = [verdict is label for truth, verdict in rows if truth is label]
        recalls.append(sum(said) / len(said) if said else None)
    got = balanced_accuracy_of([truth for truth, _ in rows], [verdict for _, verdict in rows])
    assert got == pytest.approx(mean_recall(*recalls), nan_ok=True)


@pytest.mark.parametrize("label", [True, False])
def test_balanced_accuracy_of_one_class_is_nan(label):
    assert math.isnan(balanced_accuracy_of([label, label], [label, label]))
