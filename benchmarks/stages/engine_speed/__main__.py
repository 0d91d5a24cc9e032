"""The training engine's two passes before and after, one card, one command.

    python -m benchmarks.stages.engine_speed OUT [--seconds 420] [--only moe|dense|tiny-moe|tiny-dense]
        [--loads "one of 65536"] [--variants product]

Before: verl's own engine as configured without flash-attn (sdpa, whole logits, recomputing). After: variants of ours.
Writes OUT/rows.jsonl and OUT/table.md after each measurement, the most important first, until the time is up.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START = time.monotonic()
for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
    os.environ.setdefault(name, value)
os.environ.setdefault("MASTER_PORT", "29533")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=420, help="no measurement begins later than this")
    parser.add_argument("--only", nargs="*", default=None, help="policies; default: moe dense (CPU: the tiny ones)")
    parser.add_argument("--loads", nargs="*", default=[], help="only these loads, by name")
    parser.add_argument("--variants", nargs="*", default=[], help="only these variants, by name")
    return parser.parse_args()


def wanted(policy: str, loads: list[str], variants: list[str]) -> Iterator[tuple[str, Any]]:
    """The plan's rows of these loads and variants. An empty list leaves nothing out."""
    for variant, load in plan(policy):
        if (not loads or load.name in loads) and (not variants or variant in variants):
            yield variant, load


def plan(policy: str) -> Iterator[tuple[str, Any]]:
    """(variant, load) in the order of what they decide."""
    from benchmarks.stages.engine_speed.measure import Load

    if policy.startswith("tiny"):
        small = Load("small", 1024, 64, 256, 512)
        yield from ((name, small) for name in ("before", "product", "product, no recompute", "plain", "fused", "rms"))
        return
    few = Load("4k, few", 32_768, 2048, 4096, 16_384)
    wide = Load("4k, 32k a pass", 131_072, 2048, 4096, 32_768)
    whole = Load("4k, 64k a pass", 131_072, 2048, 4096, 65_536)
    yield from (
        ("before", few),
        ("product", wide),
        ("compiled", wide),
        ("product, no recompute", wide),
        ("product", whole),
    )
    for tokens in (8192, 32_768, 65_536):
        one = Load(f"one of {tokens}", tokens, tokens, tokens, tokens)
        yield from ((name, one) for name in ("product", "before") if (name, tokens) != ("before", 65_536))
    yield from ((name, wide) for name in ("product, attention kept", "keep", "buckets", "plain", "fused", "rms"))
    yield from ((name, wide) for name in ("compiled-big", "compiled-add"))


class Record:
    """Rows on disk and a table of them."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.rows = out, list[dict[str, Any]]()

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        print(f"[{time.monotonic() - START:.0f} s] {json.dumps(row)}", flush=True)
        with (self.out / "rows.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        (self.out / "table.md").write_text(self.table())

    def table(self) -> str:
        columns = ["policy", "variant", "load", "log_prob_us", "update_us", "log_prob_mfu", "update_mfu"]
        columns += ["log_prob_peak_gib", "update_peak_gib", "grad_norm", "error"]
        lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        timed = [row for row in self.rows if "load" in row]
        lines += ["| " + " | ".join(str(row.get(name, "")) for name in columns) + " |" for row in timed]
        others = [json.dumps(row) for row in self.rows if "load" not in row]
        return "\n".join([*lines, "", *others, ""])


def bench(policy: str, rows: list[tuple[str, Any]], folder: Path, record: Record, seconds: float, device: str) -> None:
    """Measure the policy's plan. An error leaves FSDP in an unknown state, so a new engine follows."""
    from benchmarks.stages.engine_speed.measure import Load, Passes, compare, make_engine
    from benchmarks.stages.engine_speed.shapes import weights_from_nowhere, write_shape
    from benchmarks.stages.engine_speed.variants import VARIANTS, Switch

    model = write_shape(policy, folder / policy)
    tiny = policy.startswith("tiny")
    check = Load("check", 512 if tiny else 8192, 64 if tiny else 1024, 128 if tiny else 4096, 8192)
    first: dict[str, Any] = {}
    passes = switch = None
    for name, load in rows:
        if time.monotonic() - START > seconds:
            record.add({"policy": policy, "out of time before": f"{name}, {load.name}"})
            return
        if passes is None or switch is None:
            with weights_from_nowhere(device):
                engine = make_engine(model, load.budget)
            passes, switch = Passes(engine), Switch(engine)
        row: dict[str, Any] = {"policy": policy, "variant": name, "load": load.name}
        try:
            switch.to(VARIANTS[name])
            if not any(done.get("variant") == name and done["policy"] == policy for done in record.rows):
                numbers = passes.numbers(check)
                first = first or numbers
                row |= compare(numbers, first)
            row |= passes.measure(load)
        except (RuntimeError, ValueError, TypeError, AttributeError, ImportError, AssertionError) as error:
            row["error"] = f"{type(error).__name__}: {str(error)[:200]}"
            traceback.print_exc()
            passes = switch = None
            engine.module = engine.optimizer = None
            gc.collect()
        record.add(row)


def main() -> None:
    options = parse_arguments()
    import torch

    from judgerlvr.cluster.environment import environment

    cpu = not torch.cuda.is_available()
    os.environ.update(environment("cpu" if cpu else "gpu", 1.0))
    from judgerlvr.engine.devices import TRAINING

    os.environ["VERL_ENGINE_VENDOR"] = TRAINING
    if cpu:
        from judgerlvr.engine.on_cpu import plugin  # noqa: F401  (verl's platform)
    else:
        torch.cuda.set_device(0)
    torch.distributed.init_process_group("gloo" if cpu else "cpu:gloo,cuda:nccl")
    record = Record(options.out.absolute())
    card = "cpu" if cpu else torch.cuda.get_device_name()
    record.add({"card": card, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")})
    policies = options.only or (["tiny-moe", "tiny-dense"] if cpu else ["moe", "dense"])
    for number, policy in enumerate(policies):
        share = options.seconds * (number + 1) / len(policies)
        rows = list(wanted(policy, options.loads, options.variants))
        with tempfile.TemporaryDirectory() as folder:
            bench(policy, rows, Path(folder), record, share, "cpu" if cpu else "cuda")
        gc.collect()
        if not cpu:
            torch.cuda.empty_cache()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
