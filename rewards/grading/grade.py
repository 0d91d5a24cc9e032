"""The Result of a completion that holds nothing to verify."""

from __future__ import annotations

from rewards.extraction.extract import Extraction
from rewards.types import Reason, Result


def no_answer(extraction: Extraction) -> Result:
    """The Result of a completion from which no answer could be taken."""
    return Result(0.0, extraction.reason or Reason.NO_FINAL_ANSWER, {"answered": 0.0})
