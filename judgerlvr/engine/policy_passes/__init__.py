"""Forward and backward passes of the policy on any device: attention, head, recomputing."""
