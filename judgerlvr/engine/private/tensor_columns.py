"""The trainer's passes fetch columns of tensors alone.

verl hands all columns of a step's samples to its workers. No pass reads a column of plain objects, such as the problem
or its grading. Each such column is fetched, split and moved to the device sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transfer_queue
from torch import Tensor


class TensorColumns:
    """Stands before verl's trainer in the order of classes."""

    def _compute_old_log_prob(self, batch: Any, *arguments: Any, **named: Any) -> Any:
        with tensors_alone(batch):
            return super()._compute_old_log_prob(batch, *arguments, **named)  # type: ignore[misc]

    def _compute_ref_log_prob(self, batch: Any, *arguments: Any, **named: Any) -> Any:
        with tensors_alone(batch):
            return super()._compute_ref_log_prob(batch, *arguments, **named)  # type: ignore[misc]

    def _update_actor(self, batch: Any, *arguments: Any, **named: Any) -> Any:
        with tensors_alone(batch):
            return super()._update_actor(batch, *arguments, **named)  # type: ignore[misc]


@contextmanager
def tensors_alone(batch: Any) -> Iterator[None]:
    """Inside, ``batch``, the handle of samples in the transfer queue, names its columns of tensors alone."""
    fields, batch.fields = batch.fields, tensor_columns(batch)
    try:
        yield
    finally:
        batch.fields = fields


def tensor_columns(batch: Any) -> list[str]:
    """Names of the columns that hold tensors, by the first sample. All samples of a step have the same columns."""
    sample = transfer_queue.kv_batch_get(keys=batch.keys[:1], partition_id=batch.partition_id)
    return [name for name, value in sample.items() if isinstance(value, Tensor)]
