"""The benchmark command on all ten tasks, from files of three items of our own, without an engine."""

import json
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest

from data.verl_rows import write_parquet
from judgerlvr import compare
from judgerlvr.benchmark import parse_arguments
from judgerlvr.evaluation.benchmark import command
from judgerlvr.evaluation.benchmark.rows import averages, differences, task_row
from judgerlvr.evaluation.records import read_records
from judgerlvr.evaluation.scoring import ifeval, sandbox
from judgerlvr.evaluation.tasks import TASKS
from judgerlvr.evaluation.tasks.files import NoAccess
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from tests.helpers.answering_engines import AnsweringEngines
from tests.helpers.benchmark_items import fixtures, small_task, sums, write_rows, write_suite
from tests.helpers.records import record

UNSCORED = {
    name
    for name, why in (("ifeval", ifeval.why_unavailable([])), ("livecodebench_v6", sandbox.why_unavailable()))
    if why
}
MATHS = ("aime24", "aime25", "math500", "hmmt_feb_2025", "beyond_aime")


class Killed(BaseException):
    """Stands for a signal that ends the command."""


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    for name in TASKS:
        monkeypatch.setitem(TASKS, name, small_task(name))


@pytest.fixture
def models(tmp_path):
    """Two model directories with long contexts and other weights of the tiny model's kind."""
    made = []
    for place, name in enumerate(("vanilla", "judgerlvr")):
        folder = shutil.copytree(base_path("qwen3_moe"), tmp_path / "models" / name)
        config = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": 40_000 + place}
        (folder / "config.json").write_text(json.dumps(config))
        made.append(folder)
    return made


def answers(names, kinds):
    """Prompt texts to responses. ``kinds`` gives 0 right, 1 wrong or 2 malformed for each of the three items."""
    found = {}
    for name in names:
        task, fixture = TASKS[name], fixtures()[name]
        for row, texts, kind in zip(fixture.rows, fixture.responses, kinds, strict=True):
            found[task.prompt.replace("{{problem}}", task.to_problem(row).text)] = texts[kind]
    return found


def run(models, suite, out, kinds, names=tuple(TASKS), options=(), **settings):
    """Run the command. ``kinds`` has the kinds of each model."""
    given = iter(kinds)

    @contextmanager
    def engines(_settings):
        found = AnsweringEngines(models[0], answers(names, next(given)), **settings)
        yield found
        loaded.append(found.loaded)

    loaded = []
    arguments = [word for model in models for word in ("--model", str(model))]
    options = parse_arguments([*arguments, "--suite", str(suite), "--out", str(out), "--max-tokens", "2048", *options])
    command.benchmark(options, engines)
    return json.loads((out / "benchmark.json").read_text()), loaded


def test_ten_tasks_and_two_models_make_a_table(tmp_path, models, capsys):
    report, loaded = run(models, write_suite(tmp_path), tmp_path / "out", [(0, 1, 2), (0, 0, 0)])
    found = {(row["model"], row["set"]): row["accuracy"]["value"] for row in report["rows"]}
    assert found == {
        (model, name): pytest.approx(value)
        for model, value in (("vanilla", 1 / 3), ("judgerlvr", 1.0))
        for name in set(TASKS) - UNSCORED
    }
    assert {task["name"] for task in report["tasks"] if task["not_run"]} == UNSCORED
    means = {(row["model"], row["domain"]): row["accuracy"] for row in report["averages"]}
    assert means["vanilla", "in"] == pytest.approx(1 / 3) and means["judgerlvr", "out"] == 1.0
    assert {round(row["accuracy"], 6) for row in report["differences"]} == {round(2 / 3, 6)}
    voted = {row["set"] for row in report["rows"] if "maj_at_k" in row}
    assert voted == set(TASKS) - {"ifeval", "livecodebench_v6", "zebralogic"}
    assert [len(starts) for starts in loaded] == [2, 2]  # each of two slots starts once
    assert "# Benchmark" in capsys.readouterr().out


def test_no_item_is_printed_and_every_prompt_is(tmp_path, models, capsys):
    suite = write_suite(tmp_path, MATHS)
    run(models, suite, tmp_path / "out", [(0, 1, 2), (0, 0, 0)], MATHS)
    texts = [(tmp_path / "out" / f"benchmark.{ending}").read_text() for ending in ("md", "html", "json")]
    for text in (*texts, capsys.readouterr().out):
        assert "Add 3 and 9" not in text and "step by step" in text
    assert "not verified: sha256" in texts[0]


def test_samples_and_summary_have_the_layout_of_evaluate(tmp_path, models):
    run(models[:1], write_suite(tmp_path, MATHS[:2]), tmp_path / "out", [(0, 1, 2)], MATHS[:2])
    records = read_records(tmp_path / "out" / "vanilla" / "samples.jsonl")
    assert Counter(record.set for record in records) == {"aime24": 6, "aime25": 6}
    summary = json.loads((tmp_path / "out" / "vanilla" / "summary.json").read_text())
    assert [row["set"] for row in summary["results"]] == ["aime24", "aime25"]
    assert summary["tasks"]["aime24"]["n"] == 2


@pytest.mark.parametrize("turns", [1, 3, 6])
def test_a_killed_command_goes_on_and_draws_each_sample_once(tmp_path, models, turns):
    suite, out = write_suite(tmp_path, MATHS), tmp_path / "out"

    def die(turn):
        if turn == turns:
            raise Killed

    with pytest.raises(Killed):
        run(models, suite, out, [(0, 1, 2), (0, 0, 0)], MATHS, dies=die)
    again, _ = run(models, suite, out, [(0, 1, 2), (0, 0, 0)], MATHS)
    whole, _ = run(models, suite, tmp_path / "whole", [(0, 1, 2), (0, 0, 0)], MATHS)
    assert again["rows"] == whole["rows"]
    for model in ("vanilla", "judgerlvr"):
        kept = read_records(out / model / "samples.jsonl")
        assert set(Counter((r.set, r.id, r.sample) for r in kept).values()) == {1}
        assert len(kept) == 5 * 3 * 2


def test_lost_engines_start_again_and_cost_no_sample(tmp_path, models):
    suite = write_suite(tmp_path, MATHS)
    report, loaded = run(models, suite, tmp_path / "a", [(0, 1, 2)] * 2, MATHS, dies=lambda turn: turn in (2, 5, 6))
    whole, _ = run(models, suite, tmp_path / "b", [(0, 1, 2)] * 2, MATHS)
    assert report["rows"] == whole["rows"]
    assert min(len(starts) for starts in loaded) == 5


def test_a_finished_command_starts_no_engine_again(tmp_path, models):
    suite, out = write_suite(tmp_path, MATHS[:1]), tmp_path / "out"
    first, _ = run(models, suite, out, [(0, 1, 2)] * 2, MATHS[:1])
    second, loaded = run(models, suite, out, [(0, 1, 2)] * 2, MATHS[:1])
    assert second == first and loaded == [[], []]


def test_a_folder_of_other_settings_costs_no_sample_of_another_model(tmp_path, models):
    """The second model's folder was found to be of another seed only after the first model had been sampled."""
    suite, out = write_suite(tmp_path, MATHS[:1]), tmp_path / "out"
    run(models[1:], suite, out, [(0, 1, 2)], MATHS[:1])
    with pytest.raises(InputError, match=r"judgerlvr/samples/aime24: holds samples of other settings: .*seed changed"):
        run(models, suite, out, [], MATHS[:1], ["--seed", "3"])
    assert not (out / "vanilla").exists()


def test_a_changed_file_is_refused_instead_of_mixed(tmp_path, models):
    """A benchmark whose file changed between two attempts: other problems, and the same problems with other golds."""
    suite, out = write_suite(tmp_path, ["aime25"]), tmp_path / "out"
    run(models[:1], suite, out, [(0, 0, 0)], ["aime25"])
    rows = fixtures()["aime25"].rows
    write_rows(tmp_path / "aime25.jsonl", [rows[0] | {"answer": "-1"}, *rows[1:]])
    report, loaded = run(models[:1], suite, out, [(0, 0, 0)], ["aime25"])
    assert report["rows"][0]["accuracy"]["value"] == pytest.approx(2 / 3) and loaded == [[]]
    write_rows(tmp_path / "aime25.jsonl", [rows[0] | {"question": "Add 1 and 1."}, *rows[1:]])
    with pytest.raises(InputError, match="the problems changed"):
        run(models[:1], suite, out, [], ["aime25"])


def test_a_longer_suite_goes_on_with_the_samples_of_a_shorter_suite(tmp_path, models):
    out = tmp_path / "out"
    run(models, write_suite(tmp_path, MATHS[:1]), out, [(0, 1, 2)] * 2, MATHS[:1])
    report, _ = run(models, write_suite(tmp_path, MATHS[:2]), out, [(0, 1, 2)] * 2, MATHS[:2])
    assert len(report["rows"]) == 4


def test_two_models_of_a_benchmark_are_compared_task_by_task(tmp_path, models, capsys):
    out, page = tmp_path / "out", tmp_path / "t.json"
    run(models, write_suite(tmp_path, MATHS), out, [(0, 1, 2), (0, 0, 0)], MATHS, ["--greedy"])
    assert compare.main([str(out / "judgerlvr"), str(out / "vanilla"), "--out", str(page)]) == 0
    rows = json.loads(page.read_text())["sets"]
    assert Counter(row["set"] for row in rows) == dict.fromkeys(MATHS, 2)
    assert {round(row["difference"]["value"], 9) for row in rows} == {round(2 / 3, 9)}
    # 2 of 3 problems differ, all to one side, so that 2 of 4 patterns of signs are as far.
    assert {row["test"]["p"] for row in rows} == {0.5} and {row["holm_p"] for row in rows} == {1.0}
    assert "DIFFERENT" not in capsys.readouterr().out


OTHER = {
    "--temperature 1": "temperature changed from",
    "--top-p 0.5": "top_p changed from",
    "--seed 3": "seed changed from",
    "--max-tokens 99": "max_tokens changed from",
    "--greedy": "1 pair of model and decoding before, now 2",
    "--limit 2": "the problems changed",
    "--engine dtype=float16": "the engine changed",
}


def test_other_settings_are_refused_instead_of_mixed(tmp_path, models):
    suite, out = write_suite(tmp_path, MATHS[:1]), tmp_path / "out"
    run(models, suite, out, [(0, 1, 2)] * 2, MATHS[:1])
    before = (out / "benchmark.json").read_bytes()
    for words, says in OTHER.items():
        with pytest.raises(InputError, match=says) as refused:
            run(models, suite, out, [(0, 1, 2)] * 2, MATHS[:1], words.split())
        assert "\n" not in str(refused.value)
    assert (out / "benchmark.json").read_bytes() == before


def test_a_greedy_pass_is_made_only_if_asked(tmp_path, models):
    suite = write_suite(tmp_path, MATHS[:1])
    report, _ = run(models[:1], suite, tmp_path / "a", [(0, 1, 2)], MATHS[:1])
    asked, _ = run(models[:1], suite, tmp_path / "b", [(0, 1, 2)], MATHS[:1], ["--greedy"])
    assert [row["decoding"]["name"] for row in report["rows"]] == ["T=0.6 top_p=0.95"]
    assert [(row["decoding"]["name"], row["decoding"]["n"]) for row in asked["rows"]] == [
        ("T=0.6 top_p=0.95", 2),
        ("greedy", 1),
    ]


def test_limit_and_prompt_over_the_context_are_refused_before_an_engine(tmp_path, models):
    with pytest.raises(InputError, match=r"over the model's context of 40000; give --max-tokens \d+"):
        run(models, write_suite(tmp_path, MATHS[:1]), tmp_path / "out", [], MATHS[:1], ["--max-tokens", "39999"])
    with pytest.raises(InputError, match="over the model's context of 900"):
        run(models, tmp_path / "suite.yaml", tmp_path / "out", [], MATHS[:1], ["--engine", "max_model_len=900"])


def test_a_row_with_many_cut_responses_is_marked(tmp_path, models):
    cut = [fixtures()["aime24"].responses[1][1]]
    report, _ = run(models[:1], write_suite(tmp_path, MATHS[:1]), tmp_path / "out", [(0, 1, 2)], MATHS[:1], cut=cut)
    (row,) = report["rows"]
    assert (row["cut_share"], row["marked"], row["uncut_accuracy"]) == (pytest.approx(1 / 3), True, 0.5)
    assert "33.3% !" in (tmp_path / "out" / "benchmark.md").read_text()


@pytest.mark.parametrize(("cut", "marked"), [(1, False), (2, True)])
def test_the_mark_begins_above_two_percent(tmp_path, models, cut, marked):
    run(models[:1], write_suite(tmp_path, MATHS[:1]), tmp_path / "out", [(0, 1, 2)], MATHS[:1])
    (record, *_) = read_records(tmp_path / "out" / "vanilla" / "samples.jsonl")
    records = [replace(record, finish_reason="length" if place < cut else "stop") for place in range(50)]
    assert task_row(records, Decoding())["marked"] is marked


def test_the_accuracy_of_uncut_responses_weighs_problems_and_not_samples():
    """An easy problem with many uncut samples outweighed a hard problem with one."""
    easy = [record(id="easy", problem_id="easy", sample=n, score=1.0, finish_reason="stop") for n in range(4)]
    hard = [record(id="hard", problem_id="hard", sample=n, score=0.0, finish_reason="length") for n in range(3)]
    hard.append(record(id="hard", problem_id="hard", sample=3, score=0.0, finish_reason="stop"))
    assert task_row([*easy, *hard], Decoding(n=4))["uncut_accuracy"] == 0.5


def test_access_that_is_missing_is_a_line_and_a_row(tmp_path, models, monkeypatch, capsys):
    def gated(*args):
        raise NoAccess("Idavidrein/gpqa is gated")

    monkeypatch.setattr("judgerlvr.evaluation.tasks.files._from_hub", gated)
    suite = write_suite(tmp_path, MATHS[:1], ["gpqa_diamond"])
    report, _ = run(models[:1], suite, tmp_path / "out", [(0, 1, 2)], MATHS[:1])
    assert "gpqa_diamond: not run: Idavidrein/gpqa is gated" in capsys.readouterr().out
    assert "| GPQA-Diamond | out | not run |" in (tmp_path / "out" / "benchmark.md").read_text()
    assert {row["of"] for row in report["averages"]} == {1}


def test_code_without_a_sandbox_is_not_run_unless_allowed(tmp_path, models, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "why_unavailable", lambda: "no bwrap here")
    names = ("livecodebench_v6", "aime24")
    suite, kinds = write_suite(tmp_path, names), [(0, 1, 2)]
    report, _ = run(models[:1], suite, tmp_path / "a", kinds, names)
    assert "no sandbox for sampled code: no bwrap here; or give --allow-unsandboxed-code" in capsys.readouterr().out
    assert [row["set"] for row in report["rows"]] == ["aime24"]
    report, _ = run(models[:1], suite, tmp_path / "b", kinds, names, ["--allow-unsandboxed-code"])
    assert {row["set"]: row["accuracy"]["value"] for row in report["rows"]} == dict.fromkeys(
        names, pytest.approx(1 / 3)
    )


def test_training_sets_behind_a_model_are_compared_with_every_task(tmp_path, models, capsys):
    rows = [{"extra_info": {"problem": text}} for text in ("Add 5 and 25.", "Count the apples of the old orchard.")]
    for name, parent in (("generate", tmp_path / "runs" / "judge" / "policy"), ("judge", "")):
        folder = tmp_path / "runs" / name
        write_parquet(folder / "data" / "train.parquet", rows if name == "judge" else rows[1:])
        (folder / "manifest.json").write_text(json.dumps({"name": name, "parent": {"path": str(parent)}}))
    policy = shutil.copytree(models[0], tmp_path / "runs" / "generate" / "policy")
    report, _ = run([policy], write_suite(tmp_path, MATHS[:1]), tmp_path / "out", [(0, 1, 2)], MATHS[:1])
    found = {row["where"]: (row["task"], row["count"], row["of"]) for row in report["models"][0]["trained"]}
    assert found == {"generate": ("aime24", 0, 3), "judge": ("aime24", 1, 3)}
    assert "trained in run judge: aime24: 1 of 3 problems" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [[{"extra_info": "text"}], [{"extra_info": [1]}], [{"prompt": "x"}], None])
def test_training_rows_without_problems_are_no_claim_of_cleanness(tmp_path, models, capsys, rows):
    folder = tmp_path / "runs" / "generate"
    policy = shutil.copytree(models[0], folder / "policy")
    (folder / "manifest.json").write_text(json.dumps({"name": "generate"}))
    if rows:
        write_parquet(folder / "data" / "train.parquet", rows)
    report, _ = run([policy], write_suite(tmp_path, MATHS[:1]), tmp_path / "out", [(0, 1, 2)], MATHS[:1])
    assert [row["count"] for row in report["models"][0]["trained"]] == [None]
    assert "trained in run generate: aime24: not known" in capsys.readouterr().out


@pytest.mark.parametrize("path", [1, [1], {"a": 1}, True, None])
def test_a_manifest_with_a_damaged_parent_is_a_line(tmp_path, models, path):
    policy = shutil.copytree(models[0], tmp_path / "runs" / "policy")
    (tmp_path / "runs" / "manifest.json").write_text(json.dumps({"parent": {"path": path}}))
    with pytest.raises(InputError, match="not a manifest"):
        run([policy], write_suite(tmp_path, MATHS[:1]), tmp_path / "out", [], MATHS[:1])


def test_golds_that_nothing_matches_are_counted_and_not_printed(tmp_path, models, capsys):
    rows = sums("question")
    file = write_rows(tmp_path / "rows.jsonl", [rows[0], rows[1] | {"answer": r"\unknowncommand{7} see"}, rows[2]])
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"tasks: [{{task: aime25, file: {file}, n: 1}}]")
    report, _ = run(models[:1], suite, tmp_path / "out", [(0, 1, 2)], ["aime25"])
    assert report["rows"][0]["golds_never_matched"] == 1
    out = capsys.readouterr().out
    assert "warning: aime25: 1 gold matched by no other spelling" in out and "unknowncommand" not in out


def test_tasks_that_share_problems_are_named(tmp_path, models):
    report, _ = run(models[:1], write_suite(tmp_path, MATHS[:2]), tmp_path / "out", [(0, 1, 2)], MATHS[:2])
    assert report["shared"] == [{"task": "aime24", "where": "aime25", "count": 3, "of": 3}]


def test_two_models_of_one_name_have_two_labels(tmp_path):
    folders = [tmp_path / name / "policy" for name in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    assert command.model_labels(folders) == ["a-policy", "b-policy"]
    report = tmp_path / "c" / "benchmark.md"
    shutil.copytree(folders[0], report)
    assert command.model_labels([report]) == ["c-benchmark.md"]
    with pytest.raises(InputError, match="named twice"):
        command.model_labels([folders[0], folders[0]])
    with pytest.raises(InputError, match="no model directory"):
        command.model_labels([tmp_path])


def test_a_task_of_which_no_row_is_asked_is_a_line(tmp_path, models):
    rows = [row | {"error_type": "bad_question_clarity"} for row in fixtures()["mmlu_redux"].rows]
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"tasks: [{{task: mmlu_redux, file: {write_rows(tmp_path / 'rows.arrow', rows)}}}]")
    with pytest.raises(InputError, match="no row is a question to ask"):
        run(models[:1], suite, tmp_path / "out", [], ["mmlu_redux"])


def test_averages_weigh_tasks_and_not_problems():
    def row(model, name, accuracy, tokens):
        return {
            "model": model,
            "set": name,
            "decoding": {"name": "T"},
            "accuracy": {"value": accuracy},
            "tokens": {"all": {"mean": {"value": tokens}}},
        }

    rows = [row("A", "x", 0.5, 10.0), row("A", "y", 1.0, 30.0), row("B", "x", 0.75, 5.0)]
    (first, second) = averages(rows, {"x": "in", "y": "in", "z": "in"})
    assert (first["accuracy"], first["tokens"], first["tasks"], first["of"]) == (0.75, 20.0, 2, 3)
    assert (second["accuracy"], second["tasks"]) == (0.75, 1)
    (change,) = differences(rows, "A")
    assert (change["accuracy"], change["tokens"], change["tokens_ratio"]) == (0.25, -5.0, 0.5)


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_a_temperature_that_is_no_number_from_0_on_is_refused(models, tmp_path, value):
    words = ["--model", str(models[0]), "--out", str(tmp_path / "out"), "--temperature", value]
    with pytest.raises(InputError, match="--temperature is"):
        command.benchmark(parse_arguments(words))
