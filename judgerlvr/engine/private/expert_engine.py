"""verl's FSDP engine with router replay: a Qwen3-MoE policy trains with the rollout's experts.

verl carries the experts of vLLM's routers to the sample. verl's own FSDP engine ignores the experts.
"""

from __future__ import annotations

from typing import Any

import torch
from verl.workers.engine import EngineRegistry

from judgerlvr.engine.devices import EXPERTS
from judgerlvr.engine.private.block_engine import by_token
from judgerlvr.engine.private.carried_field import CARRIED
from judgerlvr.engine.private.training_engine import HeadEngine
from judgerlvr.engine.rollout_experts.given_router import GivenRouter, given_routers
from judgerlvr.engine.rollout_experts.rows import unpacked
from judgerlvr.hysparse.agreement.measures import equal_experts


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu"], vendor=EXPERTS)
class ExpertEngine(HeadEngine):
    """Both passes use the rollout's experts. A pass without gradients reports how the trainer's choices differ."""

    name = EXPERTS
    routers: dict[int, GivenRouter]

    def take_over(self) -> None:
        super().take_over()
        self.routers = given_routers(self.module)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"router_layers": len(self.routers)}

    def prepare_model_inputs(self, micro_batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs, arguments = super().prepare_model_inputs(micro_batch)
        if self.use_ulysses_sp or arguments["pad_size"]:
            raise ValueError("router replay: set ulysses_sequence_parallel_size=1 and pad_to_length=False")
        config = self.model_config.hf_config
        layers, top_k = config.num_hidden_layers, config.num_experts_per_tok
        given = unpacked(micro_batch[CARRIED].values(), layers, top_k, config.num_experts)
        for layer, router in self.routers.items():
            router.given = given[layer]
        if not torch.is_grad_enabled():
            arguments["carried"] = given
        return inputs, arguments

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, Any]:
        found = super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        carried = output_args.get("carried")
        if carried is not None:
            same = [equal_experts(router.chosen, carried[layer]) for layer, router in self.routers.items()]
            found["differing_experts"] = by_token(~torch.stack(same), micro_batch["input_ids"].offsets())
        return found
