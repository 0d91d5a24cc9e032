"""What a step of judging pays, and how many prompts a step of each kind has."""

import pytest
import torch

from benchmarks.lab.adam import Adam
from benchmarks.lab.arms import Arm, StepKind
from benchmarks.lab.judge_pool import Pool
from benchmarks.lab.model import trainable
from benchmarks.lab.training import RlConfig, Trainer
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld
from tests.lab.written import NO_VERDICT, SAYS_RIGHT, SAYS_WRONG, VOID, WrittenSampler

CPU = torch.device("cpu")
SEEDS, RATES, PROMPTS = 2, (1e-3, 2e-3), 120
MANY = RlConfig(prompts=2, judge_prompts=PROMPTS, group=4, updates=1)
GROUP = (SAYS_RIGHT, SAYS_WRONG, NO_VERDICT, VOID)  # the four responses to each judge prompt
PAID = {True: [1.0, 0.0, 0.0, 0.0], False: [0.0, 1.0, 0.0, 0.0]}  # a group's rewards where this is the label


@pytest.fixture
def world():
    return ChainWorld(ChainConfig(least_steps=1, most_steps=2), CPU)


@pytest.fixture
def pool(world, draw):
    problems = world.problems(40, draw)
    return Pool(problems, problems["gold"], (problems["gold"] + 1) % 30, 0)


def judged(shape, world, pool, kind):
    """(labels [seed][prompt], rewards and truth [run][prompt][sample]) of a step whose responses are ``GROUP``."""
    trainer = Trainer(shape, world, MANY, SEEDS, RATES, CPU)
    trainer.judger = WrittenSampler(trainer.runs, PROMPTS * 4, lambda asked, run, row: GROUP[row % 4])
    _, _, rewards, truth = trainer.judge(kind, {}, pool, torch.Generator().manual_seed(5))
    labels = pool.draw(SEEDS * PROMPTS, torch.Generator().manual_seed(5))[2].view(SEEDS, PROMPTS)
    return labels.tolist(), *(x.view(trainer.runs, PROMPTS, 4).tolist() for x in (rewards, truth))


def run_labels(labels):
    """Runs stand rate by rate, and each rate sees the prompts of every seed."""
    return [labels[run % SEEDS] for run in range(SEEDS * len(RATES))]


@pytest.mark.parametrize("kind", [StepKind.JUDGE, StepKind.JUDGE_SHUFFLED, StepKind.JUDGE_SFT])
def test_accuracy_of_judging_follows_the_label(shape, world, pool, kind):
    labels, _, truth = judged(shape, world, pool, kind)
    assert truth == [[PAID[label] for label in run] for run in run_labels(labels)]


@pytest.mark.parametrize("kind", [StepKind.JUDGE, StepKind.JUDGE_SFT])
def test_the_label_pays(shape, world, pool, kind):
    labels, rewards, _ = judged(shape, world, pool, kind)
    assert rewards == [[PAID[label] for label in run] for run in run_labels(labels)]


def test_shuffled_labels_pay_by_a_coin_that_knows_no_label(shape, world, pool):
    """All four samples of a prompt share the coin. Of 480 prompts each label meets each side about equally often."""
    labels, rewards, _ = judged(shape, world, pool, StepKind.JUDGE_SHUFFLED)
    assert all(group in PAID.values() for run in rewards for group in run)
    met = {(label, coin): 0 for label in PAID for coin in PAID}
    for own, run in zip(run_labels(labels), rewards, strict=True):
        for label, group in zip(own, run, strict=True):
            met[label, group == PAID[True]] += 1
    for label in PAID:
        share = met[label, True] / (met[label, True] + met[label, False])
        assert share == pytest.approx(0.5, abs=0.15)


SMALL = RlConfig(prompts=12, judge_prompts=24, group=2, updates=1)
ASKED = {  # (solving prompts, judge prompts) of a step
    StepKind.GENERATE: ([12], []),
    StepKind.JUDGE: ([], [24]),
    StepKind.JUDGE_FEW: ([], [12]),
    StepKind.JUDGE_SHUFFLED: ([], [24]),
    StepKind.JUDGE_SFT: ([], [24]),
    StepKind.MIXED: ([10], [4]),
}


@pytest.mark.parametrize("kind", StepKind)
def test_prompts_of_a_step_of_each_kind(shape, world, pool, weights, kind, monkeypatch):
    trainer = Trainer(shape, world, SMALL, 1, RATES, CPU)
    asked = {False: [], True: []}

    def sampler(prompts, judging):
        """Each call of a sampler is counted by the prompts that arrive."""
        made = WrittenSampler(trainer.runs, prompts * SMALL.group, lambda *rest: SAYS_RIGHT)
        before = made.run

        def run(weights, given, *rest):
            asked[judging].append(given.shape[1])
            return before(weights, given, *rest)

        made.run = run
        return made

    monkeypatch.setattr(trainer, "_sampler", sampler)
    monkeypatch.setattr(trainer, "update", lambda *rest: {})
    leaves = trainable(weights)
    trainer.step(Arm("any", ()), kind, leaves, Adam(leaves, trainer.rates), pool, 3)
    assert (asked[False], asked[True]) == ASKED[kind]
