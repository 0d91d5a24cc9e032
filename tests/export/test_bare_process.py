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
from judgerlvr.hysparse.model.remote_code import MODULES, flat_name
from tests.helpers.fsdp_ranks import write_base

BASES = ROOT / "judgerlvr" / "tinyworld" / "base"
KINDS = ["qwen3", "qwen3_moe", "untied", "hysparse_moe"]
# The model that brings code comes last, so that three models load in a process without any code of this project.
LOADER = """
    import sys
    sys.modules["judgerlvr"] = None  # any import of the package now fails
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(1)
    question = [{"role": "user", "content": "1+1?"}]
    ids = torch.arange(3, 23)[None]
    for folder in sys.argv[1:]:
        own_code = folder.endswith("hysparse_moe/policy")
        model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=own_code).eval()
        text = AutoTokenizer.from_pretrained(folder).apply_chat_template(question, tokenize=False)
        assert "<|im_start|>user" in text
        assert model.config.use_cache is True
        with torch.no_grad():
            torch.save((model(ids).logits, str(model.dtype)), folder + "/logits.pt")
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


def export(kind, folder):
    """(trained model, the folder of the export)."""
    base = base_of(kind, folder)
    model, checkpoint = trained_state(base), folder / "run" / "checkpoints" / kind
    (checkpoint / "actor").mkdir(parents=True)
    torch.save(model.state_dict(), checkpoint / "actor" / "model_world_size_1_rank_0.pt")
    verl = {"model": {"path": str(base), "trust_remote_code": False}, "rollout": {"dtype": "float32"}}
    (folder / "run" / "verl.yaml").write_text(json.dumps({"actor_rollout_ref": verl}))
    return model, export_policy(checkpoint).folder


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """By kind: the trained model and the folder of the export, each loaded by one process without the package."""
    folder = tmp_path_factory.mktemp("bare")
    made = {kind: export(kind, folder / kind) for kind in KINDS}
    command = [sys.executable, "-I", "-c", textwrap.dedent(LOADER), *(str(policy) for _, policy in made.values())]
    environment = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_export_loads_without_the_package(loaded, kind):
    model, policy = loaded[kind]
    logits, dtype = torch.load(policy / "logits.pt")
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
