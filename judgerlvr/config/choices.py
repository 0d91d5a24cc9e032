"""Keys whose value is one of a few words."""

from __future__ import annotations

from enum import StrEnum


class Loss(StrEnum):
    grpo = "grpo"
    gspo = "gspo"


class Importance(StrEnum):
    token = "token"
    sequence = "sequence"


class Overlong(StrEnum):
    mask = "mask"
    penalty = "penalty"
    wrong = "wrong"


class View(StrEnum):
    solution = "solution"
    full_response = "full_response"


class Extraction(StrEnum):
    strict = "strict"
    lenient = "lenient"


class Recompute(StrEnum):
    auto = "auto"
    all = "all"
    attention = "attention"
    none = "none"


class TrainerMode(StrEnum):
    """verl's names."""

    sync = "sync"
    colocate_async = "colocate_async"
    separate_async = "separate_async"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Action(StrEnum):
    stop = "stop"
    warn = "warn"
