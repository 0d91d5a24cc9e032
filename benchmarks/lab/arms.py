"""Arms as data: which kind of step follows which, and how a right answer is paid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class StepKind(StrEnum):
    GENERATE = "generate"
    JUDGE = "judge"
    JUDGE_FEW = "judge-few"  # as many samples as a generating step, not as many tokens
    JUDGE_SHUFFLED = "judge-shuffled"  # labels drawn by a coin
    MIXED = "mixed"  # an update from problems and judge prompts, which take ``MIXED_PART`` of the step
    JUDGE_SFT = "judge-sft"  # imitates the own right verdicts: advantage 1, and none for wrong ones


MIXED_PART = 1 / 6  # as the share of steps that ``judge-20`` judges


@dataclass(frozen=True)
class Stage:
    """``steps`` steps whose kinds repeat ``pattern``. Optimiser moments start anew with each stage.

    With ``until_learnt`` the stage ends at the first evaluation at which enough runs have learnt so much.
    The number is a share of the unreliable facts. ``share_of_runs`` says how many runs are enough.
    With ``until_entropy`` the stage ends once enough runs have so small a share of the base's entropy.
    The next stage gets the steps that are left. With ``every`` the stage has evaluations of its own distance.
    A ``fresh`` stage samples judge candidates anew, from the policies at its start.
    """

    pattern: tuple[StepKind, ...]
    steps: int
    until_learnt: float | None = None
    share_of_runs: float = 1.0
    every: int | None = None
    until_entropy: float | None = None
    fresh: bool = False

    def kind(self, step: int) -> StepKind:
        return self.pattern[step % len(self.pattern)]


@dataclass(frozen=True)
class Arm:
    """A right answer of L tokens is worth 1 - ``penalty`` * L / 100.

    An adaptive penalty is scaled by the group's pass rate, so that hard problems may be long. ``hard`` is the share of
    problems whose wrong judge candidate is one of those with the fewest wrong values.
    """

    name: str
    stages: tuple[Stage, ...]
    penalty: float = 0.0
    adaptive: bool = False
    hard: float = 0.5


def stage(steps: int, *kinds: StepKind) -> Stage:
    return Stage(kinds, steps)


def judge_first(name: str, judging: int, steps: int, kind: StepKind = StepKind.JUDGE) -> Arm:
    return Arm(name, (stage(judging, kind), stage(steps - judging, StepKind.GENERATE)))


def main_arms(steps: int) -> tuple[Arm, ...]:
    """The five arms of every cell. The judging shares are a sixth and a third."""
    vanilla = Arm("vanilla", (stage(steps, StepKind.GENERATE),))
    return (
        vanilla,
        judge_first("judge-20", steps // 6, steps),
        judge_first("judge-40", steps // 3, steps),
        replace(vanilla, name="penalty-low", penalty=0.1),
        replace(vanilla, name="penalty-high", penalty=0.3),
    )


def judge_until(learnt: float, most: int, steps: int) -> Arm:
    """Judging until every run has learnt enough, for ``most`` steps at most."""
    judging = Stage((StepKind.JUDGE,), most, learnt)
    return Arm("judge-until", (judging, stage(steps - most, StepKind.GENERATE)))


def judge_most(learnt: float, share: float, most: int, steps: int) -> Arm:
    """Judging until a share of the runs has learnt enough, evaluated each fifth step."""
    judging = Stage((StepKind.JUDGE,), most, learnt, share, every=5)
    return Arm("judge-most", (judging, stage(steps - most, StepKind.GENERATE)))


def most_arms(steps: int) -> tuple[Arm, ...]:
    """As ``dose_arms``, but six of eight runs are enough. Waiting for the last run took others too far."""
    arms = {arm.name: arm for arm in main_arms(steps)}
    return (arms["vanilla"], judge_most(0.25, 0.75, steps // 2, steps), arms["penalty-high"], arms["penalty-low"])


def dose_arms(steps: int) -> tuple[Arm, ...]:
    """Vanilla, judging until a quarter of the unreliable facts is learnt, and both penalties."""
    arms = {arm.name: arm for arm in main_arms(steps)}
    return (arms["vanilla"], judge_until(0.25, steps // 2, steps), arms["penalty-high"], arms["penalty-low"])


def recipe_arms(steps: int) -> tuple[Arm, ...]:
    """Recipes of our own beside vanilla, plain judging, and a penalty. Each judges a sixth of the steps at first."""
    arms = {arm.name: arm for arm in main_arms(steps)}
    share, judging, generating = steps // 6, StepKind.JUDGE, StepKind.GENERATE
    half = share // 2
    again = replace(stage(half, judging), fresh=True)
    dulled = Stage((judging,), steps // 2, until_entropy=0.75, share_of_runs=0.5, every=5)
    blocks = (stage(half, judging), stage(steps // 2 - half, generating)) * 2
    return (
        arms["vanilla"],
        arms["judge-20"],
        judge_most(0.25, 0.75, steps // 2, steps),
        Arm("judge-fresh", (stage(half, judging), again, stage(steps - 2 * half, generating))),
        replace(arms["judge-20"], name="judge-hard", hard=1.0),
        Arm("judge-entropy", (dulled, stage(steps // 2, generating))),
        Arm("judge-blocks", blocks),
        arms["penalty-low"],
    )


def registered_arms(steps: int) -> tuple[Arm, ...]:
    """Vanilla, the shorter judging share and both penalties, the arms that decide first."""
    arms = {arm.name: arm for arm in main_arms(steps)}
    return tuple(arms[name] for name in ("vanilla", "judge-20", "penalty-high", "penalty-low"))


def control_arms(steps: int) -> tuple[Arm, ...]:
    """The eight controls, for two cells only. The judging share is that of ``judge-20``.

    ``mixed`` judges within each step and ``alternating`` in each sixth step.
    """
    judging, generating = StepKind.JUDGE, StepKind.GENERATE
    share = steps // 6
    first = judge_first("judge-20", share, steps)
    return (
        Arm("mixed", (stage(steps, StepKind.MIXED),)),
        Arm("alternating", (stage(steps, *[generating] * 5, judging),)),
        Arm("generate-first", (stage(steps - share, generating), stage(share, judging))),
        judge_first("shuffled-labels", share, steps, StepKind.JUDGE_SHUFFLED),
        judge_first("equal-samples", share, steps, StepKind.JUDGE_FEW),
        judge_first("judge-by-sft", share, steps, StepKind.JUDGE_SFT),
        replace(first, name="judge-20-penalty", penalty=0.1),
        Arm("penalty-adaptive", (stage(steps, generating),), penalty=0.3, adaptive=True),
    )
