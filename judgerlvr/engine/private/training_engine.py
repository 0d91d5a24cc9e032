"""verl's FSDP engine for every policy here: log-probabilities from inside the head, attention over packed rows.

Engines are registered publicly. verl does not promise to keep how a batch becomes a model's arguments and back.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_name
from verl.utils.ulysses import ulysses_pad
from verl.workers.engine import EngineRegistry, FSDPEngineWithLMHead

from judgerlvr.config.choices import Recompute
from judgerlvr.engine.devices import COMPILE, PACKED, RECOMPUTE, SHARE_PREFIXES, TRAINING
from judgerlvr.engine.policy_passes.asked_head import AskedHead, Question
from judgerlvr.engine.policy_passes.distinct_prefixes import DistinctPrefixes, distinct_prefixes
from judgerlvr.engine.policy_passes.fused_parts import fuse
from judgerlvr.engine.policy_passes.packed_attention import takes_varlen
from judgerlvr.engine.policy_passes.recompute import kept_attention
from judgerlvr.engine.policy_passes.shared_row import SharedRow
from judgerlvr.engine.private.own_queue import own_queue
from judgerlvr.engine.private.weights import prepare_to_send
from judgerlvr.engine.worker_reports import report


class HeadEngine(FSDPEngineWithLMHead):
    """Never holds logits of more than a chunk of tokens."""

    head: AskedHead
    # Under which verl finds the engine.
    name: str
    # Whether a pass computes each distinct prefix once.
    shares = False

    def initialize(self) -> None:
        own_queue()
        super().initialize()
        if self.use_ulysses_sp and self.module.config._attn_implementation != PACKED:
            raise ValueError(f"cluster.sequence_parallel needs cluster.attention={PACKED}")
        prepare_to_send()
        self.take_over()
        report(self.rank, self.facts())

    def take_over(self) -> None:
        """Replace the forward passes of the loaded model's parts that are ours."""
        self.head = AskedHead(self.module.get_output_embeddings(), compiled=compiles())

    def _build_module(self) -> Any:
        """verl's module with fused parts. Checkpointing may keep attention, where verl's computes all again."""
        module = super()._build_module()
        if compiles():
            fuse(module)
        if self.model_config.enable_gradient_checkpointing and recomputes() is Recompute.attention:
            keywords = {"use_reentrant": False, "context_fn": kept_attention}
            module.gradient_checkpointing_enable(gradient_checkpointing_kwargs=keywords)
        return module

    def facts(self) -> dict[str, Any]:
        """Facts that decide a run's numbers. All workers must agree."""
        return {
            "name": self.name,
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "attention": attention_in_use(self.module.config),
            "recompute": recomputes().value if self.model_config.enable_gradient_checkpointing else "none",
            "compiled": compiles(),
            "shares_prefixes": self.shares,
            "sequence_parallel": self.ulysses_sequence_parallel_size,
            "torch": torch.__version__,
        }

    def prepare_model_inputs(self, micro_batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs, arguments = super().prepare_model_inputs(micro_batch)
        if inputs["attention_mask"] is not None:
            raise ValueError("set use_remove_padding=True: this engine takes packed rows alone")
        temperature = None if arguments["temperature_is_one"] else arguments["temperature_rmpad"]
        if self.use_ulysses_sp:
            inputs["shared"] = self.shared_row(micro_batch["position_ids"].values()[None])
        entropy = bool(tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False))
        prefixes = self.prefixes_of(inputs)
        rows = prefixes.of_token if prefixes else None
        self.head.ask(Question(arguments["input_ids_rmpad_rolled"], temperature, entropy, rows))
        return inputs, arguments

    def shared_row(self, position_ids: Tensor) -> SharedRow:
        """The whole row, of which verl gave the model this rank's part. Each rank has all of ``position_ids``.

        Raises ValueError where verl also pads to a fixed length.
        """
        if self.pad_to_length:
            raise ValueError("cluster.sequence_parallel: set pad_to_length=False")
        ranks = self.ulysses_sequence_parallel_size
        _, padded, _ = ulysses_pad(position_ids, position_ids, sp_size=ranks)
        return SharedRow(self.ulysses_parallel_group, ranks, padded)

    def prefixes_of(self, inputs: dict[str, Any]) -> DistinctPrefixes | None:
        """Reduce the model's inputs to the distinct prefixes of the packed row, where the engine shares prefixes."""
        if not self.shares:
            return None
        prefixes = distinct_prefixes(inputs["input_ids"], inputs["position_ids"])
        for name in ("input_ids", "position_ids"):
            inputs[name] = inputs[name].index_select(1, prefixes.kept)
        inputs["prefixes"] = prefixes
        return prefixes

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, Any]:
        log_probs, entropy = self.head.take(output.logits)
        # verl then reads log-probabilities and entropy, and no logits.
        tu.assign_non_tensor(micro_batch, use_fused_kernels=True)
        answered = SimpleNamespace(log_probs=log_probs[None], entropy=entropy[None])
        found: dict[str, Any] = super().prepare_model_outputs(answered, output_args, micro_batch, logits_processor_func)
        return found


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu"], vendor=TRAINING
)
class TrainingEngine(HeadEngine):
    """Policies whose rollouts choose nothing that the trainer must use."""

    name = TRAINING

    def take_over(self) -> None:
        super().take_over()
        self.shares = told_to_share()
        if not self.shares:
            return
        if self.module.config._attn_implementation != PACKED or self.use_ulysses_sp or self.pad_to_length:
            raise ValueError(f"cluster.share_prefixes needs cluster.attention={PACKED}, and no sequence parallelism")


def compiles() -> bool:
    """``cluster.compile`` as the driver told this worker. A CPU's few cores are not worth the wait."""
    return get_device_name() == "cuda" and os.environ.get(COMPILE, "True") == "True"


def told_to_share() -> bool:
    """``cluster.share_prefixes`` as the driver told this worker."""
    return os.environ.get(SHARE_PREFIXES) == "True"


def recomputes() -> Recompute:
    """``cluster.recompute`` as the driver told this worker. Without a word from the driver, all."""
    return Recompute(os.environ.get(RECOMPUTE, Recompute.all.value))


def attention_in_use(config: Any) -> str:
    """transformers' name of the policy's attention, with what ours does on this device."""
    name: str = config._attn_implementation
    if name != PACKED or config.model_type == "hysparse":
        return name
    sample = torch.empty(1, config.num_attention_heads, 1, 128, dtype=torch.bfloat16, device=get_device_name())
    return f"{name}, {'torch varlen' if takes_varlen(sample) else 'batches of similar lengths'}"
