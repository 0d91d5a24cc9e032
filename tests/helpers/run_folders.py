"""Run folders written by the product's own writers."""

import json
import zipfile
from dataclasses import asdict

from judgerlvr.export.shards import RANK_KINDS, rank_file
from judgerlvr.export.whole import DATA_STATE
from judgerlvr.runs.checkpoints import SEAL, Plateau, Progress
from judgerlvr.runs.manifest import Manifest, Parent, write_manifest
from judgerlvr.runs.metrics import METRICS, StepRow, append_row

HEALTHY = {
    "response/accuracy": 0.5,
    "response/truncated": 0.0,
    "response/mean_tokens": 50.0,
    "response/all_zero": 0.0,
    "budget/generated_tokens": 100.0,
    "critic/score/mean": 0.5,
    "actor/entropy": 0.5,
    "actor/grad_norm": 0.1,
    "actor/pg_loss": 0.0,
    "training/rollout_probs_diff_mean": 1e-7,
    "judge/accepted": 0.5,
}


def step_row(step=1, stage="judge", seconds=None, **values):
    """A healthy training step. A name with / is given as a dict through ``values["more"]``."""
    more = values.pop("more", {})
    return StepRow(step, stage, 20.0 * step if seconds is None else seconds, HEALTHY | more)


def write_run_folder(folder, stage, rows, parent=None, **facts):
    """Manifest and metrics of a run. ``facts`` are further fields of Manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    origin = Parent(**parent) if parent else Parent()
    write_manifest(folder, Manifest(name=folder.name, stage=stage, parent=origin, **facts))
    for row in rows:
        append_row(folder / METRICS, row)


def write_checkpoint(checkpoint, step, tokens=100):
    """A sealed checkpoint of one rank, whose files are archives as torch's are, of a few bytes."""
    actor = checkpoint / "actor"
    actor.mkdir(parents=True)
    (actor / "fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 1}')
    for path in (*(rank_file(actor, kind, 1, 0) for kind in RANK_KINDS), checkpoint / DATA_STATE):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.pkl", "x" * 200)
    progress = Progress(step=step, generated_tokens=tokens, seconds=40.0, zero_steps=0, plateau=Plateau(0.5, 1, step))
    (checkpoint / SEAL).write_text(json.dumps(asdict(progress)))
