"""RL on prompts of 16k to 32k tokens: a `small` HySparse policy against its full-attention twin, at equal memory.

    python -m benchmarks.hysparse.long_rl.run OUT [--tiny] [--seconds 460] [key=value ...]

Both policies learn long recall (`task.py`) side by side, and are brought to equal accuracy (`equal.py`). Stage 2 then
trains each policy through the product's command, one after the other, with the same keys, seeds and bytes of KV cache.
OUT/long-rl.md and OUT/long-rl.json give tokens per second, and reward over wall-clock time. A second call with the same
OUT goes on. Given keys go to both stages.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.hysparse.long_rl.equal import equalise
from benchmarks.hysparse.long_rl.options import parse_arguments
from benchmarks.hysparse.long_rl.record import write_record
from benchmarks.hysparse.long_rl.stages import Stages, write_problems


def train_policies(names: list[str], out_arguments: list[str], trained: list[bool]) -> None:
    """SFT of the policies that are not there yet, side by side. Raises RuntimeError if one fails."""
    module = [sys.executable, "-m", "benchmarks.hysparse.long_rl.sft"]
    left = [name for name, done in zip(names, trained, strict=True) if not done]
    running = [(name, subprocess.Popen([*module, name, *out_arguments])) for name in left]
    if failed := [name for name, process in running if process.wait()]:
        raise RuntimeError(f"SFT failed: {', '.join(failed)}")


def main() -> int:
    begun, options = time.monotonic(), parse_arguments((__doc__ or "").split("\n")[0])
    options.out.mkdir(parents=True, exist_ok=True)
    write_problems(options)
    there = [(options.out / "sft" / name / "sft.json").is_file() for name in options.order]
    train_policies(options.order, sys.argv[1:], there)
    equalise(options)
    stages = Stages(options, begun)
    try:
        stages.all()
    finally:
        write_record(options, stages.lines, time.monotonic() - begun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
