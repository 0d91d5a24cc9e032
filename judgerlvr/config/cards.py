"""Cards that plans are made for, by their makers' data sheets."""

from __future__ import annotations

from typing import NamedTuple


class Card(NamedTuple):
    """``memory_gib`` is what CUDA offers. Memory bandwidth in TB/s and dense bfloat16 TFLOP/s are published."""

    memory_gib: float
    bandwidth_tb_s: float
    bf16_tflops: float


CARDS = {
    "a100": Card(79.1, 2.04, 312.0),
    "h100": Card(79.1, 3.35, 989.0),
    "h200": Card(139.8, 4.80, 989.0),
}
