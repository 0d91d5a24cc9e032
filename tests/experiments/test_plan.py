"""Plans: what is refused before a stage starts, and the commands and budgets that a plan becomes."""

from dataclasses import fields

import pytest

from judgerlvr import experiment
from judgerlvr.cli import stage_parser
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.config.schema import Config
from judgerlvr.evaluate import parse_arguments
from judgerlvr.experiments import command
from judgerlvr.experiments.plan import Plan, read_plan, runs_in
from rewards.errors import BAD_INPUT, CommandFailed

TWO_ARMS = """
arms:
  both:
    stages: [{stage: judge, name: judge}, {stage: generate, name: generate}]
  plain:
    stages: [{stage: generate, name: plain}]
    match: both
    by: BY
    most_steps: 2
"""


def write_plan(tmp_path, text):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return path


def stop_of_plain(commands):
    """The stop section of the matched arm's stage."""
    words = next(words for module, words in commands.seen if "name=plain" in words)
    overrides = [word for word in words if "=" in word]
    return load_config(words[words.index("--config") + 1], overrides).generate.stop


@pytest.mark.parametrize(
    ("by", "steps", "others", "hours"), [("tokens", 20, 2, 0), ("steps", 10, 0, 0), ("hours", 20, 0, 0.1)]
)
def test_an_arm_ends_at_the_budget_of_another(tmp_path, commands, by, steps, others, hours):
    plan = read_plan(write_plan(tmp_path, TWO_ARMS.replace("BY", by)))
    command.run_experiment(plan, tmp_path / "out")
    stop = stop_of_plain(commands)
    assert (stop.steps, len(stop.tokens_of), stop.hours) == (steps, others, hours)


def test_several_seeds_have_a_folder_and_a_seed_each(tmp_path, commands):
    plan = read_plan(write_plan(tmp_path, TWO_ARMS.replace("BY", "steps") + "seeds: [3, 5]\n"))
    command.run_experiment(plan, tmp_path / "out")
    starts = [words for module, words in commands.seen if module == "stage1_judge"]
    out = tmp_path / "out"
    assert [[w for w in words if w.startswith(("runs=", "seed="))] for words in starts] == [
        [f"runs={out}/seed-3", "seed=3"],
        [f"runs={out}/seed-5", "seed=5"],
    ]


@pytest.mark.parametrize("stopped_at", range(1, 9))
def test_the_same_command_goes_on_and_evaluates_nothing_twice(tmp_path, commands, stopped_at):
    plan = read_plan(write_plan(tmp_path, TWO_ARMS.replace("BY", "steps")))
    commands.fails_at = stopped_at
    with pytest.raises(CommandFailed):
        command.run_experiment(plan, tmp_path / "out")
    commands.fails_at = None
    command.run_experiment(plan, tmp_path / "out")
    done = [words[words.index("--out") + 1] for module, words in commands.seen if module == "evaluate"]
    assert len(set(done)) == 4 and len(done) == 4 + (4 <= stopped_at <= 7)


def test_a_folder_keeps_its_plan(tmp_path, commands):
    command.run_experiment(read_plan(write_plan(tmp_path, TWO_ARMS.replace("BY", "steps"))), tmp_path / "out")
    with pytest.raises(command.InputError, match=r"holds another plan \(there: by: steps, now: by: tokens\)"):
        command.run_experiment(read_plan(write_plan(tmp_path, TWO_ARMS.replace("BY", "tokens"))), tmp_path / "out")


def test_a_folder_whose_plan_is_no_text_is_one_line(tmp_path, commands, capsys):
    plan, out = write_plan(tmp_path, TWO_ARMS.replace("BY", "steps")), tmp_path / "out"
    out.mkdir()
    (out / "plan.yaml").write_bytes(b"\xff\xfea")
    assert experiment.main([str(plan), "--out", str(out)]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert str(out / "plan.yaml") in line and "give another --out" in line
    assert (out / "plan.yaml").read_bytes() == b"\xff\xfea"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arms: {}\n", "no arm"),
        ("config: configs/tiny.yaml\n", "arms"),
        ("arms: {a: {stages: []}}\n", "no stage"),
        ("arms: {a: {stages: [{stage: judge}]}}\n", "name"),
        ("arms: {a: {stages: [{stage: train, name: x}]}}\n", "train"),
        ("arms: {a: {stages: [{stage: judge, name: x}], match: b}}\n", "matches 'b'"),
        ("arms: {a: {stages: [{stage: judge, name: x}, {stage: generate, name: x}]}}\n", "two stages are named x"),
        ("armz: {}\n", "armz"),
        ("arms: [\n", "plan.yaml"),
        ("42\n", "plan.yaml"),
        (TWO_ARMS.replace("BY", "luck"), "luck"),
        (TWO_ARMS.replace("BY", "steps").replace("most_steps: 2", "most_steps: 0"), "most_steps is 0"),
        (TWO_ARMS.replace("BY", "steps") + "seeds: [1, 1]\n", "stands twice"),
        (TWO_ARMS.replace("BY", "steps") + "overrides: [nosuch=1]\n", "nosuch"),
        (TWO_ARMS.replace("BY", "steps") + "config: nosuch.yaml\n", "no such config"),
        (TWO_ARMS.replace("BY", "steps") + "overrides: [model.path=nosuch]\n", "nosuch: no model here"),
    ],
)
def test_a_wrong_plan_is_one_line_and_no_folder(tmp_path, commands, capsys, text, says):
    path, out = write_plan(tmp_path, text), tmp_path / "out"
    assert experiment.main([str(path), "--out", str(out)]) == BAD_INPUT
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1 and not out.exists() and not commands.seen


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_plan_and_its_configuration_are_read(path):
    plan = read_plan(path)
    load_config(plan.config, plan.overrides)


def test_a_configuration_file_is_one_arm_of_both_stages(tmp_path, commands):
    assert experiment.main(["configs/tiny.yaml", "--out", str(tmp_path / "out"), "generate.stop.steps=7"]) == 0
    assert [module for module, _ in commands.seen if module != "evaluate"] == [
        *("stage1_judge", "stage2_generate", "report")
    ]
    assert all("generate.stop.steps=7" in words for module, words in commands.seen if module.startswith("stage"))


def test_no_configuration_file_has_a_key_of_a_plan():
    """Else the file would be taken for a plan."""
    assert not {one.name for one in fields(Plan)} & {one.name for one in fields(Config)}


def test_runs_of_several_seeds_are_found_in_their_folders(tmp_path):
    write_plan(tmp_path, TWO_ARMS.replace("BY", "steps") + "seeds: [3, 5]\n")
    found = [str(run.relative_to(tmp_path)) for run in runs_in(tmp_path)]
    assert found == [f"seed-{seed}/{name}" for seed in (3, 5) for name in ("judge", "generate", "plain")]


def test_the_plan_that_an_experiment_keeps_is_read_again(tmp_path, commands):
    command.run_experiment(read_plan(write_plan(tmp_path, TWO_ARMS.replace("BY", "tokens"))), tmp_path / "out")
    assert [run.name for run in runs_in(tmp_path / "out")] == ["judge", "generate", "plain"]


def test_a_folder_without_a_plan_is_a_run(tmp_path):
    assert runs_in(tmp_path) == [tmp_path]


def test_a_judge_stage_begins_with_the_generate_stage_before(tmp_path, commands):
    """The judge stage's command has no --init."""
    text = "arms: {back: {stages: [{stage: generate, name: first}, {stage: judge, name: judge}]}}\n"
    command.run_experiment(read_plan(write_plan(tmp_path, text)), tmp_path / "out")
    words = next(words for module, words in commands.seen if module == "stage1_judge")
    options = stage_parser("stage1_judge", "").parse_intermixed_args(words)
    assert load_config(options.config, options.overrides).model.path == str(tmp_path / "out" / "ckpt" / "first")


def test_problems_of_the_evaluation_alone(tmp_path, commands):
    """A plan whose generate stage holds no problems out is evaluated on the plan's own files."""
    (tmp_path / "own.jsonl").write_text('{"problem": "1+1", "gold": "2"}\n')
    own = f"data.train=[{tmp_path}/own.jsonl]"
    text = f"overrides: ['{own}', generate.validation.every=0]\nevaluation: {{data: [{tmp_path}/own.jsonl]}}\n"
    command.run_experiment(
        read_plan(write_plan(tmp_path, text + "arms: {a: {stages: [{stage: generate, name: a}]}}\n")), tmp_path / "out"
    )
    options = parse_arguments(next(words for module, words in commands.seen if module == "evaluate"))
    assert options.data == [tmp_path / "own.jsonl"]
