"""Proof that an export is what the ranks saved, by other means than the writer's.

The writer joins shards and lets transformers rename and split. The proof never joins: each rank's part is laid over
the export where FSDP's rule and the names of Qwen3-MoE's experts put the part, and compared bit by bit.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from judgerlvr.export.errors import ExportMismatch
from judgerlvr.export.layout import CHUNK, Box, held_by, whole_box
from judgerlvr.export.shards import Shards, local_tensor
from judgerlvr.export.tensors import Tensors
from rewards.wording import agreeing, counted

EXPERT = re.compile(r"(?P<layer>.+\.experts)\.(?P<expert>\d+)\.(?P<part>gate|up|down)_proj\.weight")
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Target:
    """An export tensor and where it lies in the trainer's tensor."""

    name: str
    box: Box
    is_expert: bool = False

    def slices(self, box: Box) -> list[slice]:
        """``box``, given in indices of the trainer's tensor, in indices of the export's."""
        return box.within(self.box)[1 if self.is_expert else 0 :]


def prove(export: Path, shards: Shards, dtype: torch.dtype) -> int:
    """Match each element of each rank with one element of the export; returns the number of the export's elements.

    Raises:
        ExportMismatch: naming the tensor, of the export or of the trainer, and what is wrong.
    """
    tensors = Tensors(export)
    tied = json.loads((export / "config.json").read_text(encoding="utf-8")).get("tie_word_embeddings", False)
    targets = _targets_by_source(tensors, shards)
    matched: Counter[str] = Counter()
    for source in shards.names:
        # A tied head is saved once, as the embedding, and is proved against the embedding.
        if source == HEAD and tied and HEAD not in tensors:
            _match(source, [Target(EMBEDDING, whole_box(shards.shape(HEAD)))], tensors, shards, dtype)
        else:
            matched += _match(source, targets.pop(source, []), tensors, shards, dtype)
    for name in tensors:
        if matched[name] != prod(tensors.shape(name)):
            raise ExportMismatch(
                f"{export}: {matched[name]} of {counted(prod(tensors.shape(name)), 'element')} of {name} found"
            )
    return matched.total()


def _targets_by_source(tensors: Tensors, shards: Shards) -> dict[str, list[Target]]:
    found: dict[str, list[Target]] = defaultdict(list)
    for name in tensors:
        source, target = _origin(name, tensors.shape(name))
        # A trainer that keeps experts apart has the export's own names.
        if name in shards.states[0]:
            source, target = name, Target(name, whole_box(tensors.shape(name)))
        if source not in shards.states[0]:
            raise ExportMismatch(f"{name} of the export has no source among the trainer's tensors")
        found[source].append(target)
    return found


def _origin(name: str, shape: tuple[int, ...]) -> tuple[str, Target]:
    """Trainer's tensor that an export's name stands for, and the place in the tensor.

    Experts lie one behind the other: ``gate_up_proj`` [experts, 2 * inner, hidden] has the gate's rows first,
    ``down_proj`` is [experts, hidden, inner].
    """
    match = EXPERT.fullmatch(name)
    if not match:
        return name, Target(name, whole_box(shape))
    expert, first = int(match["expert"]), shape[0] if match["part"] == "up" else 0
    box = Box((expert, first, 0), (expert + 1, first + shape[0], shape[1]))
    source = f"{match['layer']}.{'down_proj' if match['part'] == 'down' else 'gate_up_proj'}"
    return source, Target(name, box, is_expert=True)


def _match(source: str, targets: list[Target], tensors: Tensors, shards: Shards, dtype: torch.dtype) -> Counter[str]:
    """Elements of each target that a rank holds and that agree; copies are compared and not counted."""
    shape, matched = shards.shape(source), Counter[str]()
    if sum(target.box.size for target in targets) != prod(shape):
        raise ExportMismatch(f"the export has not every element of {source}, or has elements twice")
    for rank, value in enumerate(shards.values(source)):
        box, is_copy = held_by(value, rank)
        if local_tensor(value).shape != torch.Size(box.lengths):
            raise ExportMismatch(f"{source}: rank {rank} of {len(shards.states)} holds another part than FSDP gives it")
        for target in targets:
            common = box.common(target.box)
            for chunk in common.chunks(CHUNK):
                _compare(local_tensor(value), box, target, chunk, tensors, dtype, rank)
            # Copies are compared too, but an element counts once.
            matched[target.name] += 0 if is_copy else common.size
    return matched


def _compare(
    local: Tensor, held: Box, target: Target, chunk: Box, tensors: Tensors, dtype: torch.dtype, rank: int
) -> None:
    """Raise ExportMismatch where the rounded local part and the export differ in one bit."""
    if not chunk.size:
        return
    ours = local[tuple(chunk.within(held))] if local.ndim else local
    # Integer buffers keep their dtype in the export.
    ours = ours.to(dtype) if ours.is_floating_point() else ours
    theirs = tensors.part(target.name, target.slices(chunk))
    if ours.dtype != theirs.dtype:
        raise ExportMismatch(f"{target.name} is {theirs.dtype} in the export, {ours.dtype} needed")
    differing = _bits(ours) != _bits(theirs)
    if differing.any():
        number = int(differing.sum())
        verb = agreeing(number, "differs", "differ")
        raise ExportMismatch(f"{target.name}: {counted(number, 'element')} {verb} from what rank {rank} saved")


def _bits(values: Tensor) -> Tensor:
    """Bits, so that -0 and 0 differ and NaN equals itself."""
    return values.reshape(-1).view(BITS[values.itemsize])
