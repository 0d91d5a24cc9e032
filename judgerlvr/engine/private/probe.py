"""Log-probabilities of the trainer's current weights, outside a step."""

from __future__ import annotations

from typing import Any

import transfer_queue
from transfer_queue import KVBatchMeta
from verl.workers.utils.padding import response_from_nested

from judgerlvr.engine.devices import OWN_CHOICE


def probe_log_probs(trainer: Any, batch: Any, count: int) -> list[dict[str, Any]]:
    """Log-probabilities under the trainer's current weights of ``count`` sampled responses of ``batch``.

    An export must reproduce the values. verl has no call for log-probabilities outside a step. A step itself uses the
    worker group's ``compute_log_prob`` and the transfer-queue field that the call fills.
    """
    probe = KVBatchMeta(partition_id=batch.partition_id, keys=batch.keys[:count], tags=batch.tags[:count])
    flags = {"calculate_entropy": False, "compute_loss": False, "temperature": 1.0, OWN_CHOICE: True}
    probe.extra_info.update(flags)
    trainer.actor_rollout_wg.compute_log_prob(probe)
    fields = ["prompts", "responses", "log_probs", "response_mask"]
    data = transfer_queue.kv_batch_get(keys=probe.keys, partition_id=probe.partition_id, select_fields=fields)
    log_probs = response_from_nested(data["log_probs"], data["response_mask"])
    return [
        {"prompt_ids": prompt.tolist(), "response_ids": response.tolist(), "log_probs": values.float().tolist()}
        for prompt, response, values in zip(
            data["prompts"].unbind(), data["responses"].unbind(), log_probs.unbind(), strict=True
        )
    ]
