"""Keys of the data: a changed key changes the problems, the judge set or the rows that a stage trains on."""

import json
from contextlib import nullcontext

import pytest

from data.row_files import read_rows
from judgerlvr.config.load import load_config
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.pipeline import judge_data, problems, stages
from judgerlvr.pipeline.generate_data import prepare_generate
from judgerlvr.pipeline.judge_data import prepare_judge
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from rewards.grading.settings import GradingSettings
from rewards.types import Problem


def sets_of(*overrides):
    return ProblemSets(load_config("configs/tiny.yaml", overrides), GradingSettings(workers=1))


def test_tiny_problems():
    made = sets_of("data.tiny_train=5", "data.tiny_heldout=3", "judge.data.problems=2")
    assert (len(made.train), len(made.heldout), len(made.for_candidates)) == (5, 3, 2)


def problem_file(folder, name, texts):
    path = folder / name
    path.write_text(
        "".join(f'{{"id": "{name}{i}", "problem": "{text}", "gold": "7"}}\n' for i, text in enumerate(texts))
    )
    return path


LONG = "A farmer sells nine apples and seven pears at the market on every single day of the week in June"


def test_data_files(tmp_path):
    train, heldout = problem_file(tmp_path, "a.jsonl", ["one"]), problem_file(tmp_path, "b.jsonl", ["two", "three"])
    made = sets_of(f"data.train=[{train}]", f"data.heldout=[{heldout}]")
    assert ([p.text for p in made.train], [p.text for p in made.heldout]) == (["one"], ["two", "three"])


def test_columns(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"frage": "one", "loesung": "7"}\n')
    made = sets_of(f"data.train=[{path}]", "data.columns={problem: frage, gold: loesung}").train
    assert [(problem.text, problem.gold) for problem in made] == [("one", "7")]


def test_evaluation_and_contamination(tmp_path):
    train, held = problem_file(tmp_path, "a.jsonl", [LONG, "short"]), problem_file(tmp_path, "b.jsonl", [LONG])
    files = [f"data.train=[{train}]", f"data.evaluation=[{held}]"]
    assert len(sets_of(files[0]).train) == 2
    with pytest.raises(InputError, match="contaminated"):
        _ = sets_of(*files).train
    assert [p.text for p in sets_of(*files, "data.contamination=drop").train] == ["short"]


def judge_set(*overrides):
    """Settings that the judge set is made with."""
    config = load_config("configs/tiny.yaml", overrides)
    return judge_data.judge_set_settings(config, config.judge.data.heldout_problems)


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("judge.data.view=full_response", lambda settings: settings.view.name, "full_response"),
        ("judge.data.cap_per_problem=9", lambda settings: settings.cap_per_problem, 9),
        ("judge.data.shuffle_labels=true", lambda settings: settings.shuffle_labels, True),
        ("data.bad_rows=drop", lambda settings: settings.bad_rows, "drop"),
    ],
)
def test_judge_set(override, read, expected):
    assert read(judge_set()) != expected
    assert read(judge_set(override)) == expected


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(base_path("qwen3_moe"))


def prepared(prepare, kind, folder, tokenizer, *overrides):
    """A stage that was prepared, with its training and held-out rows."""
    config = load_config("configs/tiny.yaml", [*overrides, "reward.workers=1"])
    request = stages.Request(kind, config, base_path("qwen3_moe"), folder / "out", "cpu")
    (folder / "data").mkdir(parents=True)
    stage, _ = prepare(request, folder, tokenizer, ProblemSets(config, GradingSettings(workers=1)))
    return stage, *(read_rows(folder / "data" / f"{name}.parquet") for name in ("train", "heldout"))


def test_prompt_and_batch_of_the_generate_stage(tmp_path, tokenizer):
    (tmp_path / "mine.txt").write_text("Mine. {{problem}}")
    few = ("data.tiny_train=4", "data.tiny_heldout=2")
    for size, prompt in ((4, []), (8, [f"data.prompt={tmp_path / 'mine.txt'}"])):
        overrides = (*few, *prompt, f"generate.batch.prompts_per_step={size}")
        stage, train, _ = prepared(prepare_generate, "generate", tmp_path / str(size), tokenizer, *overrides)
        assert stage.prompts_per_step == size
        assert {row["prompt"][-1]["content"].startswith("Mine. ") for row in train} == {bool(prompt)}


def test_responses_held_out_problems_prompt_and_batch_of_the_judge_stage(tmp_path, tokenizer):
    (tmp_path / "mine.txt").write_text("Mine. {{problem}} {{response}}")
    with (tmp_path / "responses.jsonl").open("w") as file:
        for number in range(12):
            for answer in ("7", "8"):
                row = {"id": str(number), "problem": f"a={number}", "gold": "7", "response": f"\\boxed{{{answer}}}"}
                file.write(json.dumps(row) + "\n")
    for heldout in (2, 3):
        overrides = (
            f"judge.data.responses=[{tmp_path / 'responses.jsonl'}]",
            f"judge.data.heldout_problems={heldout}",
            f"judge.data.prompt={tmp_path / 'mine.txt'}",
            f"judge.batch.prompts_per_step={heldout * 4}",
        )
        stage, train, held = prepared(prepare_judge, "judge", tmp_path / str(heldout), tokenizer, *overrides)
        assert stage.prompts_per_step == heldout * 4
        assert len({row["extra_info"]["problem_id"] for row in held}) == heldout
        assert all(row["prompt"][-1]["content"].startswith("Mine. a=") for row in train)


def test_sample_from_and_samples_per_problem(monkeypatch, tmp_path, make_stage):
    from judgerlvr.sampling import candidates
    from tests.helpers.fake_engines import FakeEngines

    made = make_stage("judge", overrides=["judge.data.samples_per_problem=7"])
    monkeypatch.setattr(candidates, "ray_engines", lambda settings: nullcontext(FakeEngines()))
    base, asked_of = base_path("qwen3_moe"), [Problem("p", "a=1", "1")]
    rows = candidates.sample_candidates(made, [base], asked_of, "{{problem}}", tmp_path, tmp_path / "kept")
    assert [row["sample"] for row in rows] == list(range(7))

    asked = []
    monkeypatch.setattr(judge_data, "sample_candidates", lambda place, models, *_: asked.append(models) or [])
    config = load_config(
        "configs/tiny.yaml",
        [
            f"judge.data.sample_from=[{tmp_path}]",
            "data.tiny_train=2",
            "judge.data.heldout_problems=1",
            "judge.batch.prompts_per_step=2",
        ],
    )
    request = stages.Request("judge", config, tmp_path / "init", tmp_path / "out", "cpu")
    (tmp_path / "data").mkdir()
    judge_data.collect_candidates(request, tmp_path, problems.ProblemSets(config, GradingSettings(workers=1)))
    assert asked == [[tmp_path.resolve()]]


@pytest.mark.parametrize(("value", "asked"), [("fixed", None), ("refresh_every:4", 4)])
def test_candidates(make_stage, monkeypatch, value, asked):
    monkeypatch.setattr(stages, "train_in_segments", lambda stage, every, resample: every)
    monkeypatch.setattr(stages, "run_stage", lambda stage: None)
    made = make_stage("judge", overrides=[f"judge.data.candidates={value}"])
    assert stages._train_to_the_end(made, ProblemSets(made.config, GradingSettings(workers=1))) == asked


def test_verdicts(tmp_path):
    from judgerlvr.pipeline.reward_settings import reward_settings

    config = load_config("configs/tiny.yaml", ["judge.data.verdicts=[A,B]"])

    class Tokenizer:
        def apply_chat_template(self, *_, **__):
            return ""

    request = stages.Request("judge", config, tmp_path, tmp_path, "cpu")
    assert reward_settings(request, Tokenizer(), tmp_path)["reward_kwargs"]["words"] == ["A", "B"]
