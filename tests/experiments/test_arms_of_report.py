"""The report of an experiment has a bar and a row for each arm of its plan, under the arm's own name."""

import shutil

import pytest
import yaml

from judgerlvr.experiments.plan import PLAN, read_plan
from judgerlvr.experiments.plan_of_run import planned_run, runs_of
from judgerlvr.report import main
from judgerlvr.reporting.answer import answer_figures
from judgerlvr.reporting.arms import find_arms, looks_of, part_of
from judgerlvr.reporting.budgets import answer_notes, matched_table, rivals_of
from judgerlvr.reporting.changes import pairs_of
from judgerlvr.reporting.command import _read
from judgerlvr.reporting.results import results_table, seeds_table
from tests.helpers.report_runs import write_run, write_synthetic_evaluation

# Four arms that stage and parent alone would call vanilla or JudgeRLVR.
ARMS = {
    "JudgeRLVR": {"stages": [{"stage": "judge", "name": "judge"}, {"stage": "generate", "name": "generate"}]},
    "vanilla": {"stages": [{"stage": "generate", "name": "vanilla"}], "match": "JudgeRLVR", "by": "steps"},
    "vanilla-tokens": {"stages": [{"stage": "generate", "name": "tokens"}], "match": "JudgeRLVR", "by": "tokens"},
    "vanilla-hours": {"stages": [{"stage": "generate", "name": "hours"}], "match": "JudgeRLVR", "by": "hours"},
    "shuffled": {
        "stages": [{"stage": "judge", "name": "judge-shuffled"}, {"stage": "generate", "name": "generate-shuffled"}]
    },
}
SHOWN = ["after judge", "JudgeRLVR", "vanilla", "vanilla-tokens", "vanilla-hours", "after judge-shuffled", "shuffled"]


def write_seed(folder, seed=0):
    for place, arm in enumerate(ARMS.values()):
        before = None
        for stage in arm["stages"]:
            run, kind = folder / stage["name"], stage["stage"]
            parent = before and {"run": before, "path": f"ckpt/{before}", "hash": ""}
            steps = 8 if kind == "judge" else 16 if before else 24
            write_run(run, kind, steps, 0.4, 0.8, parent, seed=seed, model_hash=f"{hash((seed, run.name)):x}")
            write_synthetic_evaluation(run / "eval" / "final", 0.5 + place / 20, 0.7, 60 - place, seed + place)
            before = stage["name"]
    write_synthetic_evaluation(folder / "judge" / "eval" / "base", 0.3, 0.6, 70, seed)


def write_experiment(folder, seeds=()):
    folder.mkdir()
    (folder / PLAN).write_text(yaml.safe_dump({"arms": ARMS, "seeds": list(seeds)}, sort_keys=False))
    for seed in seeds or (0,):
        write_seed(folder / f"seed-{seed}" if len(seeds) > 1 else folder, seed)
    return folder


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return write_experiment(tmp_path_factory.mktemp("one") / "experiment")


@pytest.fixture(scope="module")
def runs(experiment):
    return [_read(experiment / name, planned_run) for name in runs_of(read_plan(experiment / PLAN))]


@pytest.fixture(scope="module")
def arms(runs):
    return find_arms(runs)


def test_each_run_has_a_part_of_its_own(runs):
    assert [part_of(run, runs) for run in runs] == SHOWN


def test_each_arm_has_a_row_of_its_own_and_no_usual_part_is_missed(arms):
    names = [row[0].text for row in results_table(arms).rows if row[0].detail == "sampled"]
    assert sorted(names) == sorted(["base", *SHOWN])


def test_each_arm_has_a_bar_of_its_own(arms, runs):
    summary = next(iter(answer_figures(arms, looks_of(runs)))).summary
    assert all(f"sampled, {name}: " in summary for name in ["base", *SHOWN])


def test_no_two_arms_are_averaged_as_if_they_were_seeds(arms):
    assert list(seeds_table(arms)) == []


def test_no_two_parts_look_alike(runs):
    looks = [looks_of(runs).of(name) for name in ["base", *SHOWN]]
    assert len({(look.colour, look.hatch) for look in looks}) == len(looks)


def test_vanilla_is_compared_with_every_other_arm(arms):
    pairs = [(first.part, second.part) for first, second in pairs_of(arms) if first.part != "base"]
    assert pairs == [("vanilla", name) for name in ("JudgeRLVR", "vanilla-tokens", "vanilla-hours", "shuffled")]


def test_each_matched_arm_is_compared_at_its_own_budget(arms):
    assert [(rivals.theirs, rivals.by) for rivals in rivals_of(arms)] == [
        *(("vanilla", "steps"), ("vanilla-tokens", "tokens"), ("vanilla-hours", "hours"))
    ]
    told = [note.text.partition(",")[0] for note in answer_notes(arms) if ", sampled:" in note.text]
    assert told == [
        "JudgeRLVR against vanilla at equal steps",
        "JudgeRLVR against vanilla-tokens at equal tokens",
        "JudgeRLVR against vanilla-hours at equal hours",
    ]


def test_matched_arms_stand_in_one_table(arms):
    table = matched_table(arms)
    assert table.caption == "Matched arms at equal budgets"
    assert [row[0].text for row in table.rows if row[0].text.startswith("vanilla")] == [
        *("vanilla", "vanilla-tokens", "vanilla-tokens", "vanilla-hours", "vanilla-hours")
    ]


def test_runs_of_one_seed_are_paired(tmp_path):
    folder = write_experiment(tmp_path / "experiment", seeds=(3, 5))
    names = list(runs_of(read_plan(folder / PLAN)))
    arms = find_arms([_read(folder / f"seed-{seed}" / name, planned_run) for seed in (3, 5) for name in names])
    pairs = [pair for rivals in rivals_of(arms) for pair in rivals.pairs(arms)]
    assert len(pairs) == 6 and all(a.run.folder.parent == b.run.folder.parent for a, b in pairs)


def test_the_command_names_the_arms_of_a_whole_experiment_and_of_some_of_its_runs(experiment, tmp_path):
    for given in ([experiment], [experiment / "tokens", experiment / "hours"]):
        assert main([*map(str, given), "--out", str(tmp_path / "r.html")]) == 0
        assert "vanilla-hours" in (tmp_path / "r.html").read_text()


def test_a_run_elsewhere_has_no_plan(experiment, tmp_path):
    shutil.copytree(experiment / "tokens", tmp_path / "tokens")
    assert planned_run(tmp_path / "tokens") is None


def test_a_file_of_the_same_name_that_is_no_plan_is_passed_over(experiment, tmp_path):
    shutil.copytree(experiment / "tokens", tmp_path / "tokens")
    (tmp_path / PLAN).write_text("steps: [buy milk]\n")
    assert planned_run(tmp_path / "tokens") is None
