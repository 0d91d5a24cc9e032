"""Processor seconds and peak memory of a judge set at any size, of generated labelled responses.

    python -m benchmarks.data.judge_set_size FOLDER --rows 1000000 [--characters N] [--code CHECKOUT]

The file is written once. A new process builds the judge set, and the tree of processes is watched.
``--code`` takes another checkout, and both checkouts are measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

WORDS = ("add", "the", "number", "of", "apples", "to", "that", "pears", "then", "divide", "by", "two", "which", "gives")
RESPONSES = 8
CHARACTERS, FILLERS = 1100, 2000
SETTINGS = ("data.contamination=drop", "judge.data.heldout_problems=500")


def write_responses(path: Path, rows: int, characters: int = CHARACTERS, seed: int = 0) -> None:
    """Problems with eight responses each, right with a chance that differs by problem."""
    draw = random.Random(seed)
    words = 240 * characters // CHARACTERS
    fillers = [" ".join(draw.choices(WORDS, k=words))[:characters] for _ in range(FILLERS * CHARACTERS // characters)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(-(-rows // RESPONSES)):
            first, second, rate = draw.randrange(10_000), draw.randrange(10_000), draw.choice((0.1, 0.3, 0.5, 0.7, 1))
            problem = (
                f"In town {number} a shop has {first} apples, and a second shop {second} streets away has {second} "
                f"pears. How many pieces of fruit do both shops have together on day {number % 365}?"
            )
            for sample in range(min(RESPONSES, rows - number * RESPONSES)):
                answer = first + second + (0 if draw.random() < rate else draw.randrange(1, 50))
                text = f"{draw.choice(fillers)} {number} {sample}. The answer is $\\boxed{{{answer}}}$."
                row = {
                    "id": number,
                    "problem": problem,
                    "answer": str(first + second),
                    "response": text,
                    "model": f"model-{sample % 4}",
                    "is_correct": answer == first + second,
                }
                file.write(json.dumps(row) + "\n")


def tree_memory(root: int) -> int:
    """Resident bytes of a process and all descendants, shared pages counted once per process (PSS)."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def measure(code: Path, source: Path, out: Path, characters: int = CHARACTERS) -> dict[str, object]:
    """One build with the code of a checkout: processor seconds with children, wall seconds, peak of the tree."""
    # The command leaves a set that is there alone.
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "judgerlvr.make_judge_data",
        str(out),
        f"judge.data.responses=[{source}]",
        *SETTINGS,
        # Every token has a byte or more, so that no response of this length is set aside.
        f"max_prompt_tokens={max(4096, 2 * characters)}",
        *(("judge.data.view=full_response",) if characters > CHARACTERS else ()),
    ]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    started, before, peak = time.monotonic(), os.times(), 0
    process = subprocess.Popen(command, cwd=code, env=environment, stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.5)
    said = process.stdout.read().splitlines() if process.stdout else []
    after = os.times()
    return {
        "code": str(code),
        "exit": process.returncode,
        "processor seconds": round(after[2] + after[3] - before[2] - before[3], 1),
        "wall seconds": round(time.monotonic() - started, 1),
        "peak GiB": round(peak / 2**30, 3),
        "steps": next((line for line in said if line.startswith("processor seconds")), ""),
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted((out / "data").glob("*.*"))
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.judge_set_size", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--characters", type=int, default=CHARACTERS, help="length of a response")
    parser.add_argument("--code", type=Path, action="append", default=[], help="another checkout, may be repeated")
    parser.add_argument("--repeat", type=int, default=1, help="builds of this checkout, compared to the bit")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    long = f"-{options.characters}" if options.characters != CHARACTERS else ""
    source = options.folder / f"responses-{options.rows}{long}.jsonl"
    if not source.exists():
        write_responses(source, options.rows, options.characters)
    here = Path(__file__).resolve().parents[2]
    print(json.dumps({"rows": options.rows, "bytes": source.stat().st_size}), flush=True)
    for number, code in enumerate([*options.code, *[here] * options.repeat]):
        print(json.dumps(measure(code, source, options.folder / f"out-{number}", options.characters)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
