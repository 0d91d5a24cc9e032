"""All arms of a plan with one seed: train each stage, evaluate each policy, and write a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.cli import MODULES
from judgerlvr.config.load import load_config
from judgerlvr.config.schema import Config
from judgerlvr.experiments.commands import Call, call_together
from judgerlvr.experiments.plan import ArmPlan, Kind, Plan, StagePlan
from judgerlvr.experiments.spent import Spent, limits, total
from judgerlvr.runs.checkpoints import complete, export_dir
from rewards.errors import InputError


@dataclass(frozen=True)
class Policy:
    """A model directory to evaluate, the folder of its evaluation, and the configuration of its stage."""

    model: Path
    out: Path
    config: Config

    @property
    def evaluated(self) -> bool:
        return (self.out / "summary.json").is_file()  # written last


class ArmsOfSeed:
    """The commands of one seed, in one folder. Every command continues or finds finished what lies there."""

    def __init__(self, plan: Plan, out: Path, seed: int | None, call: Call, at_once: int = 1) -> None:
        """``at_once`` evaluations run side by side."""
        self.plan, self.out, self.call, self.at_once = plan, out, call, at_once
        self.overrides = [*plan.overrides, *([] if seed is None else [f"seed={seed}"])]
        self.config = load_config(plan.config, self.overrides)

    def run(self) -> None:
        for arm in self.plan.arms.values():
            self._train(arm)
        self._evaluate_all()
        runs = [self.out / stage.name for stage in self.plan.stages]
        self.call("report", *runs, "--out", self.out / "report.html")

    def _train(self, arm: ArmPlan) -> None:
        before: StagePlan | None = None
        for stage in arm.stages:
            own = [f"name={stage.name}", "--out", self._policy(stage), *arm.overrides, *stage.overrides]
            # The first stage starts from the configuration's own model.
            init = [] if before is None else ["--init", self._policy(before)]
            budget = self._budget(arm) if stage is arm.stages[-1] else []
            self.call(MODULES[stage.stage.value], *self._common(), *own, *init, *budget)
            before = stage

    def _common(self) -> list[str]:
        return ["--config", self.plan.config, f"runs={self.out}", *self.overrides]

    def _policy(self, stage: StagePlan) -> Path:
        return self.out / "ckpt" / stage.name

    def _budget(self, arm: ArmPlan) -> list[str]:
        """Overrides that end the last stage at the matched arm's budget.

        Raises:
            InputError: the earlier stages have spent the budget.
        """
        if not arm.match:
            return []
        other = self._spent(self.plan.arms[arm.match].stages)
        left = other - self._spent(arm.stages[:-1])
        if min(left.steps, left.tokens) <= 0:
            raise InputError(f"no budget of arm {arm.match} is left", "shorten the stages before", field="arms")
        return limits(left, left.steps, arm.by, arm.most_steps)

    def _spent(self, stages: Sequence[StagePlan]) -> Spent:
        return total(self.out / stage.name for stage in stages)

    def _evaluate_all(self) -> None:
        """Evaluate every policy. ``at_once`` evaluations run side by side."""
        base = Policy(Path(self.config.model.path), self._first_run / "eval" / "base", self.config)
        policies = [base, *(policy for arm in self.plan.arms.values() for policy in self._policies_of(arm))]
        waiting = [policy for policy in policies if not policy.evaluated]
        for policy in policies:
            if policy.evaluated:
                print(f"\nevaluated before: {policy.out}", flush=True)
        call_together(self.call, [self._evaluation(policy) for policy in waiting], self.at_once)

    @property
    def _first_run(self) -> Path:
        return self.out / next(iter(self.plan.stages)).name

    def _policies_of(self, arm: ArmPlan) -> Iterator[Policy]:
        for stage in arm.stages:
            config = load_config(self.plan.config, [*self.overrides, *arm.overrides, *stage.overrides])
            folder = self.out / stage.name
            last = complete(folder / "checkpoints")[-1]
            yield Policy(export_dir(last), folder / "eval" / "final", config)
        if arm.match:
            yield from self._at_equal_steps(arm, config)

    def _at_equal_steps(self, arm: ArmPlan, config: Config) -> Iterator[Policy]:
        """The checkpoint at which the last stage has trained as often as the matched arm, unless the run ends there."""
        folder = self.out / arm.stages[-1].name
        left = self._spent(self.plan.arms[arm.match].stages) - self._spent(arm.stages[:-1])
        checkpoint = folder / "checkpoints" / f"global_step_{left.steps}"
        # The last checkpoint is left out, since the end of the arm is evaluated already.
        if checkpoint in complete(folder / "checkpoints")[:-1]:
            self.call("export", checkpoint)
            yield Policy(export_dir(checkpoint), folder / "eval" / f"step_{left.steps}", config)

    def _evaluation(self, policy: Policy) -> list[object]:
        config = policy.config
        return [
            "evaluate",
            *("--model", policy.model, "--data", *self._problem_files(), *self._judge_data(), "--out", policy.out),
            *("--limit", self.plan.evaluation.problems, "--n", self.plan.evaluation.samples),
            *("--temperature", config.temperature, "--max-tokens", config.generate.max_response_tokens),
            *("--prompt", config.data.prompt, "--verifier", config.reward.verifier),
            *("--extraction", config.reward.extraction.value, "--verdicts", *config.judge.data.verdicts),
        ]

    def _problem_files(self) -> list[object]:
        generate = next((s for s in self.plan.stages if s.stage is Kind.generate), None)
        # The file holds the held-out problems that the stage used, generated problems too.
        own = [self.out / generate.name / "data" / "heldout.jsonl"] if generate else []
        return [*own, *self.plan.evaluation.data]

    def _judge_data(self) -> list[object]:
        judge = next((s for s in self.plan.stages if s.stage is Kind.judge), None)
        return ["--judge-data", self.out / judge.name / "data" / "heldout.parquet"] if judge else []
