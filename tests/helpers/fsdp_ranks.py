"""Gloo ranks on the CPU that train a tiny policy by FSDP2 and save in verl's layout."""

import os
import random
import shutil
from pathlib import Path

import numpy
import torch
from torch import distributed, multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from judgerlvr.config.load import ROOT

# Two or three ranks get uneven parts of the vocabulary and the experts, three of the hidden size too.
SHAPE = {
    "vocab_size": 385,
    "hidden_size": 40,
    "intermediate_size": 51,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 28}
# A new interpreter spends six processor seconds on these imports. A fork of a process with the libraries spends none.
METHOD = "forkserver"
LIBRARIES = [
    "torch.distributed.fsdp",
    "torch._dynamo",
    "transformers.models.auto.modeling_auto",
    "transformers.models.qwen3.modeling_qwen3",
    "transformers.models.qwen3_moe.modeling_qwen3_moe",
    "tensordict",
    "datasets",
    "hydra",
    "peft",
]
TOKENIZER = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"


def write_base(folder: Path, family="qwen3_moe", dtype=torch.bfloat16, **changes) -> Path:
    """A base with random weights and the tiny world's tokenizer; two KV heads."""
    torch.manual_seed(0)
    kind = {"qwen3": (Qwen3Config, Qwen3ForCausalLM), "qwen3_moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM)}[family]
    shape = SHAPE | (EXPERTS if family == "qwen3_moe" else {}) | {"tie_word_embeddings": True} | changes
    model = kind[1](kind[0](**shape)).to(dtype)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(TOKENIZER / name, folder / name)
    return folder


def run_ranks(world: int, function, *arguments) -> None:
    """``function(rank, world, *arguments)`` in ``world`` processes of one gloo group."""
    store = Path(os.environ.get("TMPDIR", "/tmp")) / f"gloo-{os.getpid()}-{random.getrandbits(64):x}"
    try:
        fork(_rank, (world, store, function, arguments), world)
    finally:
        store.unlink(missing_ok=True)


def fork(function, arguments: tuple, processes: int) -> None:
    """``function(number, *arguments)`` in forks of one server that has imported the libraries, once a test run."""
    multiprocessing.get_context(METHOD).set_forkserver_preload(LIBRARIES)
    multiprocessing.start_processes(function, arguments, processes, start_method=METHOD)


def _rank(rank, world, store, function, arguments):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", store=distributed.FileStore(str(store), world), rank=rank, world_size=world)
    try:
        function(rank, world, *arguments)
    finally:
        distributed.destroy_process_group()


def sharded(base: Path, world: int):
    """(model, optimiser, scheduler) as verl builds them: float32, a group a layer, one mesh dimension."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    mesh = init_device_mesh("cpu", (world,), mesh_dim_names=("fsdp",))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


def train(model, optimizer, scheduler, steps=2):
    for step in range(steps):
        ids = torch.arange(step, step + 12)[None] * 7 % 380
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()


def save(folder: Path, rank, world, model, optimizer, scheduler):
    """The files of verl's ``FSDPCheckpointManager.save_checkpoint``."""
    folder.mkdir(parents=True, exist_ok=True)
    random_state = {
        "cpu": torch.get_rng_state(),
        "numpy": numpy.random.get_state(),
        "random": random.getstate(),
    }
    extra = {"lr_scheduler": scheduler.state_dict(), "rng": random_state}
    for kind, state in (("model", model.state_dict()), ("optim", optimizer.state_dict()), ("extra_state", extra)):
        torch.save(state, folder / f"{kind}_world_size_{world}_rank_{rank}.pt")


def train_and_save(rank, world, base, folder):
    parts = sharded(base, world)
    train(*parts)
    save(folder, rank, world, *parts)


def make_checkpoint(run: Path, base: Path, world: int, dtype="float32") -> Path:
    """A sealed checkpoint of a run folder, trained by ``world`` ranks."""
    checkpoint = run / "checkpoints" / "global_step_2"
    run_ranks(world, train_and_save, base, checkpoint / "actor")
    (checkpoint / "COMPLETE.json").write_text("{}")
    (run / "verl.yaml").write_text(
        "actor_rollout_ref:\n"
        f"  model: {{path: {base}, trust_remote_code: false}}\n"
        f"  rollout: {{dtype: {dtype}, engine_kwargs: {{vllm: {{}}}}}}\n"
    )
    return checkpoint
