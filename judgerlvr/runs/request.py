"""The request for a stage: everything that the command line, a notebook or an experiment asks for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from judgerlvr.config.schema import Config, GenerateStage, JudgeStage, Kind
from judgerlvr.runs.stage import DATA, Stage


class Place(Protocol):
    """Where work runs: a Request before a stage is prepared, a Stage afterwards."""

    @property
    def config(self) -> Config: ...

    @property
    def device(self) -> Literal["cpu", "gpu"]: ...

    @property
    def ray_address(self) -> str | None: ...


@dataclass(frozen=True)
class Request:
    """One stage to run.

    ``init`` is the directory of the starting policy and ``link`` the name of the finished policy.
    ``ray_address`` is a running cluster, or None for a private cluster on this machine.
    """

    kind: Kind
    config: Config
    init: Path
    link: Path
    device: Literal["cpu", "gpu"]
    ray_address: str | None = None

    @property
    def settings(self) -> JudgeStage | GenerateStage:
        return self.config.settings(self.kind)

    @property
    def folder(self) -> Path:
        """The run folder that the configuration names. It may not exist yet."""
        return Path(self.config.runs) / (self.config.name or self.kind)


def default_link(kind: Kind) -> Path:
    """Name of a finished policy where the command gives none."""
    return Path("ckpt") / kind


def make_stage(request: Request, run_dir: Path, prompts_per_step: int, **facts: Any) -> Stage:
    """The stage of a request whose data has been written. ``facts`` are further fields of ``Stage``."""
    return Stage(
        kind=request.kind,
        config=request.config,
        run_dir=run_dir,
        init=request.init,
        train=run_dir / DATA / "train.parquet",
        heldout=run_dir / DATA / "heldout.parquet",
        device=request.device,
        prompts_per_step=prompts_per_step,
        ray_address=request.ray_address,
        **facts,
    )
