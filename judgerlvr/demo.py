"""Train both stages and vanilla RLVR on a tiny model, evaluate, and write a report.

python -m judgerlvr.demo [--model qwen3_moe] [--out DIR]
"""

from __future__ import annotations

import sys

from judgerlvr.experiments.demo import main

if __name__ == "__main__":
    sys.exit(main())
