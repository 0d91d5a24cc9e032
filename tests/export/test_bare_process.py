"""An export loads where this package cannot be imported, with plain transformers, and computes what was trained."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
import torch
from transformers import AutoModelForCausalLM

from judgerlvr.config.load import ROOT
from judgerlvr.export.carried import carry
from judgerlvr.export.policy import export_policy
from judgerlvr.hysparse.remote_code import MODULES, flat_name
from tests.helpers.fsdp_ranks import write_base

BASES = ROOT / "judgerlvr" / "tinyworld" / "base"
LOADER = """
    import sys
    sys.modules["judgerlvr"] = None  # any import of the package now fails
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    folder, out = sys.argv[1:]
    torch.set_num_threads(1)
    own_code = folder.endswith("hysparse_moe/policy")
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=own_code).eval()
    question = [{"role": "user", "content": "1+1?"}]
    text = AutoTokenizer.from_pretrained(folder).apply_chat_template(question, tokenize=False)
    assert "<|im_start|>user" in text
    assert model.config.use_cache is True
    ids = torch.arange(3, 23)[None]
    with torch.no_grad():
        torch.save((model(ids).logits, str(model.dtype)), out)
    assert model.generate(ids, max_new_tokens=2, do_sample=False).shape[1] > 20
"""


def base_of(kind, folder):
    if kind == "untied":
        return write_base(folder / "base", "qwen3", tie_word_embeddings=False)
    return BASES / kind


def trained_state(base):
    """The base's model with every weight moved."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    return model


@pytest.mark.parametrize("kind", ["qwen3", "qwen3_moe", "untied", "hysparse_moe"])
def test_export_loads_without_the_package(tmp_path, kind):
    base = base_of(kind, tmp_path)
    model, checkpoint = trained_state(base), tmp_path / "run" / "checkpoints" / kind
    (checkpoint / "actor").mkdir(parents=True)
    torch.save(model.state_dict(), checkpoint / "actor" / "model_world_size_1_rank_0.pt")
    verl = {"model": {"path": str(base), "trust_remote_code": False}, "rollout": {"dtype": "float32"}}
    (tmp_path / "run" / "verl.yaml").write_text(json.dumps({"actor_rollout_ref": verl}))
    policy, out = export_policy(checkpoint).folder, tmp_path / "logits.pt"
    command = [sys.executable, "-I", "-c", textwrap.dedent(LOADER), str(policy), str(out)]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    logits, dtype = torch.load(out)
    with torch.no_grad():
        expected = model(torch.arange(3, 23)[None]).logits
    assert dtype == "torch.float32"
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_hysparse_export_carries_its_code_and_no_other(tmp_path):
    carry(BASES / "hysparse_moe", tmp_path, torch.float32)
    assert {path.name for path in tmp_path.glob("*.py")} == {f"{flat_name(module)}.py" for module in MODULES}
    assert "auto_map" in json.loads((tmp_path / "config.json").read_text())


def test_weights_of_any_format_and_the_bases_card_stay_behind(tmp_path):
    base, export = tmp_path / "base", tmp_path / "export"
    shutil.copytree(BASES / "qwen3", base)
    export.mkdir()
    for name in ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.safetensors.index.json", ".gitattributes"):
        (base / name).touch()
    for name in ("vocab.json", "merges.txt", "modeling_own.py", "LICENSE"):
        (base / name).touch()
    (base / "additional_chat_templates").mkdir()
    (base / "additional_chat_templates" / "tool.jinja").touch()
    carry(base, export, torch.bfloat16)
    kept = {"chat_template.jinja", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    more = {"vocab.json", "merges.txt", "modeling_own.py", "LICENSE", "additional_chat_templates"}
    assert {path.name for path in export.iterdir()} == kept | more
    assert (export / "additional_chat_templates" / "tool.jinja").exists()
