"""The record of a run: OUT/long-rl.json and OUT/long-rl.md, from whatever the run has left so far."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.hysparse.kernels.table import heading
from benchmarks.hysparse.long_rl.equal import NORMAL, chances_after, chances_before, verdict
from benchmarks.hysparse.long_rl.figures import (
    PARTS,
    Group,
    Step,
    agreement_of,
    held,
    mean_seconds,
    paired_rate,
    pairs,
    rate,
    seconds_of,
    slope,
    steps_of,
    token_bytes,
    waits_of,
)
from benchmarks.hysparse.long_rl.stages import keys
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.runs.metrics import METRICS, merge_steps, read_metrics

LIBRARIES = ("vllm", "verl", "ray", "transformers")
# Parts whose tokens per second are shown, and names.
RATES = {"gen": "sampling", "old_log_prob": "log-probabilities", "update_actor": "update", "step": "whole step"}


def read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else {}


def group_of(options: argparse.Namespace, sft: dict[str, Any]) -> Group:
    agreement = agreement_of(sft["accuracy"]) if sft else 1.0
    return Group(options.prompts, options.samples, agreement)


def write_record(options: argparse.Namespace, ends: list[str], seconds: float) -> None:
    """Both files. ``ends`` says how the stages of this call ended, and ``seconds`` is the time of this call."""
    sft = {name: read(options.out / "sft" / name / "sft.json") for name in options.order}
    groups = {name: group_of(options, sft[name]) for name in options.order}
    runs = {
        name: steps_of(
            merge_steps(read_metrics(options.out / f"{name}-{METRICS}")),
            groups[name],
            waits_of(options.out / "turns" / f"{name}.jsonl"),
        )
        for name in options.order
    }
    there = {name: steps for name, steps in runs.items() if steps}
    after = chances_after(options.out)
    comparable, words = verdict(chances_before(options.out, options.order), after)
    facts = {**heading(), **versions(), "seconds of this call": round(seconds)}
    record = {
        **facts,
        "options": {name: str(value) for name, value in vars(options).items()},
        "keys": keys(options),
        "ends": ends,
        "sft": sft,
        "after": {name: sum(chances) / len(chances) for name, chances in after.items()},
        "slopes": {name: slope(steps, groups[name]) for name, steps in there.items()},
        "cache": cache_of(options),
        "steps": {name: [asdict(step) for step in steps] for name, steps in runs.items()},
        "rates": {name: {part: rate(steps, part) for part in RATES} for name, steps in there.items()},
        "reward over wall-clock time": comparable,
        "verdict": words,
    }
    (options.out / "long-rl.json").write_text(json.dumps(record, indent=1) + "\n")
    lines = [f"{name}: {value}  " for name, value in facts.items()]
    lines += ["", *sft_lines(sft, after), *cache_lines(record["cache"]), *speed_lines(there)]
    lines += [
        "## Verdict",
        "",
        f"{words}.",
        *clock_lines(there, comparable),
        "",
        *(step_table(name, steps) for name, steps in there.items()),
    ]
    lines += [
        "",
        *(f"- {line}" for line in ends),
        "",
        "Keys of both stages: " + " ".join(f"`{key}`" for key in keys(options)),
    ]
    (options.out / "long-rl.md").write_text("\n".join(lines) + "\n")
    print((options.out / "long-rl.md").read_text(), flush=True)


def versions() -> dict[str, str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"engines": ", ".join(found)}


def sft_lines(sft: dict[str, Any], after: dict[str, list[float]]) -> list[str]:
    """Accuracy of both saved policies before RL and after, on the same fresh problems."""
    lines = [
        "## Before RL and after",
        "",
        "| policy | parameters | layers | steps of SFT | tokens | seconds | share of the way to the last look | "
        "problems | sampled before RL | greedy before RL | sampled after RL |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in sft.items():
        if not found:
            continue
        before, chances = found["accuracy"], after.get(name)
        cells = [name, f"{found['parameters'] / 1e6:.1f} M", found["layers"], found["steps"], f"{found['tokens']:.3g}"]
        cells += [f"{found['seconds']:.0f} {found['error']}", f"{found['share']:.3f}", before["problems"]]
        cells += [share(before, "sampled"), share(before, "greedy")]
        lines.append(row([*cells, f"{sum(chances) / len(chances):.3f}" if chances else "-"]))
    return [*lines, ""]


def clock_lines(runs: dict[str, list[Step]], comparable: bool) -> list[str]:
    """Seconds of both runs for equal steps that end in equal accuracy, when that is a figure."""
    if not comparable or len({len(steps) for steps in runs.values()}) != 1:
        return []
    seconds = {name: seconds_of(steps) for name, steps in runs.items()}
    one, two = seconds.values()
    told = " and ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    return ["", f"To the same accuracy, first steps left out: {told}, a ratio of {two / one:.2f}."]


def share(accuracy: dict[str, Any], kind: str) -> str:
    return f"{accuracy[kind]:.3f} ± {NORMAL * accuracy[f'{kind}_error']:.3f}"


def cache_of(options: argparse.Namespace) -> dict[str, Any]:
    """Bytes a token and prompts held, by policy. Empty for policies that are not there yet."""
    found = {}
    for name in options.order:
        folder = options.out / "policies" / name
        if not (folder / "config.json").is_file():
            continue
        config = HySparseConfig.from_pretrained(folder)
        sizes = [held(config, tokens, options.kv_bytes) for tokens in options.prompt_tokens]
        found[name] = {"bytes": options.kv_bytes, "bytes a token": token_bytes(config), "prompts held": sizes}
    return found


def cache_lines(cache: dict[str, Any]) -> list[str]:
    lines = [
        f"- {name}: {part['bytes'] / 1e9:.2f} GB of KV cache, {part['bytes a token']} bytes a token. By arithmetic, "
        f"the cache holds {part['prompts held'][1]:.1f} longest or {part['prompts held'][0]:.1f} shortest prompts."
        for name, part in cache.items()
    ]
    return [*lines, ""]


def speed_lines(runs: dict[str, list[Step]]) -> list[str]:
    """Tokens per second, prompts included, and seconds of each part, over all steps but the first of a process."""
    lines = ["## Speed, all steps but the first of a process", ""]
    lines.append(
        row(["policy", "steps", *(f"{part}, tokens/s" for part in RATES.values()), *(f"{p}, s" for p in PARTS)])
    )
    lines.append("|" + " --- |" * (2 + len(RATES) + len(PARTS)))
    for name, steps in runs.items():
        cells = [f"{rate(steps, part):.0f}" for part in RATES] + [f"{mean_seconds(steps, part):.2f}" for part in PARTS]
        lines.append(row([name, len(steps), *cells]))
    if len(runs) == 2:
        one, two = runs.values()
        ratios = [f"{part} {rate(one, key) / rate(two, key):.2f}" for key, part in RATES.items()]
        lines += ["", f"Tokens per second of {' over '.join(runs)}: {', '.join(ratios)}.", *paired_lines(runs)]
    return [*lines, ""]


def paired_lines(runs: dict[str, list[Step]]) -> list[str]:
    """Ratios with intervals over steps, behind the first step and behind the second, which may compile kernels too."""
    lines = []
    for left_out in (1, 2):
        found = pairs(*runs.values(), left_out)
        if len(found) > 1:
            steps = ", ".join(str(one.number) for one, _ in found)
            lines.append(row([steps, *(str(paired_rate(found, part)) for part in RATES)]))
    heading = row(["steps", *RATES.values()])
    told = f"The same with intervals of 95 % over steps of one number, checkpoints left out ({' over '.join(runs)}):"
    return ["", told, "", heading, "|" + " --- |" * (1 + len(RATES)), *lines] if lines else []


def step_table(name: str, steps: list[Step]) -> str:
    lines = [f"## {name}, by step", ""]
    lines.append(
        row(["step", "clock, s", "reward", "interval", "response tokens", "tokens", *(f"{p}, s" for p in PARTS)])
    )
    lines.append("|" + " --- |" * (6 + len(PARTS)))
    for step in steps:
        cells = [step.number, f"{step.clock:.1f}", f"{step.reward:.3f}", f"{step.low:.2f} to {step.high:.2f}"]
        cells += [f"{step.response_tokens:.1f}", f"{step.tokens:.0f}"]
        lines.append(row([*cells, *(f"{step.seconds[part]:.2f}" for part in PARTS)]))
    return "\n".join([*lines, ""])


def row(cells: list[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
