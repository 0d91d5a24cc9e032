"""Each of the ten tasks, offline: rows in, problems out, and right, wrong and malformed responses graded."""

from dataclasses import replace
from pathlib import Path

import pytest

from judgerlvr.evaluation.benchmark.graders import open_task_grader
from judgerlvr.evaluation.scoring import ifeval, sandbox
from judgerlvr.evaluation.tasks import TASKS
from judgerlvr.evaluation.tasks.files import NoAccess, files_hash, load_task
from rewards.errors import InputError
from rewards.types import Problem
from tests.helpers.benchmark_items import fixtures, small_task, write_rows

WHY = ifeval.why_unavailable([])
needs_lm_eval = pytest.mark.skipif(WHY is not None, reason=str(WHY))
needs_sandbox = pytest.mark.skipif(sandbox.why_unavailable() is not None, reason=str(sandbox.why_unavailable()))
MARKS = {"ifeval": needs_lm_eval, "livecodebench_v6": needs_sandbox}
NAMES = [pytest.param(name, marks=MARKS.get(name, ())) for name in TASKS]


def load(name, folder):
    fixture = fixtures()[name]
    return load_task(small_task(name), write_rows(folder / f"rows{fixture.ending}", fixture.rows))


@pytest.mark.parametrize("name", NAMES)
def test_right_wrong_and_malformed_responses(name, tmp_path):
    problems, responses = load(name, tmp_path).problems, fixtures()[name].responses
    pairs = [(problem, text) for problem, texts in zip(problems, responses, strict=True) for text in texts]
    with open_task_grader(TASKS[name], 2, thinking_open=False) as grader:
        results = grader.grade_many(pairs)
    assert [result.score for result in results] == [1.0, 0.0, 0.0] * 3
    malformed = {str(result.reason) for result in results[2::3]}
    assert "wrong" not in malformed and "correct" not in malformed


@pytest.mark.parametrize("name", TASKS)
def test_problems_show_all_that_is_needed_and_no_answer(name, tmp_path):
    data = load(name, tmp_path)
    assert (data.rows, len(data.problems), data.revision) == (3, 3, "")
    assert len({problem.id for problem in data.problems}) == 3
    assert "{{problem}}" in TASKS[name].prompt


def test_faulty_questions_of_mmlu_are_left_out(tmp_path):
    rows = fixtures()["mmlu_redux"].rows
    rows = [rows[0], rows[1] | {"error_type": "wrong_groundtruth"}, rows[2]]
    data = load_task(small_task("mmlu_redux"), write_rows(tmp_path / "rows.arrow", rows))
    assert (data.rows, len(data.problems)) == (3, 2)


@pytest.mark.parametrize("blank", ["___", "", " "])
def test_a_grid_without_its_solution_is_refused(blank, tmp_path):
    rows = fixtures()["zebralogic"].rows
    solution = rows[2]["solution"]
    hidden = rows[2] | {"solution": solution | {"rows": [[house, blank, blank] for house, *_ in solution["rows"]]}}
    with pytest.raises(InputError, match="no value for Name of house 1") as refused:
        load_task(small_task("zebralogic"), write_rows(tmp_path / "rows.parquet", [*rows[:2], hidden]))
    assert refused.value.row == 3 and "\n" not in str(refused.value)


@pytest.mark.parametrize("cell", ["9" * 5000, "[" * 100_000, '{"solution": ' * 2000, "NaN", "-"])
def test_a_grid_that_cannot_be_read_scores_0_and_ends_nothing(cell, tmp_path):
    """A number of 5,000 digits in a response ended the whole benchmark."""
    problem = load("zebralogic", tmp_path).problems[0]
    with open_task_grader(TASKS["zebralogic"], 1, thinking_open=False) as grader:
        (result,) = grader.grade_many([(problem, f'x</think>{{"solution": {{"House 1": {{"Name": {cell}}}}}}}')])
    assert result.score == 0.0


def test_a_repeated_problem_is_asked_once(tmp_path):
    rows = fixtures()["aime25"].rows
    data = load_task(small_task("aime25"), write_rows(tmp_path / "rows.jsonl", [rows[0], rows[0], rows[1]]))
    assert (len(data.problems), data.repeated) == (2, 1)


@pytest.mark.parametrize("name", TASKS)
def test_a_missing_column_and_a_wrong_type_are_refused_in_a_line(name, tmp_path):
    fixture = fixtures()[name]
    column = next(iter(TASKS[name].columns))
    dropped = [{key: value for key, value in row.items() if key != column} for row in fixture.rows]
    retyped = [row | {column: 0.5} for row in fixture.rows]
    for place, rows in enumerate((dropped, retyped)):
        if rows is retyped and fixture.ending == ".csv":
            continue  # every cell of a table of text is text
        file = write_rows(tmp_path / f"rows{place}{fixture.ending}", rows)
        with pytest.raises(InputError) as refused:
            load_task(small_task(name), file)
        assert refused.value.field == column and "\n" not in str(refused.value)


def test_another_row_count_and_another_hash_are_refused(tmp_path):
    rows = fixtures()["aime25"].rows
    file = write_rows(tmp_path / "rows.jsonl", rows)
    with pytest.raises(InputError, match="3 rows, not 30"):
        load_task(replace(TASKS["aime25"], source=replace(TASKS["aime25"].source, sha256="")), file)
    with pytest.raises(InputError, match="SHA-256 is"):
        load_task(TASKS["aime25"], file)
    with pytest.raises(InputError, match="SHA-256 is"):
        load_task(small_task("aime25"), file, "0" * 64)
    assert load_task(small_task("aime25"), file, files_hash([file])).sha256 == files_hash([file])


def test_several_files_hash_their_hashes(tmp_path):
    files = [write_rows(tmp_path / f"{n}.jsonl", [{"n": n}]) for n in (1, 2)]
    assert files_hash(files) != files_hash(files[:1]) != files_hash(files[::-1])


def test_the_real_math500_is_the_named_revision(test_data):
    data = load_task(TASKS["math500"], test_data / "eval" / "math500.jsonl")
    assert (data.rows, len(data.problems), data.sha256) == (500, 500, TASKS["math500"].source.sha256)


def test_a_real_export_of_aime24_is_read(test_data):
    source = replace(TASKS["aime24"].source, sha256="")
    data = load_task(replace(TASKS["aime24"], source=source), test_data / "eval" / "aime24.jsonl")
    assert len(data.problems) == 30 and all(problem.gold.isdigit() for problem in data.problems)


@pytest.mark.parametrize("name", TASKS)
def test_offline_every_task_is_no_access_in_a_line(name, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NoAccess) as refused:
        load_task(TASKS[name])
    assert "\n" not in str(refused.value) and f"task: {name}, file: PATH" in str(refused.value)


def test_the_hub_out_of_reach_is_no_access(monkeypatch):
    def offline(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(NoAccess, match="cannot be reached; download it"):
        load_task(TASKS["gpqa_diamond"])


def test_facts_that_nobody_verified_are_named():
    unverified = {name: task.missing_facts for name, task in TASKS.items()}
    assert {name for name, facts in unverified.items() if facts} == {"hmmt_feb_2025", "mmlu_redux"}
    assert all(len(task.source.revision) == 40 for task in TASKS.values())
    assert all(len(task.source.sha256) in (0, 64) for task in TASKS.values())


def test_the_order_of_options_hangs_on_the_question_alone(tmp_path):
    first, second = load("gpqa_diamond", tmp_path), load("gpqa_diamond", tmp_path)
    assert first.problems == second.problems
    assert {problem.gold for problem in first.problems} != {"A"}


def scripted_python(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Name a shell script as the Python of IFEval."""
    python = folder / "python"
    python.write_text(script, encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setenv(ifeval.PYTHON_VARIABLE, str(python))


def test_a_python_that_breaks_is_named_and_not_taken_for_a_missing_package(monkeypatch, tmp_path):
    scripted_python(tmp_path, monkeypatch, "#!/bin/sh\necho 'ImportError: half an install' >&2\nexit 1\n")
    with pytest.raises(InputError, match="half an install"):
        ifeval.why_unavailable([])


@pytest.mark.parametrize("script", ["#!/no/such/interpreter\n", "neither a script nor a program\n"])
def test_a_python_that_does_not_start_is_named_in_a_line(monkeypatch, tmp_path, script):
    scripted_python(tmp_path, monkeypatch, script)
    with pytest.raises(InputError, match="does not start") as refused:
        ifeval.why_unavailable([])
    assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)


@pytest.mark.parametrize("printed", ["Welcome to this site", r"Welcome\n[]", "", "7", '{"lm_eval": 1}', r"\377"])
def test_a_python_that_prints_something_else_is_named_in_a_line(monkeypatch, tmp_path, printed):
    scripted_python(tmp_path, monkeypatch, f"#!/bin/sh\nprintf '{printed}'\n")
    with pytest.raises(InputError, match="in place of the list") as refused:
        ifeval.why_unavailable([])
    assert "\n" not in str(refused.value) and printed.split("\\")[0] in str(refused.value)


def test_a_python_that_prints_something_else_for_a_row_is_an_error_of_one_line(monkeypatch, tmp_path):
    scripted_python(tmp_path, monkeypatch, "#!/bin/sh\necho Welcome\n")
    problem = Problem("1", "x", meta={"key": 1, "instruction_id_list": [], "kwargs": []})
    with pytest.raises(InputError, match="'Welcome' for a row") as refused:
        ifeval.InstructionGrader().grade_many([(problem, "a response")])
    assert "\n" not in str(refused.value)


@needs_lm_eval
def test_grades_of_short_texts_are_the_same_from_run_to_run():
    """The detector of languages draws at random, and took this text for Spanish half of the time."""
    kwargs = [{"language": "es"}]
    names = ["language:response_language"]
    problem = Problem("1", "x", meta={"key": 1, "instruction_id_list": names, "kwargs": kwargs})
    grader = ifeval.InstructionGrader()
    scores = [
        tuple(result.score for result in grader.grade_many([(problem, "non casa dog der")] * 40)) for _ in range(2)
    ]
    assert scores[0] == scores[1] and len(set(scores[0])) == 1


def test_without_lm_eval_the_reason_is_one_line(monkeypatch):
    monkeypatch.setattr(ifeval, "_missing", lambda python: ("lm_eval",))
    assert "pip install 'judgerlvr[bench]'" in ifeval.why_unavailable([])


def test_without_the_sentence_model_only_tasks_that_need_it_are_refused(monkeypatch):
    monkeypatch.setattr(ifeval, "_missing", lambda python: ("punkt_tab",))
    easy = Problem("1", "x", meta={"instruction_id_list": ["punctuation:no_comma"]})
    hard = replace(easy, meta={"instruction_id_list": [ifeval.NEED_SENTENCES[0]]})
    assert ifeval.why_unavailable([easy]) is None
    assert "nltk.downloader punkt_tab" in ifeval.why_unavailable([easy, hard])
