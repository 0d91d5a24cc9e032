"""RL on prompts of 16k to 32k tokens: a `small` HySparse policy against its full-attention twin, at equal KV cache.

    python -m benchmarks.hysparse.long_rl.run OUT [--tiny] [--seconds 460] [key=value ...]

Both policies learn long recall (`task.py`) side by side, up to one accuracy (`landing.py`). Stage 2 then
trains each policy through the product's command, with the same keys, seeds and bytes of KV cache. HySparse's engine
sets aside 1.875 GiB more for its prefill (`prefill_reserve`), and the twin's engine sets none aside. Both stages start
at once and step in turn (`turns.py`), or with --apart one after the other. OUT/long-rl.md and OUT/long-rl.json give
tokens per second, accuracies before and after RL (`equal.py`), and reward over wall-clock time. A second call with
the same OUT goes on, and with `--seconds 0` writes the record alone. Given keys go to both stages.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.hysparse.long_rl.equal import measure_after, publish
from benchmarks.hysparse.long_rl.options import parse_arguments
from benchmarks.hysparse.long_rl.policy import POLICIES
from benchmarks.hysparse.long_rl.record import write_record
from benchmarks.hysparse.long_rl.stages import Stages, write_problems


def trained(options: argparse.Namespace) -> list[str]:
    return [name for name in options.order if (options.out / "sft" / name / "sft.json").is_file()]


def train_policies(options: argparse.Namespace) -> None:
    """SFT of the policies that are not there yet, side by side. A process that fails is reported and left out."""
    module = [sys.executable, "-m", "benchmarks.hysparse.long_rl.sft"]
    left = [name for name in options.order if name not in trained(options)]
    running = [(name, subprocess.Popen([*module, name, *sys.argv[1:]])) for name in left]
    for name, process in running:
        if code := process.wait():
            print(f"SFT of {name} failed with exit code {code}", flush=True)


def main() -> int:
    begun, options = time.monotonic(), parse_arguments((__doc__ or "").split("\n")[0])
    options.out.mkdir(parents=True, exist_ok=True)
    write_problems(options)
    train_policies(options)
    options.order = trained(options)
    stages = Stages(options, begun)
    try:
        publish(options)
        stages.all()
        measure_after(options)
    finally:
        write_record(options, stages.lines, time.monotonic() - begun)
    return 0 if len(options.order) == len(POLICIES) else 1


if __name__ == "__main__":
    sys.exit(main())
