"""The machine that a plan is for: named in the configuration, or the machine at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.config.cards import CARDS, Card
from judgerlvr.config.schema import Planning
from judgerlvr.planning.constants import DEFAULT_CARD
from judgerlvr.runs.folder import nearest
from rewards.errors import InputError

GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """``card`` is a key of ``CARDS``. ``host_gib`` is the memory of a machine of the cluster, 0 where unknown.

    ``disk_gib`` is free where the run folders lie, 0 where unknown. ``network_gb_s`` is the network of a card.
    """

    card: str
    host_gib: float
    disk_gib: float
    network_gb_s: float

    @property
    def gpu(self) -> Card:
        return CARDS[self.card]


def machine_of(planning: Planning, runs: Path, device: str) -> Machine:
    """The machine that ``planning`` names. A value left out is the present machine's, where the stage would run here.

    The disk is the disk that holds the folder ``runs``.

    Raises:
        InputError: a card that the planner does not know.
    """
    names = visible_cards()
    here = device == "cpu" or bool(names)
    return Machine(
        card=_card(planning.card, names),
        host_gib=planning.host_gib or (host_gib() if here else 0.0),
        disk_gib=planning.disk_gib or (free_gib(runs) if here else 0.0),
        network_gb_s=planning.network_gb_s,
    )


def host_gib() -> float:
    """Memory of the present machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def free_gib(folder: Path) -> float:
    """GiB free on the disk of ``folder``, which need not exist yet."""
    return shutil.disk_usage(nearest(folder)).free / GIB


def _card(choice: str, names: str) -> str:
    if choice == "auto":
        # nvidia-smi prints a name like NVIDIA H100 80GB HBM3, which holds the key.
        return next((card for card in CARDS if card in names.lower()), DEFAULT_CARD)
    if choice not in CARDS:
        raise InputError(f"{choice!r}", f"use auto or one of {', '.join(CARDS)}", field="planning.card")
    return choice


def visible_cards() -> str:
    """Names of the present machine's cards, empty where there is none. Planning runs without torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
