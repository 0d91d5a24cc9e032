"""Both stages and vanilla RLVR on a tiny model, evaluated, with a report (see ``experiments.demo``).

python -m judgerlvr.demo [--model qwen3_moe] [--out DIR]
"""

from __future__ import annotations

import sys

from judgerlvr.experiments.demo import main

if __name__ == "__main__":
    sys.exit(main())
