"""verl's field for what a rollout chose: verl gives samples that fill up a batch zeros in this field."""

CARRIED = "routed_experts"
