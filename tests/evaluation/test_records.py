"""Seeds, token split, records on disk, and the numbers of a row."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgerlvr.evaluation.records import read_records, thinking_text, write_records
from judgerlvr.evaluation.summary import mean_surprisal, summarise, transition_rates
from judgerlvr.sampling.decoding import Decoding, sample_seed
from judgerlvr.sampling.thinking_tokens import count_thinking_tokens
from rewards.errors import InputError
from tests.helpers.records import record


def test_seeds_differ_by_run_problem_and_sample_and_are_stable():
    seeds = {sample_seed(run, problem, i) for run in (0, 1) for problem in ("a", "b", "1") for i in range(8)}
    assert len(seeds) == 48
    assert sample_seed(0, "a", 0) == 624195763


def decode(ids):
    pieces = ["<think>", "</think>", "a", "bb", "</", "think", ">", "é"]
    return "".join(pieces[i] for i in ids)


@given(st.lists(st.integers(0, 7), max_size=25))
def test_thinking_tokens_are_the_shortest_prefix_that_holds_the_last_closing_tag(ids):
    text = decode(ids)
    if "</think>" in text:
        whole = text.rfind("</think>") + len("</think>")
        expected = next(k for k in range(len(ids) + 1) if len(decode(ids[:k])) >= whole)
    else:
        expected = len(ids) if "<think>" in text else 0
    assert count_thinking_tokens(ids, decode) == expected


def test_thinking_that_was_opened_in_the_prompt_and_never_closed_is_all_thinking():
    assert count_thinking_tokens([2, 3], decode, opened_in_prompt=True) == 2


@pytest.mark.parametrize(
    ("response", "thinking"),
    [("<think>\nb=1\n</think>\nx", "b=1"), ("<think>\n</think>\nx", ""), ("no tags", ""), ("<think>\nopen", "")],
)
def test_thinking_text(response, thinking):
    assert thinking_text(response) == thinking


@given(st.text())
def test_any_response_survives_writing_and_reading(tmp_path_factory, response):
    path = tmp_path_factory.mktemp("r") / "samples.jsonl"
    written = [record(response=response.encode("utf-8", "ignore").decode()), record(sample=1)]
    write_records(path, written)
    assert read_records(path) == written


@pytest.mark.parametrize(("line", "field"), [("{", None), ('{"set": "s"}', "kind")])
def test_damaged_records_name_row_and_field(tmp_path, line, field):
    path = tmp_path / "samples.jsonl"
    write_records(path, [record()])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError) as caught:
        read_records(path)
    assert (caught.value.row, caught.value.field) == (2, field)


def test_lengths_are_split_by_outcome_and_part():
    records = [
        record(id="a", problem_id="a", tokens=10, thinking_tokens=4),
        record(id="b", problem_id="b", tokens=30, thinking_tokens=10, score=0.0, reason="wrong"),
        record(id="c", problem_id="c", tokens=64, thinking_tokens=64, score=0.0, finish_reason="length"),
    ]
    row = summarise(records, Decoding(n=1, max_tokens=64))
    means = {name: row["tokens"][name]["mean"]["value"] for name in ("all", "correct", "wrong", "truncated")}
    assert means == pytest.approx({"all": 104 / 3, "correct": 10, "wrong": 30, "truncated": 64})
    assert row["solution_tokens"]["wrong"]["mean"]["value"] == 20
    assert (row["truncated"], row["accuracy"]["value"]) == (1, pytest.approx(1 / 3))


def test_only_judge_traces_with_thinking_count_as_checking():
    checks = record(kind="judge", label=True, verdict=True, response="<think>\nb=1 ok\n</think>", thinking_tokens=9)
    short = record(kind="judge", label=True, verdict=True, response="<think>\nok\n</think>", thinking_tokens=3)
    guess = record(kind="judge", label=False, verdict=True, response="<think>\n</think>", score=0.0)
    wrong = record(kind="judge", label=False, verdict=False, response="<think>\nbad\n</think>", thinking_tokens=9)
    judge = summarise([checks, short, guess, wrong], Decoding(n=1), min_check_tokens=5)["judge"]
    assert judge["checking"]["share"] == 0.5
    assert judge["balanced_accuracy"]["value"] == 0.75
    assert judge["checking"]["balanced_accuracy"]["value"] == 1.0
    assert (judge["precision"]["value"], judge["recall"]["value"]) == (pytest.approx(2 / 3), 1.0)


def test_transition_words_are_whole_words_in_any_case():
    rates = transition_rates(["Wait, but button", "hmm WAIT"], tokens=500)
    assert (rates["wait"], rates["but"], rates["hmm"], rates["all"]) == (4.0, 2.0, 2.0, 8.0)


def test_surprisal_weighs_samples_by_their_tokens():
    assert mean_surprisal([record(tokens=1, mean_logprob=-4.0), record(tokens=3, mean_logprob=0.0)]) == 1.0


def test_greedy_rows_carry_no_entropy():
    assert summarise([record()], Decoding().as_greedy())["entropy"] is None


def test_records_are_one_json_object_a_line(tmp_path):
    path = tmp_path / "deep" / "samples.jsonl"
    write_records(path, [record(), record(sample=1)])
    assert [json.loads(line)["sample"] for line in path.read_text().splitlines()] == [0, 1]
