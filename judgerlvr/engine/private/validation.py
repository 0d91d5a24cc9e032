"""verl's place where validation turns samples into figures."""

from __future__ import annotations

from typing import Any

from judgerlvr.engine.in_training.validation import held_out


class ValidationFigures:
    """Stands before verl's trainer in the order of classes, and adds the figures of this product to verl's own."""

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        sample_turns: list[Any],
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        figures: dict[str, float] = super()._val_metrics_update(  # type: ignore[misc]
            data_sources, sample_uids, reward_extra_infos_dict, sample_turns, expected_acc_counts=expected_acc_counts
        )
        return figures | held_out(data_sources, sample_uids, reward_extra_infos_dict, expected_acc_counts or {})
