"""Arms of a comparison, matching of budgets, looks, and problems that changed."""

import pytest

from judgerlvr.reporting.arms import Arm, Looks, cost_before, find_arms, looks_of, part_of, seeds_of
from judgerlvr.reporting.budgets import answer_notes, equal_steps, equal_tokens, matched_table
from judgerlvr.reporting.changes import changes_data, changes_table, compare, pairs_of
from judgerlvr.reporting.evaluations import Measured
from judgerlvr.reporting.runs import Run, read_run
from judgerlvr.runs.manifest import Manifest, Parent
from judgerlvr.runs.metrics import StepRow, merge_steps
from tests.helpers.report_runs import write_three
from tests.helpers.run_folders import step_row


def run(folder, stage, steps, parent=None, labels=("final",), seed=0, began="", made=None):
    rows = [step_row(step, stage, more={"budget/generated_tokens": 100.0 * step}) for step in range(1, steps + 1)]
    parent = Parent(run=parent, hash=began)
    manifest = Manifest(name=folder.name, stage=stage, parent=parent, seed=seed, model_hash=made)
    return Run(folder, manifest, rows, [Measured(label) for label in labels])


@pytest.fixture
def three(tmp_path):
    return [
        run(tmp_path / "judge", "judge", 8, labels=("base", "final")),
        run(tmp_path / "generate", "generate", 16, parent="judge"),
        run(tmp_path / "vanilla", "generate", 30, labels=("final", "step_24")),
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return find_arms([read_run(folder) for folder in write_three(tmp_path_factory.mktemp("runs"))])


def test_parts_follow_from_stage_and_parent(three):
    assert [part_of(one, three) for one in three] == ["after judge", "JudgeRLVR", "vanilla"]


def test_a_generate_run_after_another_generate_run_keeps_its_name(three, tmp_path):
    more = run(tmp_path / "more", "generate", 4, parent="generate")
    assert part_of(more, [*three, more]) == "more"


def test_costs_add_up_over_ancestors(three):
    assert cost_before(three[1], three) == (8, 800)


def test_a_seed_costs_what_its_own_judge_run_cost(tmp_path):
    """Runs of several seeds have the same names."""
    first, second = (tmp_path / f"seed-{seed}" for seed in (0, 1))
    judges = [run(first / "judge", "judge", 8), run(second / "judge", "judge", 5)]
    others = [run(folder / "generate", "generate", 3, parent="judge") for folder in (first, second)]
    assert [cost_before(one, [*judges, *others]) for one in others] == [(8, 800), (5, 500)]


def test_the_hash_of_the_weights_finds_a_judge_run_that_lies_elsewhere(tmp_path):
    judges = [run(tmp_path / str(n) / "judge", "judge", n, made=f"hash {n}") for n in (4, 6)]
    other = run(tmp_path / "generate", "generate", 3, parent="judge", began="hash 6")
    assert cost_before(other, [*judges, other]) == (6, 600)


def test_two_judge_runs_of_unknown_weights_elsewhere_are_no_parents(tmp_path):
    judges = [run(tmp_path / str(n) / "judge", "judge", n) for n in (4, 6)]
    other = run(tmp_path / "generate", "generate", 3, parent="judge")
    assert cost_before(other, [*judges, other]) == (0, 0)


def test_arms_are_ordered_and_intermediate_checkpoints_named(three):
    arms = [(arm.name, arm.steps, arm.tokens) for arm in find_arms(three)]
    assert arms == [
        ("base", 0, 0),
        ("after judge", 8, 800),
        ("JudgeRLVR", 24, 2400),
        ("vanilla", 30, 3000),
        ("vanilla @ step_24", 24, 2400),
    ]


def test_equal_steps_takes_the_checkpoint_on_the_way(three):
    assert [arm.name for arm in equal_steps(find_arms(three))] == ["JudgeRLVR", "vanilla @ step_24"]


def test_budgets_that_differ_are_not_called_equal():
    arms = [
        Arm(name, None, Measured("final"), steps, tokens)
        for name, steps, tokens in (("JudgeRLVR", 24, 1000), ("vanilla", 30, 1200))
    ]
    assert equal_steps(arms) is None
    assert equal_tokens(arms) is None
    assert list(answer_notes(arms)) == []


def test_seeds_are_counted_once(three, tmp_path):
    assert seeds_of([*three, run(tmp_path / "s1", "judge", 1, seed=1)]) == {0, 1}


def test_parts_of_other_names_have_looks_of_their_own(three, tmp_path):
    others = [run(tmp_path / name, "generate", 4, parent="generate") for name in ("x", "y", "z")]
    looks = looks_of([*three, *others])
    places = [looks.of(part).place for part in ("base", "after judge", "JudgeRLVR", "vanilla", "x", "y", "z")]
    assert places == list(range(7))
    assert Looks().of("unknown").place == 4


def test_rows_of_a_step_are_merged_and_the_later_row_wins():
    given = [(2, {"a": 1}), (1, {"a": 0}), (2, {"b": 3}), (1, {"a": 5})]
    merged = merge_steps([StepRow(step, "judge", 0.0, values) for step, values in given])
    assert [(row.step, row.values) for row in merged] == [(1, {"a": 5}), (2, {"a": 1, "b": 3})]


def test_the_difference_on_top_is_that_of_the_table_and_of_a_naive_mean(written):
    judged, vanilla = equal_steps(written)

    def accuracy(arm):
        scores = {}
        for record in arm.measured.samples:
            if record.kind == "generate" and record.decoding != "greedy":
                scores.setdefault(record.problem_id, []).append(record.score)
        return sum(sum(values) / len(values) for values in scores.values()) / len(scores)

    points = f"{(accuracy(judged) - accuracy(vanilla)) * 100:+.1f} points ["
    assert next(iter(answer_notes(written))).text.partition("accuracy ")[2].startswith(points)
    assert matched_table(written).rows[2][1].text.startswith(points)


def test_problems_gained_and_lost_against_a_naive_count(written):
    by_name = {arm.name: arm for arm in written}
    compared = compare(by_name["JudgeRLVR"], by_name["base"], greedy=False)

    def majority(name):
        right = {}
        for record in by_name[name].measured.samples:
            if record.kind == "generate" and record.decoding != "greedy":
                right[record.problem_id] = right.get(record.problem_id, 0) + record.score
        return {problem for problem, count in right.items() if count / 4 > 0.5}

    assert set(compared.gained) == majority("JudgeRLVR") - majority("base")
    assert set(compared.lost) == majority("base") - majority("JudgeRLVR")
    table = next(changes_table(written))
    row = next(row for row in table.rows if [cell.text for cell in row[:3]] == ["base", "JudgeRLVR", "sampled"])
    assert [cell.text for cell in row[4:6]] == [str(len(compared.gained)), str(len(compared.lost))]


def test_the_searched_problems_hold_the_samples_of_every_arm(written):
    data = changes_data(written)
    problem, entries = data["problems"]["sampled"][3]
    for name, (right, samples, tokens) in zip(data["arms"], entries, strict=True):
        arm = next(arm for arm in written if arm.name == name)
        rows = [r for r in arm.measured.samples if r.problem_id == problem and r.kind == "generate"]
        rows = [r for r in rows if r.decoding != "greedy"]
        assert (right, samples) == (sum(r.score for r in rows), 4)
        assert tokens == pytest.approx(sum(r.tokens for r in rows) / 4, abs=0.06)


def test_pairs_go_from_the_base_to_each_arm_and_from_vanilla_to_judgerlvr(written):
    assert [(a.name, b.name) for a, b in pairs_of(written)] == [
        ("base", "after judge"),
        ("base", "JudgeRLVR"),
        ("base", "vanilla"),
        ("vanilla", "JudgeRLVR"),
    ]


def test_arms_without_a_shared_problem_have_no_difference(written):
    other = Arm("other", written[0].run, Measured("final"), 1, 1)
    assert compare(written[0], other, greedy=False) is None
