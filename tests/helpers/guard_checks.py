"""The guards as the trainer asks them at the end of a step."""

from judgerlvr.engine.in_training.guards import crossed, stop_or_warn


def check(guards, row, state, measured=True):
    """Warnings of a step's row. Raises GuardTripped as the trainer does."""
    return stop_or_warn(guards, crossed(guards, row, state, measured))
