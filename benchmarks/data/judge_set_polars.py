"""The steps of a judge set as one polars query, a lower bound of what such a set costs.

Polars is no dependency of the product. Install polars in a separate environment, with the checkout on PYTHONPATH.
The query reads, finds the last box and compares texts. The query then drops repeated responses and balances.
At the end the query renders both splits. Grader, decontamination, tokenizer and card are missing.

    python -m benchmarks.data.judge_set_polars RESPONSES.jsonl OUT_DIR
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import polars as pl

HELDOUT = 500
TEMPLATE = Path(__file__).resolve().parents[2] / "configs" / "prompts" / "judge.txt"


def judge_set(source: Path, out: Path) -> dict[str, int]:
    """Write both splits, and return their rows."""
    out.mkdir(parents=True, exist_ok=True)
    answer = pl.col("response").str.extract_all(r"\\boxed\{([^{}]*)\}").list.last()
    answer = answer.str.strip_prefix("\\boxed{").str.strip_suffix("}").str.strip_chars()
    rows = (
        pl.scan_ndjson(source)
        .with_columns(right=answer == pl.col("answer").str.strip_chars())
        .filter(pl.col("right").is_not_null())
        .unique(["problem", "response"], keep="first", maintain_order=True)
        .with_columns(order=pl.struct("problem", "response").hash(0))
    )
    classes = pl.min_horizontal(pl.col("right").sum().over("problem"), (~pl.col("right")).sum().over("problem"))
    balanced = (
        rows.with_columns(smaller=classes)
        .filter(pl.col("smaller") > 0)
        .filter(pl.col("order").rank("ordinal").over("problem", "right") <= pl.col("smaller"))
        .with_columns(place=pl.col("problem").hash(1).rank("dense"))
    )
    before, _, after = TEMPLATE.read_text(encoding="utf-8").partition("{{problem}}")
    middle, _, end = after.partition("{{response}}")
    parts = [pl.lit(before), pl.col("problem"), pl.lit(middle), pl.col("response"), pl.lit(end)]
    rendered = balanced.with_columns(prompt=pl.concat_str(parts)).collect(engine="streaming")
    counts = {}
    for name, part in (("heldout", pl.col("place") <= HELDOUT), ("train", pl.col("place") > HELDOUT)):
        chosen = rendered.filter(part).select("prompt", "right", "model", "problem")
        chosen.write_parquet(out / f"{name}.parquet")
        counts[name] = chosen.height
    return counts


def main() -> int:
    source, out = map(Path, sys.argv[1:3])
    started = time.monotonic()
    counts = judge_set(source, out)
    seconds = os.times()
    print(
        json.dumps(
            {
                "polars": pl.__version__,
                "rows": counts,
                "processor seconds": round(seconds.user + seconds.system, 1),
                "wall seconds": round(time.monotonic() - started, 1),
                "peak GiB": round(int(_status("VmHWM")) / 2**20, 3),
            }
        )
    )
    return 0


def _status(name: str) -> str:
    """A figure of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(name)).split()[1]


if __name__ == "__main__":
    sys.exit(main())
