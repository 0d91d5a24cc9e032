"""The command for candidates with engines that need no model: options, files, and candidates that are read back."""

import json
from contextlib import nullcontext

import pytest

from data.jsonl import write_jsonl
from data.responses import read_responses
from judgerlvr.config.load import load_config
from judgerlvr.pipeline.candidates import engine_settings, make_jobs, run
from judgerlvr.sample_candidates import main, parse_arguments
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from tests.helpers.fake_engines import FakeEngines

MODEL = str(base_path("qwen3_moe"))
CONFIG = load_config("configs/tiny.yaml")
ROWS = [
    {
        "id": 5,
        "problem": "a=1",
        "answer": "1",
        "maze": {"exit": "north"},
        "label": 1,
        "dataset": "walks",
        "license": "MIT",
    },
    {"id": 6, "messages": [{"role": "system", "content": "Brief."}, {"role": "user", "content": "a=2"}], "answer": "2"},
]


class Right(FakeEngines):
    """A sample is right where the seed is odd."""

    def finish(self, request):
        finished = super().finish(request)
        answer = "1" if request.seed % 2 else "wrong"
        return type(finished)(finished.name, f"\\boxed{{{answer}}}", *[getattr(finished, f) for f in FIELDS])


FIELDS = ("tokens", "thinking_tokens", "unclosed", "finish_reason", "stop_reason", "mean_logprob")


def sample(tmp_path, *words, rows=ROWS, engines=None):
    write_jsonl(tmp_path / "problems.jsonl", rows)
    given = ["--data", str(tmp_path / "problems.jsonl"), *words, "--model", MODEL, "--out", str(tmp_path / "out")]
    run(parse_arguments(given), lambda settings: nullcontext(engines or FakeEngines()))
    return tmp_path / "out"


def test_candidates_are_read_back_as_the_problems_that_were_asked(tmp_path):
    out = sample(tmp_path, "judge.data.samples_per_problem=3", "--config", "configs/tiny.yaml")
    found = read_responses(out / "candidates.jsonl")
    rows = [json.loads(line) for line in (out / "candidates.jsonl").read_text().splitlines()]
    assert [candidate.problem.id for candidate in found] == [row["problem_id"] for row in rows]
    assert len(found) == 6
    assert found[0].problem.meta["maze"] == {"exit": "north"}
    assert found[0].problem.gold == "1"
    assert found[0].source == "walks (MIT)"
    assert found[-1].problem.meta["earlier_turns"] == [{"role": "system", "content": "Brief."}]


def test_a_column_of_the_problems_is_no_label_of_the_responses(tmp_path):
    out = sample(tmp_path, "--config", "configs/tiny.yaml")
    assert {candidate.label for candidate in read_responses(out / "candidates.jsonl")} == {None}


def test_summary_counts_stops_and_thinking_that_never_closed(tmp_path):
    words = ["n=4", "max_tokens=3", "--config", "configs/tiny.yaml"]
    write_jsonl(tmp_path / "problems.jsonl", ROWS)
    given = ["--data", str(tmp_path / "problems.jsonl"), "--out", str(tmp_path / "out"), "--model", MODEL, *words]
    run(parse_arguments(given), lambda settings: nullcontext(FakeEngines()))
    (counts,) = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (counts["samples"], counts["tokens"]) == (8, 24)
    assert (counts["truncated"], counts["unclosed_thinking"], counts["stops"]) == (8, 8, {"length": 8})


def test_pass_rates_of_rounds_are_marked_as_conditional(tmp_path):
    write_jsonl(tmp_path / "problems.jsonl", [{"problem": f"a={n} b=1", "answer": "1"} for n in range(12)])
    given = ["--data", str(tmp_path / "problems.jsonl"), "--out", str(tmp_path / "out"), "--round", "2"]
    words = ["--model", MODEL, "n=6", "--config", "configs/tiny.yaml"]
    run(parse_arguments([*given, *words]), lambda settings: nullcontext(Right()))
    rates = [json.loads(line) for line in (tmp_path / "out" / "pass_rates.jsonl").read_text().splitlines()]
    records = [json.loads(line) for line in (tmp_path / "out" / "candidates.jsonl").read_text().splitlines()]
    assert len(rates) == 12
    for rate in rates:
        right = ["boxed{1}" in row["response"] for row in records if row["problem_id"] == rate["problem_id"]]
        assert (rate["samples"], rate["right"]) == (len(right), sum(right))
        assert rate["first_round_pass_rate"] == sum(right[:2]) / 2
        assert rate["stopped_at_both_classes"] == (len(set(right)) == 2 and len(right) < 6)
        assert rate["conditional"]
    assert len({rate["samples"] for rate in rates}) > 1


def test_each_model_has_settings_of_its_own():
    first, second = make_jobs([[MODEL], [MODEL, "temperature=0.6", "max_tokens=9", "n=2", "top_p=0.5"]], CONFIG)
    assert first.decoding.n == CONFIG.judge.data.samples_per_problem
    assert first.decoding.temperature == CONFIG.temperature
    assert (second.decoding.temperature, second.decoding.max_tokens) == (0.6, 9)
    assert (second.decoding.n, second.decoding.top_p) == (2, 0.5)


def test_a_greedy_model_is_sampled_once():
    (job,) = make_jobs([[MODEL, "temperature=0", "n=5"]], CONFIG)
    assert job.decoding.n == 1


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("temperatur=1", "no setting"),
        ("n=two", "n is 'two'"),
        ("n=0", "at least 1"),
        ("temperature=-1", "at least 0"),
        ("temperature=nan", "at least 0"),
        ("top_p=0", "above 0"),
    ],
)
def test_a_wrong_setting_of_a_model_is_named(word, said):
    with pytest.raises(InputError, match=said):
        make_jobs([[MODEL, word]], CONFIG)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engines", "0"], "--engines is 0"),
        (["--round", "0"], "--round is 0"),
        (["max_tokens=100000"], "context"),
        (["data.columns.riddle=x"], "no setting"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, capsys, words, said):
    write_jsonl(tmp_path / "problems.jsonl", ROWS)
    given = [
        "--data",
        str(tmp_path / "problems.jsonl"),
        "--out",
        str(tmp_path / "out"),
        "--config",
        "configs/tiny.yaml",
    ]
    assert main([*given, "--model", MODEL, *words]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert said in message
    assert not (tmp_path / "out").exists()


def test_a_cpu_has_one_engine_where_no_number_is_given():
    assert engine_settings(CONFIG, None).count == 1
    assert engine_settings(CONFIG, 3).count == 3
