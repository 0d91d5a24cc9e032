"""JudgeRLVR: judge first, generate second (arXiv 2601.08468)."""

__version__ = "0.1.0"
