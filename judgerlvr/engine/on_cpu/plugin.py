"""Entry point ``verl.plugins``: packed attention for transformers, and verl on a machine without accelerator.

verl swallows an exception raised here, so this module decides nothing. ``preflight`` checks the outcome in the driver
and in each worker.
"""

from __future__ import annotations

from judgerlvr.cluster.environment import on_cpu

# An exported configuration may name the attention, so every process of verl knows the name.
from judgerlvr.engine.policy_passes import packed_attention  # noqa: F401  (registers itself)

if on_cpu():
    from judgerlvr.engine.on_cpu import cpu_platform  # noqa: F401  (registers itself)
    from judgerlvr.engine.private.gloo import use_plain_gloo

    use_plain_gloo()
