"""The process behind ``ifeval``: rows of JSON in, one list of booleans a row out. It imports lm-eval alone.

With ``--missing`` the process names what is not installed, as a JSON list.
"""

import importlib.util
import json
import random
import sys

SEED = 0


def missing() -> list[str]:
    """Names among ``lm_eval`` and ``punkt_tab`` that are not here."""
    if importlib.util.find_spec("lm_eval") is None or importlib.util.find_spec("nltk") is None:
        return ["lm_eval"]
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english")
    except LookupError:
        return ["punkt_tab"]
    return []


def grade() -> None:
    from langdetect import DetectorFactory
    from lm_eval.tasks.ifeval.utils import InputExample, test_instruction_following_strict

    # The detector draws at random, and a text of few words got another language from run to run.
    DetectorFactory.seed = SEED
    names = ("key", "instruction_id_list", "prompt", "kwargs")
    for line in sys.stdin:
        row = json.loads(line)
        # A check whose argument is absent draws one at random.
        random.seed(SEED)
        example = InputExample(**{name: row[name] for name in names})
        print(json.dumps(test_instruction_following_strict(example, row["response"]).follow_instruction_list))


def main() -> None:
    if "--missing" in sys.argv:
        print(json.dumps(missing()))
    else:
        grade()
