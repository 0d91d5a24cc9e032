"""Entry point ``verl.plugins``: makes verl run on a CPU-only machine; does nothing unless VERL_PLATFORM=cpu.

verl swallows an exception raised here, so nothing is decided in this module: ``preflight`` checks the outcome
in the driver and in each worker.
"""

from __future__ import annotations

import os

if os.environ.get("VERL_PLATFORM") == "cpu":
    from judgerlvr.engine.on_cpu import (
        cpu_platform,  # noqa: F401  (both register themselves)
        packed_attention,  # noqa: F401  (both register themselves)
    )
    from judgerlvr.engine.private.gloo import use_plain_gloo

    use_plain_gloo()
