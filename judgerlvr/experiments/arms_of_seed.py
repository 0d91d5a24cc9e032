"""All arms of a plan with one seed: train each stage, evaluate each policy, and write a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from judgerlvr.cli import MODULES
from judgerlvr.config.load import load_config
from judgerlvr.config.schema import Config
from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.experiments.plan import ArmPlan, Kind, Plan, StagePlan
from judgerlvr.experiments.spent import Spent, limits, total
from judgerlvr.runs.checkpoints import complete, export_dir
from rewards.errors import InputError

Call = Callable[..., None]


class ArmsOfSeed:
    """The commands of one seed, in one folder. Every command continues or finds finished what lies there."""

    def __init__(self, plan: Plan, out: Path, seed: int | None, call: Call) -> None:
        self.plan, self.out, self.call = plan, out, call
        self.overrides = [*plan.overrides, *([] if seed is None else [f"seed={seed}"])]
        self.config = load_config(plan.config, self.overrides)

    def run(self) -> None:
        for arm in self.plan.arms.values():
            self._train(arm)
        self._evaluate_base()
        for arm in self.plan.arms.values():
            self._evaluate_arm(arm)
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

    def _evaluate_base(self) -> None:
        self._evaluate(Path(self.config.model.path), self._first_run / "eval" / "base", self.config)

    @property
    def _first_run(self) -> Path:
        return self.out / next(iter(self.plan.stages)).name

    def _evaluate_arm(self, arm: ArmPlan) -> None:
        for stage in arm.stages:
            config = load_config(self.plan.config, [*self.overrides, *arm.overrides, *stage.overrides])
            folder = self.out / stage.name
            last = complete(folder / "checkpoints")[-1]
            self._evaluate(export_dir(last), folder / "eval" / "final", config)
        if arm.match:
            self._evaluate_at_equal_steps(arm, config)

    def _evaluate_at_equal_steps(self, arm: ArmPlan, config: Config) -> None:
        """The checkpoint at which the last stage has trained as often as the matched arm, unless the run ends there."""
        folder = self.out / arm.stages[-1].name
        left = self._spent(self.plan.arms[arm.match].stages) - self._spent(arm.stages[:-1])
        checkpoint = folder / "checkpoints" / f"global_step_{left.steps}"
        # The last checkpoint is left out, since the end of the arm is evaluated already.
        if checkpoint in complete(folder / "checkpoints")[:-1]:
            self.call("export", checkpoint)
            self._evaluate(export_dir(checkpoint), folder / "eval" / f"step_{left.steps}", config)

    def _evaluate(self, model: Path, out: Path, config: Config) -> None:
        if (out / SUMMARY).is_file():  # written last
            print(f"\nevaluated before: {out}", flush=True)
            return
        self.call(
            "evaluate",
            *("--model", model, "--data", *self._problem_files(), *self._judge_data(), "--out", out),
            *("--limit", self.plan.evaluation.problems, "--n", self.plan.evaluation.samples),
            *("--temperature", config.temperature, "--max-tokens", config.generate.max_response_tokens),
            *("--prompt", config.data.prompt, "--verifier", config.reward.verifier),
            *("--extraction", config.reward.extraction.value, "--verdicts", *config.judge.data.verdicts),
        )

    def _problem_files(self) -> list[object]:
        generate = next((s for s in self.plan.stages if s.stage is Kind.generate), None)
        # The file holds the held-out problems that the stage used, generated problems too.
        own = [self.out / generate.name / "data" / "heldout.jsonl"] if generate else []
        return [*own, *self.plan.evaluation.data]

    def _judge_data(self) -> list[object]:
        judge = next((s for s in self.plan.stages if s.stage is Kind.judge), None)
        return ["--judge-data", self.out / judge.name / "data" / "heldout.parquet"] if judge else []
