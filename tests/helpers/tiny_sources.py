"""A folder with a tiny Qwen3 model, a tokenizer and texts, for the commands of a conversion."""

import json
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from data.jsonl import write_jsonl
from judgerlvr.hysparse.conversion.derived_files import copy_files
from judgerlvr.tinyworld.making.checkpoint import base_path

SIZES = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.2,
}
SHAPE = ["--select-block", "16", "--select-tokens", "16", "--window", "6"]


def write_source(folder: Path, dtype: torch.dtype = torch.bfloat16) -> Path:
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SIZES)).to(dtype).save_pretrained(folder)
    copy_files(base_path("qwen3"), folder)
    return folder


def write_texts(file: Path) -> Path:
    write_jsonl(file, [{"text": f"{n}+{n}=" * 20} for n in range(9)])
    return file


def searching(texts: Path) -> list[str]:
    return ["--search", str(texts), "--heldout", "3", "--length", "64", *SHAPE]


def distilling(texts: Path, *more: str) -> list[str]:
    steps = ["--steps", "1", "--rows", "2", "--device", "cpu"]
    return ["--texts", str(texts), "--heldout", "3", "--length", "64", *steps, *more]


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Bytes of every file below a folder, None for a folder or a link that leads nowhere."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))
    }


def leave_out(file: Path, *keys: str) -> None:
    """Take keys out of a JSON file."""
    kept = {name: value for name, value in json.loads(file.read_text()).items() if name not in keys}
    file.write_text(json.dumps(kept))
