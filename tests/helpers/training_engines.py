"""Training engines on the CPU without Ray, for small policies with random weights, ours and verl's own in turn."""

import json
import os
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.stages.engine_speed.whole_logits import whole_logits as whole_logits
from judgerlvr.cluster.environment import environment
from judgerlvr.config.load import load_config
from judgerlvr.engine.devices import RECOMPUTE, SHARE_PREFIXES, recompute, shares_prefixes
from judgerlvr.engine.verl_config import render
from judgerlvr.runs.stage import Stage
from tests.helpers.ports import free_port

TOKENIZER = Path("judgerlvr/tinyworld/base/qwen3")
VOCABULARY = 384
ATTENTION = {"hidden_size": 64, "head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
COMMON = ATTENTION | {"vocab_size": VOCABULARY, "intermediate_size": 96, "num_hidden_layers": 2}
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}
POLICIES = {
    "qwen3": COMMON | {"model_type": "qwen3", "tie_word_embeddings": False},
    "qwen3-tied": COMMON | {"model_type": "qwen3", "tie_word_embeddings": True},
    "qwen3_moe": COMMON | EXPERTS | {"model_type": "qwen3_moe", "tie_word_embeddings": False},
    "qwen3_moe-mixed": COMMON | EXPERTS | {"model_type": "qwen3_moe", "num_hidden_layers": 3, "mlp_only_layers": [1]},
}


@contextmanager
def one_process():
    """verl on the CPU, in a group of this process alone."""
    with patch.dict(os.environ, environment("cpu", 1.0)):
        from judgerlvr.engine.on_cpu import plugin  # noqa: F401  (verl's platform)

        address = f"tcp://127.0.0.1:{free_port()}"
        torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()


def write_policy(model, folder):
    """A model folder, with a tokenizer that nothing here uses."""
    from transformers import AutoTokenizer

    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)


def plain_policy(name, folder):
    """Random weights large enough that routers and attention prefer something."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = dict(POLICIES[name])
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(shape.pop("model_type"), **shape))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0, 0.08)
    write_policy(model, folder)
    return model


def make_engine(folder, vendor, overrides=(), device="cpu"):
    """The engine that a stage of the product has for the policy in ``folder``."""
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.engine import EngineRegistry

    files = {name: folder / f"{name}.parquet" for name in ("train", "heldout")}
    config = load_config("configs/tiny.yaml", ["generate.optimizer.lr=1e-9", *overrides])
    stage = Stage(
        "generate", config, folder, folder, **files, device=device, prompts_per_step=32, reward_function="a:b"
    )
    actor_config = render(stage).actor_rollout_ref
    actor = omega_conf_to_dataclass(actor_config.actor)
    actor.model_config = omega_conf_to_dataclass(actor_config.model)
    actor.model_config.model_type = "language_model"
    actor.optim.total_training_steps = 10
    told = {"VERL_ENGINE_VENDOR": vendor, RECOMPUTE: recompute(stage).value}
    told[SHARE_PREFIXES] = str(shares_prefixes(stage))
    with patch.dict(os.environ, told):
        engine = EngineRegistry.new(
            model_type="language_model",
            backend="fsdp2",
            model_config=actor.model_config,
            engine_config=actor.engine,
            optimizer_config=actor.optim,
            checkpoint_config=actor.checkpoint,
        )
        engine.initialize()
    return engine


def nested(rows):
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def batch_of(lengths, budget=64, carried=None, seed=7, **flags):
    """Packed sequences of random tokens; several micro-batches where ``budget`` tokens hold not all of them."""
    draw = torch.Generator().manual_seed(seed)
    sequences = [torch.randint(0, VOCABULARY, (length,), generator=draw) for length in lengths]
    return batch_from(sequences, budget, carried, **flags)


def batch_from(sequences, budget, carried=None, **flags):
    """Packed sequences [tokens]; several micro-batches where ``budget`` tokens hold not all of them."""
    from verl.utils import tensordict_utils as tu

    lengths = [len(sequence) for sequence in sequences]
    rows = {
        "input_ids": nested(sequences),
        "position_ids": nested([torch.arange(length) for length in lengths]),
        "loss_mask": nested([torch.ones(length) for length in lengths]),
    }
    if carried is not None:
        rows["routed_experts"] = nested(carried)
    settings = {
        "use_remove_padding": True,
        "use_dynamic_bsz": True,
        "max_token_len_per_gpu": budget,
        "micro_batch_size_per_gpu": None,
        "use_fused_kernels": False,
        "calculate_entropy": True,
        "temperature": 1.0,
        "global_batch_size": len(lengths),
        "pad_mode": "no_padding",
    }
    return tu.get_tensordict(rows, settings | flags)


def loss(model_output, data, dp_group=None):
    """Each token counts differently, and what follows a sample's last token does not count."""
    found = model_output["log_probs"].values()
    weights = torch.linspace(-1, 1, len(found), device=found.device)
    weights[model_output["log_probs"].offsets()[1:] - 1] = 0
    return (found.float() * weights).sum() / 32, {}


def log_probs_of(engine, batch):
    """What the pass without gradients gives: nested values by name."""
    with engine.eval_mode(disable_auto_offload=True):
        return engine.infer_batch(batch, loss_function=None)["model_output"]


def gradients_of(engine, batch):
    """(gradient of each parameter by name, norm of all) of one update, whose learning rate is 0.

    Of ranks that share tokens, verl tells the norm to the first alone.
    """
    with engine.train_mode(disable_auto_offload=True):
        output = engine.train_batch(batch, loss_function=loss)
        parts = {name: part.grad for name, part in engine.module.named_parameters() if part.grad is not None}
        found = {name: grad.full_tensor().clone() for name, grad in parts.items()}
    return found, output["metrics"].get("grad_norm")


def read_json(path):
    return json.loads(path.read_text())
