"""An agent loop's output whose choices are not one row a token. verl pads its own field to a row a token."""

from __future__ import annotations

from typing import Any

import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput

from judgerlvr.engine.private.carried_field import CARRIED


class CarriedOutput(AgentLoopOutput):
    """``choices`` int16 [values] reach the transfer queue as given."""

    choices: Any = None

    def as_dict(self) -> dict[str, Any]:
        """verl's dictionary of a sample's fields."""
        fields: dict[str, Any] = super().as_dict()
        fields[CARRIED] = torch.tensor(fields.pop("choices"), dtype=torch.int16)
        return fields


def with_choices(output: AgentLoopOutput, choices: Any) -> CarriedOutput:
    """The same output with ``choices``. Its lists are neither copied nor checked again."""
    named = {name: getattr(output, name) for name in output.model_fields_set}
    return CarriedOutput.model_construct(_fields_set={*named, "choices"}, **named, choices=choices)
