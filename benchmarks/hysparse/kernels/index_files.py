"""Files of a trained model's choices: all KV heads as a .pt file, and the first few KV heads as a small .zip file.

A .zip file holds `about.json` and a bit for each block and token of a head, `head-N.bits.bz2`. A causal model chooses
the same blocks for a prefix of its text, so the file of the longest context serves shorter contexts.
"""

from __future__ import annotations

import bz2
import functools
import hashlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from judgerlvr.hysparse.ops.selection import PADDING

SMALL, WHOLE = ".zip", ".pt"
ABOUT = "about.json"
# A repository takes a file of this size without large-file storage.
MOST_BYTES = 4_300_000
UNREADABLE = (
    zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, OSError, EOFError,
)  # fmt: skip


def alternating(layers: Tensor) -> Tensor:
    """Heads of [layers, 1, heads, tokens, count] as [1, heads * layers, tokens, count], the first heads of all layers
    in front.
    """
    return layers.transpose(0, 2).flatten(0, 2)[None]


def write_small(path: Path, indices: Tensor, block: int, told: dict[str, Any], most: int = MOST_BYTES) -> int:
    """Write the first heads of ``indices`` [1, heads, tokens, count], as many as ``most`` bytes hold, at least one.

    Rows lose their order and come back ascending, with the padding last. ``told`` says how the model was trained.
    Returns the number of heads. Equal choices give equal bytes.
    """
    _, all_heads, tokens, count = indices.shape
    heads = [packed(indices[0, 0], block)]
    for choices in indices[0, 1:]:
        head = packed(choices, block)
        if sum(map(len, heads)) + len(head) > most:
            break
        heads.append(head)
    about = {"block": block, "tokens": tokens, "count": count, "heads": len(heads), "of heads": all_heads, **told}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(zipfile.ZipInfo(ABOUT), json.dumps(about, indent=1) + "\n")
        for number, head in enumerate(heads):
            file.writestr(zipfile.ZipInfo(member(number)), head)
    return len(heads)


def member(head: int) -> str:
    return f"head-{head}.bits.bz2"


def packed(choices: Tensor, block: int) -> bytes:
    """A bit for each block and token of [tokens, count] choices, compressed. Blocks are rows, because runs compress."""
    tokens = len(choices)
    blocks = -(-tokens // block)
    mask = np.zeros((blocks + 1, tokens), dtype=bool)
    rows = choices.cpu().numpy()
    mask[np.where(rows == PADDING, blocks, rows), np.arange(tokens)[:, None]] = True
    return bz2.compress(np.packbits(mask[:blocks], axis=1).tobytes())


def unpacked(content: bytes, block: int, tokens: int, count: int) -> Tensor:
    """Choices int16 [tokens, count] of a head. ValueError for another number of bits."""
    bits = np.frombuffer(bz2.decompress(content), dtype=np.uint8).reshape(-(-tokens // block), -(-tokens // 8))
    # Few bytes hold a bit.
    rows, places = bits.nonzero()
    one, bit = np.unpackbits(bits[rows, places, None], axis=1).nonzero()
    token, chosen = 8 * places[one] + bit, rows[one]
    each = np.bincount(token, minlength=tokens)
    if len(each) > tokens or each.max(initial=0) > count:
        raise ValueError(f"{each.max(initial=0)} blocks a token of {len(each)}, stated {count} of {tokens}")
    order = token.argsort(kind="stable")
    token, chosen = token[order], chosen[order]
    found = np.full((tokens, count), PADDING, dtype=np.int16)
    found[token, np.arange(len(token)) - (each.cumsum() - each)[token]] = chosen
    return torch.from_numpy(found)


def read(path: Path) -> tuple[Tensor, dict[str, Any]]:
    """Choices [1, heads, tokens, count] and what the file tells of them. ValueError is one line about the file."""
    try:
        stamp = path.stat()
        return read_once(path, stamp.st_mtime_ns, stamp.st_size)
    except UNREADABLE as error:
        why = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{path}: no file of choices ({type(error).__name__}: {why}); "
            "benchmarks.hysparse.language and benchmarks.hysparse.kernels.overlap write such files"
        ) from None


@functools.lru_cache(maxsize=4)
def read_once(path: Path, changed: int, size: int) -> tuple[Tensor, dict[str, Any]]:
    """``read`` for a file as of ``changed``. Three contexts of a process read the file once."""
    return read_small(path) if path.suffix == SMALL else read_whole(path)


def read_small(path: Path) -> tuple[Tensor, dict[str, Any]]:
    with zipfile.ZipFile(path) as file:
        about = json.loads(file.read(ABOUT))
        sizes = about["block"], about["tokens"], about["count"]
        heads = [unpacked(file.read(member(number)), *sizes) for number in range(about["heads"])]
    return torch.stack(heads)[None], about


def read_whole(path: Path) -> tuple[Tensor, dict[str, Any]]:
    record = torch.load(path, map_location="cpu", weights_only=True)
    indices, block = record["indices"], record["block"]
    _, heads, tokens, count = indices.shape
    return indices, {"block": block, "tokens": tokens, "count": count, "heads": heads, **record.get("told", {})}


def stored(path: Path, context: int, kv_heads: int, block: int, device: str) -> Tensor:
    """A trained model's indices int32 [1, kv_heads, context, count] from a file of either kind.

    The first ``context`` tokens are taken. If the file has fewer KV heads, they are repeated. Raises ValueError for
    another block or a shorter text.
    """
    indices, about = read(path)
    if about["block"] != block or indices.shape[2] < context:
        raise ValueError(f"{path} holds {indices.shape[2]} tokens in blocks of {about['block']}")
    repeated = indices.repeat(1, -(-kv_heads // indices.shape[1]), 1, 1)
    return repeated[:1, :kv_heads, :context].int().to(device).contiguous()


def description(path: Path) -> str:
    """File, checksum, heads and seconds of training, for a table."""
    about, digest = read(path)[1], hashlib.sha256(path.read_bytes()).hexdigest()
    seconds = about.get("training seconds")
    trained = "training seconds not stated" if seconds is None else f"{seconds:.0f} s of training"
    return f"{path.name}, sha256 {digest}, KV heads in the file {about['heads']}, {trained}"


def refusals(paths: list[Path], block: int, count: int) -> list[str]:
    """A line for each file that is not of ``count`` blocks of ``block`` tokens, and for equal names."""
    names = [path.stem for path in paths]
    lines = [f"{path}: another file is called {path.stem} too" for path in paths if names.count(path.stem) > 1]
    for path in paths:
        try:
            about = read(path)[1]
        except ValueError as error:
            lines.append(str(error))
            continue
        if (about["block"], about["count"]) != (block, count):
            lines.append(f"{path} has --block {about['block']} --count {about['count']}, not {block} and {count}")
    return lines
