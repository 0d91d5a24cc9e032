"""The demo: judge, then generate, beside vanilla RLVR, with evaluation and report, at laptop size.

    python -m judgerlvr.demo [--model qwen3_moe] [--out runs/demo]

Every step is a command of this product, and the demo prints each command. Vanilla trains until it has generated as many
tokens as both stages together, candidates and judging included. The checkpoint at equal steps is evaluated too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.config.effective import TINY
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.runs.checkpoints import complete, export_dir, read_seal
from rewards.errors import CommandFailed, InputError, exit_code

EVALUATED_PROBLEMS = 200
SAMPLES = 4
# Judge samples are short, so vanilla needs more steps than JudgeRLVR for equal tokens. The factor bounds these steps.
MOST_VANILLA_STEPS_FACTOR = 3


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="qwen3_moe", help="shipped base model (default %(default)s)")
    parser.add_argument("--out", type=Path, help="folder of the demo's runs (default runs/demo, runs/demo-2, ...)")
    parser.add_argument("--config", default=TINY, help="configuration (default %(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override a configuration key")
    return parser.parse_intermixed_args(arguments)


def call(module: str, *arguments: object) -> None:
    """Run one of the product's commands, printed as a person would type the command.

    Raises:
        CommandFailed: the command returned another exit code than 0.
    """
    words = ["-m", f"judgerlvr.{module}", *map(str, arguments)]
    print(f"\n$ python {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, *words], check=False)
    if done.returncode:
        raise CommandFailed(f"judgerlvr.{module} returned {done.returncode}")


def free_folder(wanted: Path | None) -> Path:
    if wanted and wanted.exists():
        raise InputError("exists", "give another --out", file=wanted)
    names = (Path("runs") / ("demo" if number == 1 else f"demo-{number}") for number in range(1, 10**6))
    return wanted or next(path for path in names if not path.exists())


class Demo:
    """The commands of one demo, in one folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.out = free_folder(options.out)
        self.base = ROOT / "judgerlvr" / "tinyworld" / "base" / options.model
        self.common = [
            "--config",
            options.config,
            f"runs={self.out}",
            f"model.path={self.base}",
            *options.overrides,
        ]
        self.config = load_config(options.config, options.overrides)
        self.judge_steps = self.config.judge.stop.steps
        self.steps = self.judge_steps + self.config.generate.stop.steps

    def run(self) -> None:
        started = time.monotonic()
        judge, generate = self.out / "ckpt" / "judge", self.out / "ckpt" / "generate"
        call("stage1_judge", *self.common, "name=judge", "--out", judge)
        call("stage2_generate", *self.common, "name=generate", "--init", judge, "--out", generate)
        self._train_vanilla()
        self._evaluate_all()
        runs = [self.out / name for name in ("judge", "generate", "vanilla")]
        call("report", *runs, "--out", self.out / "report.html")
        print(f"\ndemo finished in {(time.monotonic() - started) / 60:.1f} min: {self.out / 'report.html'}")

    def _train_vanilla(self) -> None:
        """Vanilla up to the tokens of both stages, with a checkpoint at equal steps."""
        spent = sum(self._tokens(name) for name in ("judge", "generate"))
        call(
            "stage2_generate",
            *self.common,
            "name=vanilla",
            "--out",
            self.out / "ckpt" / "vanilla",
            f"generate.stop.steps={MOST_VANILLA_STEPS_FACTOR * self.steps}",
            f"generate.stop.generated_tokens={spent}",
            f"generate.checkpoint.every={self.steps}",
            "generate.checkpoint.keep=0",
        )

    def _tokens(self, name: str) -> int:
        tokens: int = read_seal(complete(self.out / name / "checkpoints")[-1])["generated_tokens"]
        return tokens

    def _evaluate_all(self) -> None:
        vanilla = complete(self.out / "vanilla" / "checkpoints")
        equal_steps = [path for path in vanilla if path.name == f"global_step_{self.steps}"]
        self._evaluate(self.base, self.out / "judge" / "eval" / "base")
        self._evaluate(self._export("judge"), self.out / "judge" / "eval" / "final")
        self._evaluate(self._export("generate"), self.out / "generate" / "eval" / "final")
        self._evaluate(export_dir(vanilla[-1]), self.out / "vanilla" / "eval" / "final")
        for path in equal_steps if equal_steps != vanilla[-1:] else []:
            call("export", path)
            self._evaluate(export_dir(path), self.out / "vanilla" / "eval" / f"step_{self.steps}")

    def _export(self, name: str) -> Path:
        return export_dir(complete(self.out / name / "checkpoints")[-1])

    def _evaluate(self, model: Path, out: Path) -> None:
        problems = self.out / "generate" / "data" / "heldout.jsonl"
        judged = self.out / "judge" / "data" / "heldout.parquet"
        call(
            "evaluate",
            *("--model", model, "--data", problems, "--judge-data", judged, "--out", out),
            *("--limit", EVALUATED_PROBLEMS, "--n", SAMPLES, "--temperature", self.config.temperature),
            *("--max-tokens", self.config.generate.max_response_tokens, "--prompt", self.config.data.prompt),
            *("--verifier", self.config.reward.verifier, "--extraction", self.config.reward.extraction.value),
            *("--verdicts", *self.config.judge.data.verdicts),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    return exit_code(lambda: Demo(options).run())
