"""An octet: updates against a naive twin, pairing of arms, penalties, and the judge pool."""

import math
from dataclasses import replace

import pytest
import torch

from benchmarks.lab.adam import Adam
from benchmarks.lab.arms import (
    Arm,
    Stage,
    StepKind,
    control_arms,
    dose_arms,
    judge_most,
    judge_until,
    main_arms,
    most_arms,
    stage,
)
from benchmarks.lab.judge_pool import Pool, pairs_of
from benchmarks.lab.model import cast, next_token_logits, trainable
from benchmarks.lab.objective import policy_loss, token_logprobs
from benchmarks.lab.training import Batch, RlConfig, Trainer, part_of, penalised
from benchmarks.lab.worlds.base import repeat
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld

CPU = torch.device("cpu")
SMALL = RlConfig(prompts=3, judge_prompts=2, group=4, updates=1)


@pytest.fixture
def trainer(shape):
    world = ChainWorld(ChainConfig(least_steps=1, most_steps=2), CPU)
    return Trainer(shape, world, SMALL, 1, (1e-3, 2e-3), CPU)


def sampled(trainer, weights, draw):
    problems = trainer.world.problems(6, draw)
    prompts = trainer.world.prompt(problems).unflatten(0, (2, 3))
    return prompts, trainer.solver.run(weights, prompts, draw)


def naive_gradient(trainer, weights, prompts, samples, advantages, used):
    """All used rows in a single forward."""
    leaves = trainable(weights)
    share = samples.lengths.shape[1] // prompts.shape[1]
    ids = torch.cat((prompts.repeat_interleave(share, 1), samples.tokens), -1)
    logits = next_token_logits(
        trainer.shape, cast(leaves, torch.float32), ids[..., :-1], trainer.table, prompts.shape[2]
    )
    mask = samples.own & used[..., None]
    new = token_logprobs(logits, samples.tokens)
    policy_loss(new, samples.logprobs, advantages, mask, mask.sum((1, 2)), SMALL.clip).sum().backward()
    return {name: value.grad for name, value in leaves.items()}


@pytest.mark.parametrize("chunk", [2, 96])
def test_an_update_has_the_gradient_of_its_naive_twin(trainer, weights, draw, monkeypatch, chunk):
    monkeypatch.setattr("benchmarks.lab.training.CHUNK_ROWS", chunk)
    prompts, samples = sampled(trainer, weights, draw)
    advantages = torch.randn(2, 12, generator=draw)
    used = torch.rand(2, 12, generator=draw) < 0.6
    expected = naive_gradient(trainer, weights, prompts, samples, advantages, used)
    seen = {}

    class Watch(Adam):
        def step(self, scale=1.0, live=None):
            seen.update({name: value.grad.clone() for name, value in self.weights.items()})
            return super().step(scale, live)

    leaves = trainable(weights)
    batch = Batch(prompts, samples, advantages, used, advantages)
    trainer.update(leaves, Watch(leaves, trainer.rates), [batch], draw)
    for name, value in expected.items():
        assert torch.allclose(seen[name], value, atol=1e-5 + 1e-3 * value.abs().max().item()), name


def test_rows_of_uniform_groups_change_nothing(trainer, weights, draw):
    prompts, samples = sampled(trainer, weights, draw)
    leaves = trainable(weights)
    nothing = torch.zeros(2, 12, dtype=torch.bool)
    batch = Batch(prompts, samples, torch.ones(2, 12), nothing, torch.ones(2, 12))
    trainer.update(leaves, Adam(leaves, trainer.rates), [batch], draw)
    assert all(torch.equal(leaves[name], weights[name]) for name in weights)


def test_arms_see_the_same_problems_at_the_same_step(trainer, weights):
    asked = []
    for arm in main_arms(6)[:2]:
        draw = torch.Generator().manual_seed(9)
        asked.append(trainer.generate(arm, weights, draw)[0])
    assert torch.equal(*asked)


def test_rates_of_one_seed_see_the_same_problems(trainer, weights, draw):
    prompts = trainer.generate(main_arms(6)[0], weights, draw)[0]
    assert torch.equal(prompts[0], prompts[1])


RIGHT, LENGTHS = torch.tensor([[1.0, 0.0, 1.0, 1.0]]), torch.tensor([[50, 50, 100, 20]])


@pytest.mark.parametrize(
    "penalty, adaptive, expected",
    [(0.0, False, [1, 0, 1, 1]), (0.2, False, [0.9, 0, 0.8, 0.96]), (0.2, True, [0.95, 0, 0.8, 0.96])],
)
def test_penalty_of_right_answers(penalty, adaptive, expected):
    arm = Arm("any", (), penalty, adaptive)
    assert penalised(arm, RIGHT, LENGTHS, 2)[0].tolist() == pytest.approx(expected)


ALL_ARMS = [*main_arms(120), *control_arms(120), *dose_arms(120), most_arms(120)[1]]


@pytest.mark.parametrize("arm", ALL_ARMS, ids=lambda arm: arm.name)
def test_every_arm_has_all_steps(arm):
    assert sum(stage.steps for stage in arm.stages) == 120


def control(name):
    return next(arm for arm in control_arms(120) if arm.name == name)


def test_mixing_and_alternating_judge_as_much_as_judge_20():
    """Judge prompts of 120 steps: 20 steps of 128, and a mixed step has whole prompts."""
    (stage,) = control("alternating").stages
    assert sum(stage.kind(step) is StepKind.JUDGE for step in range(120)) * 128 == 2560
    assert {control("mixed").stages[0].kind(step) for step in range(120)} == {StepKind.MIXED}
    assert 120 * part_of(128) == pytest.approx(2560, abs=60)
    assert part_of(64) / 64 == pytest.approx(1 / 6, abs=0.01)


def mixture(trainer, weights, draw):
    """Two problems and a judge prompt for each of two runs, with random advantages."""
    solved = trainer.generate(control("mixed"), weights, draw, 2)
    judged = trainer.judge(StepKind.JUDGE, weights, pool_of(trainer.world, draw), draw, 1)
    batches = []
    for prompts, samples, rewards, _ in (solved, judged):
        advantages = torch.randn(rewards.shape, generator=draw)
        batches.append(Batch(prompts, samples, advantages, torch.rand(rewards.shape, generator=draw) < 0.7, rewards))
    return batches


def test_a_mixed_update_is_the_mean_over_the_tokens_of_both_kinds(trainer, weights, draw):
    """The naive twin weighs the gradient of each kind by its own tokens."""
    batches = mixture(trainer, weights, draw)
    parts = [naive_gradient(trainer, weights, b.prompts, b.samples, b.advantages, b.used) for b in batches]
    tokens = torch.stack([(b.samples.own & b.used[..., None]).sum((1, 2)) for b in batches]).float()
    shares = tokens / tokens.sum(0)
    seen = {}

    class Watch(Adam):
        def step(self, scale=1.0, live=None):
            seen.update({name: value.grad.clone() for name, value in self.weights.items()})
            return super().step(scale, live)

    leaves = trainable(weights)
    trainer.update(leaves, Watch(leaves, trainer.rates), batches, draw)
    for name in parts[0]:
        shape = (-1, *[1] * (parts[0][name].dim() - 1))
        expected = sum(share.view(shape) * part[name] for share, part in zip(shares, parts, strict=True))
        assert torch.allclose(seen[name], expected, atol=1e-5 + 1e-3 * expected.abs().max().item()), name


def test_a_mixed_step_counts_the_tokens_of_both_kinds(trainer, weights, draw):
    leaves = trainable(weights)
    arm, pool = control("mixed"), pool_of(trainer.world, draw)
    figures = trainer.step(arm, StepKind.MIXED, leaves, Adam(leaves, trainer.rates), pool, 3)
    per_sample = figures["tokens"] * 2 * SMALL.group + figures["judge_tokens"] * SMALL.group
    assert figures["sampled"].tolist() == pytest.approx(per_sample.tolist())


def test_a_mixed_step_sees_the_first_problems_of_the_step(trainer, weights):
    asked = [trainer.generate(control("mixed"), weights, torch.Generator().manual_seed(9), n)[0] for n in (2, 3)]
    assert torch.equal(asked[0], asked[1][:, :2])


def pool_of(world, draw, rows=40):
    problems = world.problems(rows, draw)
    return Pool(problems, problems["gold"], (problems["gold"] + 1) % 30, 0)


def test_draws_of_the_pool_carry_the_right_labels(world, draw):
    problems, candidates, labels = pool_of(world, draw).draw(500, draw)
    assert torch.equal((candidates == problems["gold"]).all(-1), labels)
    assert labels.float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_pairs_of_the_pool_are_balanced_per_problem(world, draw):
    problems, candidates, labels = pool_of(world, draw).pairs(20)
    assert len(labels) == 20
    assert torch.equal((candidates == problems["gold"]).all(-1), labels)


def test_an_octet_cut_by_the_deadline_says_so(trainer, weights, draw):
    class Nothing:
        def points(self, weights, full):
            return [dict(accuracy=0.0, tokens=1.0, none_accuracy=0.0)] * 2

    pool = pool_of(trainer.world, draw)
    octet = trainer.train(main_arms(6)[0], weights, pool, Nothing(), 0, deadline=-math.inf)
    assert not octet.complete
    assert [len(curve) for curve in octet.curves] == [1, 1]


def points_of(*learnt):
    """A point for each run that has learnt this share of the unreliable facts."""
    plain = dict(accuracy=0.0, tokens=1.0, none_accuracy=0.0, unreliable_belief=0.4)
    return [plain | {"unreliable_right": 0.4 + share} for share in learnt]


@pytest.mark.parametrize(
    ("learnt", "judged"), [((0.3, 0.25), 2), ((0.3, 0.2), 4)], ids=["every run has learnt", "one run has not"]
)
def test_judging_ends_once_every_run_has_learnt_enough(trainer, weights, draw, monkeypatch, learnt, judged):
    class Learnt:
        def points(self, weights, full):
            return points_of(*learnt)

    monkeypatch.setattr(trainer, "config", replace(SMALL, evaluate_every=2))
    octet = trainer.train(judge_until(0.25, 4, 6), weights, pool_of(trainer.world, draw), Learnt(), 0, math.inf)
    assert [step["kind"] for step in octet.steps] == ["judge"] * judged + ["generate"] * (6 - judged)


@pytest.mark.parametrize(("reached", "judged"), [(6, 5), (5, 8)], ids=["six of eight have learnt", "five of eight"])
def test_judging_ends_once_most_runs_have_learnt_enough(shape, weights, draw, monkeypatch, reached, judged):
    class Learnt:
        def points(self, weights, full):
            return points_of(*[0.3] * reached, *[0.1] * (8 - reached))

    world = ChainWorld(ChainConfig(least_steps=1, most_steps=2), CPU)
    trainer = Trainer(shape, world, SMALL, 8, (1e-3,), CPU)
    monkeypatch.setattr(trainer, "step", lambda arm, kind, *rest: {"sampled": torch.zeros(8)})
    eight = {name: value[:1].repeat(8, *[1] * (value.dim() - 1)) for name, value in weights.items()}
    octet = trainer.train(judge_most(0.25, 0.75, 8, 10), eight, pool_of(world, draw), Learnt(), 0, math.inf)
    assert [step["kind"] for step in octet.steps] == ["judge"] * judged + ["generate"] * (10 - judged)
    assert [point["step"] for point in octet.curves[0]] == sorted({0, 5, judged, 10})


@pytest.mark.parametrize(("least", "judged"), [(0.5, 2), (0.9, 4)], ids=["dulled", "still diverse"])
def test_judging_ends_once_entropy_has_fallen(trainer, weights, draw, monkeypatch, least, judged):
    """The base has entropy 1. Every later point has ``least``, and .75 is enough."""
    seen = []

    class Dulled:
        def points(self, weights, full):
            seen.append(1.0 if not seen else least)
            return [point | {"entropy": seen[-1]} for point in points_of(0.0, 0.0)]

    monkeypatch.setattr(trainer, "config", replace(SMALL, evaluate_every=2))
    arm = Arm("dulled", (Stage((StepKind.JUDGE,), 4, until_entropy=0.75), stage(2, StepKind.GENERATE)))
    octet = trainer.train(arm, weights, pool_of(trainer.world, draw), Dulled(), 0, math.inf)
    assert [step["kind"] for step in octet.steps] == ["judge"] * judged + ["generate"] * (6 - judged)


def test_a_fresh_stage_judges_candidates_of_the_policies_it_starts_from(trainer, weights, draw, monkeypatch):
    old, judged = pool_of(trainer.world, draw), []
    new = replace(old, tokens=7)

    class Same:
        def points(self, weights, full):
            return points_of(0.0, 0.0)

    def step(arm, kind, weights, adam, pool, seed):
        judged.append(pool.tokens)
        return {"sampled": torch.zeros(2)}

    monkeypatch.setattr(trainer, "step", step)
    monkeypatch.setattr("benchmarks.lab.training.sample_pool", lambda *rest: new)
    judging = stage(2, StepKind.JUDGE)
    octet = trainer.train(Arm("fresh", (judging, replace(judging, fresh=True))), weights, old, Same(), 0, math.inf)
    assert judged == [old.tokens] * 2 + [old.tokens + 7] * 2
    assert octet.candidate_tokens == old.tokens + 7


def test_hard_pairs_have_the_fewest_wrong_values(world, draw):
    problems = world.problems(64, draw)
    traces = world.solve_traces(repeat(problems, 16), draw)
    wrong = lambda pool: (pool.wrong != pool.problems["gold"]).sum(-1).float().mean()  # noqa: E731
    hard, any_wrong = (pairs_of(world, problems, traces, 16, draw, share) for share in (1.0, 0.0))
    assert wrong(hard) < wrong(any_wrong)


@pytest.mark.parametrize("kind", [StepKind.JUDGE, StepKind.JUDGE_FEW, StepKind.JUDGE_SHUFFLED, StepKind.JUDGE_SFT])
def test_every_kind_of_judging_takes_a_step(trainer, weights, draw, kind):
    leaves = trainable(weights)
    figures = trainer.step(main_arms(6)[1], kind, leaves, Adam(leaves, trainer.rates), pool_of(trainer.world, draw), 3)
    assert all(math.isfinite(value) for values in figures.values() for value in values.tolist())
