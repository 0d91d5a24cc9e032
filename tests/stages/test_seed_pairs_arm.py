"""An arm comes into a record whose other folders are gone: made-up evaluations, and styles of made-up responses."""

import dataclasses

import pytest

from benchmarks.stages.seed_pairs import add_arm, styles
from benchmarks.stages.seed_pairs.entropy_search import Point
from benchmarks.stages.seed_pairs.policies import Figures, figures
from benchmarks.stages.seed_pairs.record import SEEDS, Seed, read_seeds, write_seeds
from rewards.errors import InputError
from tests.helpers.report_runs import write_synthetic_evaluation
from tests.helpers.run_folders import step_row, write_checkpoint, write_run_folder

OTHER = Figures(0.7, 60.0, 0.0, 0.1, 0.9, 43.0, 0.8)
SPENT = {"steps": 22, "tokens": 7, "seconds": 1.0}


def write_arm(folder):
    for run, steps in (("judge-shuffled", 10), ("generate-shuffled", 12)):
        write_checkpoint(folder / run / "checkpoints" / f"global_step_{steps}", steps)
        write_run_folder(folder / run, "judge", [step_row(steps)])
    for number, run in enumerate(
        ("judge-shuffled/eval/base", "judge-shuffled/eval/final", "generate-shuffled/eval/final")
    ):
        write_synthetic_evaluation(folder / run, 0.4, 0.6, 60, number)


@pytest.fixture
def experiment(tmp_path):
    write_arm(tmp_path / "shuffled" / "seed-4")
    return tmp_path / "shuffled"


@pytest.fixture
def record(tmp_path, experiment):
    """Seeds 4 and 5, and seed 4 has the base of the experiment."""
    base = figures(experiment / "seed-4" / add_arm.BASE)
    seeds = [
        Seed(number, {"base": one, "vanilla": OTHER}, {"vanilla": SPENT}, {"base": [Point(1.0, 0.1, 0.4, 60.0)]})
        for number, one in ((4, base), (5, OTHER))
    ]
    folder = tmp_path / "record"
    folder.mkdir()
    write_seeds(seeds, folder)
    return folder


def add(experiment, record):
    return add_arm.main([str(experiment), "--record", str(record)])


def test_the_arm_comes_behind_what_the_record_has(experiment, record):
    assert add(experiment, record) == 0
    assert list(read_seeds(record)[0].figures) == ["base", "vanilla", "after shuffled judge", "shuffled"]


def test_what_the_record_has_stays(experiment, record):
    before = read_seeds(record)
    add(experiment, record)
    (after, other) = read_seeds(record)
    kept = {name: after.figures[name] for name in before[0].figures}
    assert (kept, after.curves, other) == (before[0].figures, before[0].curves, before[1])


def test_both_stages_of_the_arm_are_spent(experiment, record):
    add(experiment, record)
    spent = read_seeds(record)[0].spent
    assert (spent["vanilla"], spent["shuffled"]["steps"]) == (SPENT, 22)


def test_the_same_command_again_changes_nothing(experiment, record):
    add(experiment, record)
    text = (record / SEEDS).read_text()
    assert (add(experiment, record), (record / SEEDS).read_text()) == (0, text)


def change(record, seed, policy, **values):
    seeds = read_seeds(record)
    changed = dict(seeds[seed].figures)
    changed[policy] = dataclasses.replace(changed[policy], **values)
    seeds[seed] = dataclasses.replace(seeds[seed], figures=changed)
    write_seeds(seeds, record)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Figures)])
def test_a_seed_with_another_base_is_refused(experiment, record, field):
    change(record, 0, "base", **{field: 0.123})
    with pytest.raises(InputError, match=rf"seed-4, field '{field}': base has .* here and 0.123 in the record"):
        add_arm.add(read_seeds(record), add_arm.arms_of([experiment]))


def test_other_figures_of_the_arm_are_refused(experiment, record):
    add(experiment, record)
    change(record, 0, "shuffled", tokens=1.0)
    with pytest.raises(InputError, match="field 'tokens': shuffled has"):
        add_arm.add(read_seeds(record), add_arm.arms_of([experiment]))


def test_a_refused_seed_leaves_the_record(experiment, record):
    change(record, 0, "base", greedy=0.123)
    text = (record / SEEDS).read_text()
    assert (add(experiment, record), (record / SEEDS).read_text()) == (2, text)


def test_a_seed_that_the_record_lacks_is_refused(experiment, record):
    with pytest.raises(InputError, match="the record has no seed 4"):
        add_arm.add(read_seeds(record)[1:], add_arm.arms_of([experiment]))


def test_an_experiment_without_the_arm_is_refused(tmp_path):
    (tmp_path / "seed-4").mkdir()
    with pytest.raises(InputError, match="no seed has the arm evaluated"):
        add_arm.arms_of([tmp_path])


def test_a_seed_in_two_experiments_is_refused(tmp_path, experiment):
    write_arm(tmp_path / "again" / "seed-4")
    with pytest.raises(InputError, match="a seed lies in two experiments"):
        add_arm.arms_of([experiment, tmp_path / "again"])


DIRECT = "<think>\nb=19+13=2\n</think>\nb=19+13=2\n\\boxed{2}"
CAREFUL = "<think>\nb=19+13=3\nwait\nb=19+13=2\n</think>\nb=19+13=2\n\\boxed{2}"
RAMBLING = "<think>\nhmm\nb=19+13=2\nwait\nb=19+13=2\n</think>\nb=19+13=2\n\\boxed{2}"


def test_styles_are_counted():
    found = styles.count_styles([DIRECT, CAREFUL, RAMBLING, RAMBLING])
    assert found == {"direct": 1, "careful": 1, "rambling": 2}


def test_the_first_word_by_hand():
    """The second response opens with `hmm`, although the step is likelier."""
    chances = [(0.6, 0.3), (0.2, 0.7), (0.1, 0.8)]
    found = styles.first_word(chances, [RAMBLING, RAMBLING, DIRECT])
    assert dataclasses.astuple(found) == pytest.approx((0.3, 0.6, 1, 2))


def test_a_styles_file_is_not_overwritten(tmp_path, experiment):
    (tmp_path / styles.FILE).write_text("kept")
    code = styles.main([str(experiment), "--out", str(tmp_path)])
    assert (code, (tmp_path / styles.FILE).read_text()) == (2, "kept")
