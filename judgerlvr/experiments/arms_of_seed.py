"""All arms of a plan with one seed: train each stage, evaluate each policy, and write a report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from judgerlvr.cli import MODULES
from judgerlvr.config.load import load_config
from judgerlvr.config.schema import Config
from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.experiments.checks import has_heldout
from judgerlvr.experiments.commands import ALONE, Call, Room, together
from judgerlvr.experiments.plan import REPORT, ArmPlan, Budget, Kind, Plan, StagePlan
from judgerlvr.experiments.schedule import Job
from judgerlvr.experiments.spent import NOTHING, Spent, limits, total
from judgerlvr.runs.checkpoints import complete, export_dir
from rewards.errors import InputError


@dataclass(frozen=True)
class Evaluation:
    """A model directory to evaluate, the folder of its evaluation, and the configuration of its stage."""

    model: Path
    out: Path
    config: Config

    @property
    def done(self) -> bool:
        return (self.out / SUMMARY).is_file()  # written last


class ArmsOfSeed:
    """The commands of one seed, in one folder. Every command continues or finds finished what lies there."""

    def __init__(self, plan: Plan, out: Path, seed: int | None, call: Call, room: Room = ALONE) -> None:
        self.plan, self.out, self.call, self.room = plan, out, call, room
        self.overrides = [*plan.overrides, *([] if seed is None else [f"seed={seed}"])]
        self.config = load_config(plan.config, self.overrides)
        # Folders of evaluations that ended while an arm trained.
        self._evaluated: set[Path] = set()

    def run(self) -> None:
        for arms in self._trained_together():
            training = {arm.stages[-1].name for arm in arms}
            together([partial(self._take_turn, arm, training, len(arms) > 1) for arm in arms], len(arms))
        self.finish()

    def finish(self) -> None:
        """Evaluate the policies of arms that have trained, and write the report."""
        self._evaluate_all()
        runs = [self.out / stage.name for stage in self.plan.stages]
        self.call("report", *runs, "--out", self.out / REPORT)

    def trainings(self) -> list[Job]:
        """A job for each arm, which waits for the arm that it matches. Each line of output names the run."""
        after = {name: (self.out, arm.match) if arm.match else None for name, arm in self.plan.arms.items()}
        return [
            Job((self.out, name), partial(self._train, arm, label=f"{self.out.name}/"), after[name])
            for name, arm in self.plan.arms.items()
        ]

    def _trained_together(self) -> list[list[ArmPlan]]:
        """The arms in order, with arms that can train beside the arm that they match in one list with that arm."""
        lists: dict[str, list[ArmPlan]] = {}
        for name, arm in self.plan.arms.items():
            # Never more than two, for which there is room. A further arm waits for both.
            beside = self._fits_beside(arm) and len(lists.get(arm.match, ())) == 1
            lists.setdefault(arm.match if beside else name, []).append(arm)
        return list(lists.values())

    def _take_turn(self, arm: ArmPlan, training: set[str], beside: bool) -> None:
        """Train an arm. While an arm beside it trains on, evaluate what is ready, in the place of a waiting core.

        ``training`` holds the last stages of the arms at work.
        """
        self._train(arm, beside)
        training.discard(arm.stages[-1].name)
        ready = self._ready_with(arm) if training else []
        for one in ready:
            # With the last arm's end all that is left is evaluated, several at once.
            if training and not one.done:
                self._evaluated.add(one.out)
                self.call(*self._words(one), apart=True)

    def _ready_with(self, arm: ArmPlan) -> list[Evaluation]:
        """The base and the policies of an arm, where the arm itself has made the problems of every evaluation."""
        made_here = all(stage in arm.stages for stage in self._sources())
        return [self._base(), *self._evaluations_of(arm)] if made_here and not arm.match else []

    def _fits_beside(self, arm: ArmPlan) -> bool:
        """Whether the arm can train while the matched arm does: its budget is the tokens of known steps."""
        if not arm.match or not self.room.two_stages or arm.by is not Budget.tokens or arm.stages[:-1]:
            return False
        return self._planned_steps(self.plan.arms[arm.match]) is not None

    def _planned_steps(self, arm: ArmPlan) -> int | None:
        """Steps of all stages of an arm, None where another rule may end a stage earlier."""
        stops = [self._config_of(arm, stage).settings(stage.stage.value).stop for stage in arm.stages]
        if arm.match or any(
            stop.generated_tokens or stop.hours or stop.plateau.steps or stop.tokens_of for stop in stops
        ):
            return None
        return sum(stop.steps for stop in stops)

    def _config_of(self, arm: ArmPlan, stage: StagePlan) -> Config:
        return load_config(self.plan.config, [*self.overrides, *arm.overrides, *stage.overrides])

    def _train(self, arm: ArmPlan, beside: bool = False, label: str = "") -> None:
        """Train the stages of an arm. With ``label`` or ``beside`` each line of output names the run."""
        before: StagePlan | None = None
        for stage in arm.stages:
            own = [f"name={stage.name}", "--out", self._policy(stage), *arm.overrides, *stage.overrides]
            init = self._init(stage, before)
            budget = self._budget(arm, beside) if stage is arm.stages[-1] else []
            shown = {"label": f"{label}{stage.name}"} if beside or label else {}
            self.call(MODULES[stage.stage.value], *self._common(), *own, *init, *budget, **shown)
            before = stage

    def _init(self, stage: StagePlan, before: StagePlan | None) -> list[object]:
        """Where a stage starts: at the configuration's own model, or at the policy of the stage before."""
        if before is None:
            return []
        # The judge stage's command has no --init.
        policy = self._policy(before)
        return [f"model.path={policy.absolute()}"] if stage.stage is Kind.judge else ["--init", policy]

    def _common(self) -> list[str]:
        return ["--config", self.plan.config, f"runs={self.out}", *self.overrides]

    def _policy(self, stage: StagePlan) -> Path:
        return self.out / "ckpt" / stage.name

    def _budget(self, arm: ArmPlan, beside: bool) -> list[str]:
        """Overrides that end the last stage at the matched arm's budget.

        Raises:
            InputError: the earlier stages have spent the budget.
        """
        if not arm.match:
            return []
        if beside:
            return limits(self._planned_steps(self.plan.arms[arm.match]) or 0, arm.most_steps, arm.by, self._rule(arm))
        other = self._spent(self.plan.arms[arm.match].stages)
        left = other - self._spent(arm.stages[:-1])
        if min(left.steps, left.tokens) <= 0:
            raise InputError(f"no budget of arm {arm.match} is left", "shorten the stages before", field="arms")
        return limits(left.steps, arm.most_steps, arm.by, self._rule(arm, left))

    def _rule(self, arm: ArmPlan, left: Spent = NOTHING) -> str:
        """The override that ends an arm at a budget of hours or tokens."""
        if arm.by is Budget.hours:
            return f"generate.stop.hours={left.seconds / 3600}"
        if arm.stages[:-1]:
            return f"generate.stop.generated_tokens={left.tokens}"
        # Read from the runs themselves, which may go on beside the arm.
        runs = [str((self.out / stage.name).absolute()) for stage in self.plan.arms[arm.match].stages]
        return f"generate.stop.tokens_of={json.dumps(runs)}"

    def _spent(self, stages: Sequence[StagePlan]) -> Spent:
        return total(self.out / stage.name for stage in stages)

    def _evaluate_all(self) -> None:
        """Evaluate every policy, several at once where there is room."""
        evaluations = [self._base(), *(one for arm in self.plan.arms.values() for one in self._evaluations_of(arm))]
        waiting = [one for one in evaluations if not one.done]
        for one in evaluations:
            if one.done and one.out not in self._evaluated:
                print(f"\nevaluated before: {one.out}", flush=True)
        shown = {"apart": True} if self.room.evaluations > 1 else {}
        calls = [partial(self.call, *self._words(one), **shown) for one in waiting]
        together(calls, self.room.evaluations)

    def _base(self) -> Evaluation:
        return Evaluation(Path(self.config.model.path), self._first_run / "eval" / "base", self.config)

    @property
    def _first_run(self) -> Path:
        return self.out / next(iter(self.plan.stages)).name

    def _evaluations_of(self, arm: ArmPlan) -> Iterator[Evaluation]:
        for stage in arm.stages:
            config = self._config_of(arm, stage)
            folder = self.out / stage.name
            last = complete(folder / "checkpoints")[-1]
            yield Evaluation(export_dir(last), folder / "eval" / "final", config)
        if arm.match:
            yield from self._at_equal_steps(arm, config)

    def _at_equal_steps(self, arm: ArmPlan, config: Config) -> Iterator[Evaluation]:
        """The checkpoint at which the last stage has trained as often as the matched arm, unless the run ends there."""
        folder = self.out / arm.stages[-1].name
        left = self._spent(self.plan.arms[arm.match].stages) - self._spent(arm.stages[:-1])
        checkpoint = folder / "checkpoints" / f"global_step_{left.steps}"
        # The last checkpoint is left out, since the end of the arm is evaluated already.
        if checkpoint in complete(folder / "checkpoints")[:-1]:
            self.call("export", checkpoint)
            yield Evaluation(export_dir(checkpoint), folder / "eval" / f"step_{left.steps}", config)

    def _words(self, evaluation: Evaluation) -> list[object]:
        config = evaluation.config
        return [
            "evaluate",
            *("--model", evaluation.model, *self._problem_data(), *self._judge_data()),
            *("--out", evaluation.out),
            *("--limit", self.plan.evaluation.problems, "--n", self.plan.evaluation.samples),
            *("--temperature", config.temperature, "--max-tokens", config.generate.max_response_tokens),
            *("--prompt", config.data.prompt, "--verifier", config.reward.verifier),
            *("--extraction", config.reward.extraction.value, "--verdicts", *config.judge.data.verdicts),
        ]

    def _sources(self) -> list[StagePlan]:
        """The stages whose held-out rows every policy is evaluated on."""
        return [stage for kind in Kind if (stage := self._first_of(kind))]

    def _first_of(self, kind: Kind) -> StagePlan | None:
        return next((stage for stage in self.plan.stages if stage.stage is kind), None)

    def _problem_data(self) -> list[object]:
        """The held-out problems as an option. A plan without a generate stage may have none."""
        files = self._problem_files()
        return ["--data", *files] if files else []

    def _problem_files(self) -> list[object]:
        generate = self._first_of(Kind.generate)
        arm = next((arm for arm in self.plan.arms.values() if generate in arm.stages), None)
        # The file holds the held-out problems that the stage used, generated problems too.
        held_out = generate and arm and has_heldout(self._config_of(arm, generate).data)
        own = [self.out / generate.name / "data" / "heldout.jsonl"] if generate and held_out else []
        return [*own, *self.plan.evaluation.data]

    def _judge_data(self) -> list[object]:
        judge = self._first_of(Kind.judge)
        return ["--judge-data", self.out / judge.name / "data" / "heldout.parquet"] if judge else []
