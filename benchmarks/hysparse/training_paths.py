"""The training engine's head against whole logits, for a HySparse policy and its full-attention twin.

    python -m benchmarks.hysparse.training_paths OUT [--policies small small-twin] [--rounds 5 | --draws 8]

Both paths train on one batch with given choices of blocks. The reference is the whole-logits path in float32. Printed
for each path: distances from the reference in float32 and in bfloat16, and microseconds a token in bfloat16. With
``--rounds`` the paths alternate in float32, and the processor seconds of each round are printed. With ``--draws`` the
distances in bfloat16 are measured for several random policies and batches, and nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.table import heading
from benchmarks.stages.engine_speed.whole_logits import whole_logits

# ``base``: the tiny HySparse policy that the product ships.
POLICIES = ("small", "small-twin", "tiny", "tiny-twin", "base", "base-twin")
SHIPPED = Path("judgerlvr/tinyworld/base/hysparse")
ONE_RANK = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29544"}
PATHS = ("whole logits", "head")
PASSES = (("log-prob", False), ("update", True))
REPEATS = 3


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--policies", nargs="*", choices=POLICIES, default=POLICIES[:2])
    parser.add_argument("--tokens", type=int, default=65_536, help="of the timed batch")
    parser.add_argument("--longest", type=int, default=4096, help="tokens of the longest sequence")
    parser.add_argument("--rounds", type=int, default=0, help="of processor seconds, in place of distances")
    parser.add_argument("--draws", type=int, default=0, help="of random weights, for distances in bfloat16 alone")
    return parser.parse_args()


def write_policy(name: str, folder: Path, seed: int = 1) -> Any:
    """Random weights in float32, logits of standard deviation 4, or the shipped weights. Returns the model."""
    from benchmarks.stages.engine_speed.shapes import BASE, spread
    from judgerlvr.hysparse.model.modeling import HySparseForCausalLM

    if name == "base":
        shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
        return HySparseForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(seed)
    shape = shape_of(name.removesuffix("-twin"))
    model = full_attention_twin(shape) if name.endswith("-twin") else HySparseForCausalLM(shape)
    if not shape.tie_word_embeddings:
        spread(model)
    model.save_pretrained(folder)
    for file in BASE.iterdir():
        if file.suffix in (".json", ".jinja") and "config" not in file.stem.replace("tokenizer_config", ""):
            (folder / file.name).write_bytes(file.read_bytes())
    return model


def shape_of(name: str) -> Any:
    """A preset's configuration, or the shipped policy's."""
    from judgerlvr.hysparse.model.config import HySparseConfig
    from judgerlvr.hysparse.model.presets import preset

    return HySparseConfig.from_pretrained(SHIPPED) if name == "base" else preset(name)


def full_attention_twin(shape: Any) -> Any:
    """Qwen3 of the same sizes."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names += ("num_key_value_heads", "head_dim", "max_position_embeddings", "rope_parameters", "tie_word_embeddings")
    return Qwen3ForCausalLM(Qwen3Config(**{name: getattr(shape, name) for name in names}))


def choices_of(model: Any, batch: Any, device: str) -> list[Tensor]:
    """The model's own choices in float32 for each sequence, as a sample carries them."""
    from judgerlvr.hysparse.replay.rollout_choices import carried_sizes, from_parameters, to_parameters

    model.to(device)
    uncrowded = carried_sizes(model.config).uncrowded
    found = []
    with torch.no_grad():
        for sequence in batch["input_ids"].unbind():
            output = model(sequence[None].to(device), output_blocks=True)
            computed = output.used_blocks[:, 0, :, :-1].permute(2, 0, 1, 3).to(torch.int16).cpu().numpy()
            parameters = to_parameters(computed[uncrowded:], len(computed))
            found.append(torch.tensor(from_parameters(parameters, len(sequence))))
    model.cpu()
    return found


class TrainingPath:
    """One engine in one precision, asked through the head or through whole logits."""

    def __init__(self, folder: Path, name: str, precision: str, budget: int) -> None:
        from benchmarks.stages.engine_speed.measure import make_engine
        from judgerlvr.engine.devices import COMPILE

        os.environ[COMPILE] = str(name == "head")
        self.engine, self.name = make_engine(folder, budget, precision), name

    def log_probs(self, batch: Any) -> Tensor:
        """Of all tokens behind one another, float32 on the host."""
        with self.asked(), self.engine.eval_mode(disable_auto_offload=True):
            found = self.engine.infer_batch(batch, loss_function=None)["model_output"]["log_probs"]
        return torch.cat([row.float().cpu() for row in found.unbind()])

    def gradient(self, batch: Any) -> Tensor:
        """Of all parameters behind one another, float32 on the host."""
        found: list[Tensor] = []
        self.update(batch, found)
        return torch.cat(found)

    def update(self, batch: Any, gradients: list[Tensor] | None = None) -> None:
        """One update, whose learning rate is next to 0. ``gradients`` takes those of all parameters."""
        from benchmarks.stages.engine_speed.measure import loss

        with self.asked(), self.engine.train_mode(disable_auto_offload=True):
            self.engine.train_batch(batch, loss_function=loss)
            if gradients is not None:
                parts = [part.grad for part in self.engine.module.parameters() if part.grad is not None]
                local = (getattr(part, "_local_tensor", part) for part in parts)
                gradients.extend(part.detach().float().cpu().flatten().clone() for part in local)

    def asked(self) -> Any:
        return whole_logits(self.engine) if self.name == PATHS[0] else nullcontext()

    def seconds(self, batch: Any, updating: bool) -> float:
        """The shortest of ``REPEATS`` passes after one that compiles."""
        from benchmarks.stages.engine_speed.measure import wait

        taken = []
        for _ in range(REPEATS + 1):
            wait()
            began = time.perf_counter()
            self.work(batch, updating)
            wait()
            taken.append(time.perf_counter() - began)
        return min(taken[1:])

    def processor_seconds(self, batch: Any, updating: bool) -> float:
        """Of all threads of this process in one pass."""
        began = time.process_time()
        self.work(batch, updating)
        return time.process_time() - began

    def work(self, batch: Any, updating: bool) -> None:
        if updating:
            self.update(batch)
        else:
            self.log_probs(batch)


def distances(found: Tensor, reference: Tensor) -> dict[str, float]:
    """Mean and largest difference, and the relative one in the Euclidean norm."""
    difference = (found - reference).abs()
    relative = float((found - reference).norm() / reference.norm())
    return {"mean": float(difference.mean()), "largest": float(difference.max()), "relative": relative}


Batches = dict[tuple[str, bool], Any]


def batches_for(
    policy: str, folder: Path, options: argparse.Namespace, device: str, seed: int = 1
) -> tuple[Batches, int]:
    """Batches by name and by whether they update, and the tokens of a pass. Writes the policy into ``folder``."""
    from benchmarks.stages.engine_speed.measure import Load, make_batch

    model, longest = write_policy(policy, folder, seed), options.longest
    check, timed = (
        Load("batch", tokens, longest // 2, longest, 4 * longest) for tokens in (4 * longest, options.tokens)
    )
    batches: Batches = {}
    for load, name in ((check, "check"), (timed, "timed")):
        lengths = load.lengths()
        plain = make_batch(lengths, model.config.vocab_size, load.budget, updating=False)
        carried = choices_of(model, plain, device) if model.config.model_type == "hysparse" else None
        for updating in (False, True):
            batches[name, updating] = make_batch(lengths, model.config.vocab_size, load.budget, updating, carried)
    return batches, check.budget


def measure(policy: str, folder: Path, options: argparse.Namespace, device: str) -> Iterator[dict[str, Any]]:
    """A row for each path and precision. The first one is the reference."""
    batches, budget = batches_for(policy, folder, options, device)
    reference: dict[bool, Tensor] = {}
    for precision in ("fp32", "bf16"):
        for name in PATHS:
            path = TrainingPath(folder, name, precision, budget)
            found = {False: path.log_probs(batches["check", False]), True: path.gradient(batches["check", True])}
            reference = reference or found
            row: dict[str, Any] = {"policy": policy, "path": name, "precision": precision}
            row |= {f"log-prob {k}": v for k, v in distances(found[False], reference[False]).items()}
            row["gradient relative"] = distances(found[True], reference[True])["relative"]
            if precision == "bf16":
                row |= {
                    f"{kind} us": path.seconds(batches["timed", updating], updating) / options.tokens * 1e6
                    for kind, updating in PASSES
                }
            yield row
            del path


def draw(policy: str, folder: Path, options: argparse.Namespace, device: str) -> Iterator[dict[str, Any]]:
    """A row for each random policy: both paths' distances in bfloat16 from whole logits in float32."""
    for seed in range(1, options.draws + 1):
        batches, budget = batches_for(policy, folder, options, device, seed)
        found = [
            _figures(TrainingPath(folder, name, precision, budget), batches)
            for name, precision in (("whole logits", "fp32"), ("whole logits", "bf16"), ("head", "bf16"))
        ]
        row: dict[str, Any] = {"policy": policy, "seed": seed}
        for name, figures in zip(PATHS, found[1:], strict=True):
            logs, gradient = (distances(*pair) for pair in zip(figures, found[0], strict=True))
            row |= {f"{name}, log-prob {kind}": value for kind, value in logs.items()}
            row[f"{name}, gradient relative"] = gradient["relative"]
        yield row


def _figures(path: TrainingPath, batches: Batches) -> tuple[Tensor, Tensor]:
    """Log-probabilities and gradient of the batch for distances."""
    return path.log_probs(batches["check", False]), path.gradient(batches["check", True])


def alternate(policy: str, folder: Path, options: argparse.Namespace, device: str) -> Iterator[dict[str, Any]]:
    """A row for each pass: processor seconds in float32 by path and round, and the head's over whole logits'.

    One round before does not count. The path that goes first changes with each round.
    """
    batches, budget = batches_for(policy, folder, options, device)
    paths = [TrainingPath(folder, name, "fp32", budget) for name in PATHS]
    check = batches["check", True]
    whole, head = (path.gradient(check) for path in paths)
    for kind, updating in PASSES:
        taken: dict[str, list[float]] = {name: [] for name in PATHS}
        for turn in range(options.rounds + 1):
            for path in paths if turn % 2 else reversed(paths):
                taken[path.name].append(path.processor_seconds(batches["timed", updating], updating))
        before, after = (taken[name][1:] for name in PATHS)
        ratios = [ours / verls for verls, ours in zip(before, after, strict=True)]
        row: dict[str, Any] = {"policy": policy, "pass": kind, "median ratio": statistics.median(ratios)}
        row |= {"ratios": in_a_row(ratios), PATHS[0]: in_a_row(before), PATHS[1]: in_a_row(after)}
        yield row | {"gradient relative": distances(head, whole)["relative"]}


def in_a_row(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def table(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [
        [format(row[n], ".3g") if isinstance(row.get(n), float) else str(row.get(n, "")) for n in names] for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [names, ["---"] * len(names), *cells])


def main() -> None:
    options = parse_arguments()
    os.environ.update({name: os.environ.get(name, value) for name, value in ONE_RANK.items()})
    cpu = not torch.cuda.is_available()
    from judgerlvr.cluster.environment import environment

    os.environ.update(environment("cpu" if cpu else "gpu", 1.0))
    from judgerlvr.engine.devices import REPLAYING, TRAINING

    if cpu:
        from judgerlvr.engine.on_cpu import plugin  # noqa: F401  (verl's platform)
    else:
        torch.cuda.set_device(0)
    torch.distributed.init_process_group("gloo" if cpu else "cpu:gloo,cuda:nccl")
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for policy in options.policies:
        os.environ["VERL_ENGINE_VENDOR"] = TRAINING if policy.endswith("-twin") else REPLAYING
        with tempfile.TemporaryDirectory() as folder:
            rows_of = draw if options.draws else alternate if options.rounds else measure
            for row in rows_of(policy, Path(folder), options, "cpu" if cpu else "cuda"):
                rows.append(row)
                print(json.dumps(row), flush=True)
                head = "".join(f"{name}: {value}  \n" for name, value in heading().items())
                (options.out / "table.md").write_text(f"{head}\n{table(rows)}\n")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
