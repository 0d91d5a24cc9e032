"""An export is accepted only if transformers computes from it what the trainer computed."""

import json

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from judgerlvr.pipeline.export import ExportMismatch, check_export

PROMPT, RESPONSE = [1, 2, 3], [4, 5, 6, 7]


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint whose probe was computed by an independent forward of each prefix."""
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=10, num_key_value_heads=1, head_dim=8, **shape)).eval()
    model.save_pretrained(tmp_path / "actor" / "huggingface")
    log_probs = [
        model(input_ids=torch.tensor([PROMPT + RESPONSE[:place]])).logits[0, -1].log_softmax(-1)[token].item()
        for place, token in enumerate(RESPONSE)
    ]
    return tmp_path, log_probs


def write_probe(folder, precision, log_probs):
    sample = {"prompt_ids": PROMPT, "response_ids": RESPONSE, "log_probs": log_probs}
    (folder / "probe.json").write_text(json.dumps({"precision": precision, "samples": [sample]}))


def test_a_faithful_export_passes(checkpoint):
    folder, log_probs = checkpoint
    write_probe(folder, "fp32", log_probs)
    assert check_export(folder) < 1e-5


def test_in_fp32_one_token_off_is_refused(checkpoint):
    folder, log_probs = checkpoint
    write_probe(folder, "fp32", [log_probs[0] + 1e-3, *log_probs[1:]])
    with pytest.raises(ExportMismatch, match="log-probabilities differ"):
        check_export(folder)


def test_in_bf16_one_token_may_take_another_route(checkpoint):
    folder, log_probs = checkpoint
    write_probe(folder, "bf16", [log_probs[0] + 0.03, *log_probs[1:]])
    assert check_export(folder) == pytest.approx(0.03, abs=1e-4)


def test_in_bf16_one_token_far_off_is_refused(checkpoint):
    """A lost expert shows at few tokens; the mean over many would hide it."""
    folder, log_probs = checkpoint
    samples = [{"prompt_ids": PROMPT, "response_ids": RESPONSE, "log_probs": log_probs}] * 200
    samples.append(samples[0] | {"log_probs": [log_probs[0] + 1.5, *log_probs[1:]]})
    (folder / "probe.json").write_text(json.dumps({"precision": "bf16", "samples": samples}))
    with pytest.raises(ExportMismatch):
        check_export(folder)


def test_in_bf16_other_weights_are_refused(checkpoint):
    folder, log_probs = checkpoint
    write_probe(folder, "bf16", [value + 0.02 for value in log_probs])
    with pytest.raises(ExportMismatch):
        check_export(folder)
