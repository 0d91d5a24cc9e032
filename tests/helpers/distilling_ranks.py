"""Gloo ranks on the CPU that distil, and ways to kill ranks. Forks of one server spare all ranks the imports."""

import os
import signal
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

from accelerate import Accelerator, DistributedType, PartialState
from transformers import Trainer

from judgerlvr.hysparse.distill import main
from judgerlvr.hysparse.distillation import distiller
from judgerlvr.hysparse.distillation.checkpoints import Sealing
from judgerlvr.hysparse.distillation.distiller import Distiller, OneDevice
from tests.helpers.fsdp_ranks import LIBRARIES, METHOD
from tests.helpers.ports import free_port

PARTS = ["judgerlvr.hysparse.distillation.distillation", "judgerlvr.hysparse.ops.reference"]


class Ended(NamedTuple):
    """Exit code of each rank, and what all ranks wrote, rank by rank."""

    codes: list
    out: list
    err: list

    @property
    def errors(self):
        """Lines by which a command tells why it ended."""
        return [line for text in self.err for line in text.splitlines() if line.startswith(("error:", "failed:"))]


class Sharding(OneDevice):
    """The Trainer's settings with FSDP2, which the command chooses on GPUs alone.

    Accelerate shards on each kind of device but a CPU, so each process passes for one of another kind.
    """

    def __init__(self, **settings):
        super().__init__(**(settings | {"fsdp": True}))
        assert self.device.type == "cpu"
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_XPU


def power_fails():
    """Rank 0 is killed first, since the death of another rank is an error there. ``distil`` kills the others."""
    if os.environ["RANK"] != "0":
        time.sleep(60)
    dies()


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def power_cut_behind_a_checkpoint(rank):
    """In step 5, behind the checkpoint of step 4."""
    _before(Distiller, "compute_loss", lambda trainer: trainer.state.global_step == 4, power_fails)


def power_cut_within_a_checkpoint(rank):
    """While step 4 is stored: the weights are written, and no other file."""
    method = "_save_optimizer_and_scheduler"
    _before(Trainer, method, lambda trainer: trainer.state.global_step == 4, power_fails)


def power_cut_before_the_seal(rank):
    """All files of step 4 are there but for the seal."""
    honest = Sealing.on_save

    def cut(self, args, state, control, **named):
        if state.global_step == 4:
            power_fails()
        honest(self, args, state, control, **named)

    Sealing.on_save = cut


def rank_1_is_killed_before_the_first_step(rank):
    if rank == 1:
        _before(Distiller, "compute_loss", lambda trainer: True, dies)


def tells_gradient_norms(rank):
    """No fault: each step prints the norm before clipping, of which ranks with shards may hold a part each."""
    honest = Accelerator.clip_grad_norm_

    def telling(*given, **named):
        norm = honest(*given, **named)
        print("gradient norm", float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm), flush=True)
        return norm

    Accelerator.clip_grad_norm_ = telling


def _before(owner, method, is_time, end):
    honest = getattr(owner, method)

    def cut(trainer, *given, **named):
        return end() if is_time(trainer) else honest(trainer, *given, **named)

    setattr(owner, method, cut)


def distil(folder: Path, arguments, world=2, fault=None, sharded=False) -> Ended:
    """The command in ``world`` ranks. The first rank to fail ends the others, as by torchrun or as by a power cut."""
    folder.mkdir(parents=True, exist_ok=True)
    context = get_context(METHOD)
    context.set_forkserver_preload(LIBRARIES + PARTS)
    port = free_port()
    given = [(rank, world, port, folder, arguments, fault, sharded) for rank in range(world)]
    ranks = [context.Process(target=_rank, args=one) for one in given]
    for number, rank in enumerate(ranks):
        for name in ("out", "err"):
            (folder / f"{number}.{name}").touch()
        rank.start()
    _end_together(ranks)
    texts = [[(folder / f"{rank}.{name}").read_text() for rank in range(world)] for name in ("out", "err")]
    return Ended([rank.exitcode for rank in ranks], *texts)


def _end_together(ranks):
    left = list(ranks)
    while left:
        assert wait([rank.sentinel for rank in left], timeout=120), "the ranks hang"
        if any(rank.exitcode for rank in left):
            for rank in left:
                rank.kill() if ranks[0].exitcode == -signal.SIGKILL else rank.terminate()
        left = [rank for rank in left if rank.exitcode is None]


def _rank(rank, world, port, folder, arguments, fault, sharded):
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{rank}.{name}", os.O_WRONLY | os.O_TRUNC), number)
    # A fork of the server need not write to the server's own streams.
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
    os.environ.update({name: str(value) for name, value in (shared | numbers).items()})
    if sharded:
        distiller.OneDevice = Sharding
    if fault is not None:
        fault(rank)
    sys.exit(main(arguments))
