"""Names of columns, by what they hold, and the layouts that people know by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# In order of preference. Names are compared in lower case.
TEXT = ("problem", "question", "prompt", "query", "instruction")
CHAT = ("messages", "conversations", "conversation")
GOLD = (
    "gold",
    "answer",
    "ground_truth",
    "final_answer",
    "expected_answer",
    "verification_info",
    "answerkey",
    "final_ans",
    "target",
)
# Columns that hold the index of the right option and never its text.
CHOICE_INDEX = ("gold_index", "answer_index", "answer_idx")
# With options, the right option may also stand here.
CHOICE_GOLD = (*CHOICE_INDEX, "answer", "answerkey", "gold", "target", "label", "correct")
SOLUTION = ("solution", "gold_standard_solution", "completion", "output", "rationale")
ID = ("id", "problem_id", "unique_id", "task_id", "uuid")
CONTEXT = ("context", "passage", "body")
CHOICES = ("choices", "options")
IMAGES = ("image", "images", "image_1", "decoded_image")
RESPONSE = ("response", "generation", "model_output", "generated_solution", "completion", "output")
LABEL = ("label", "is_correct", "correct")
MODEL = ("model", "model_name", "generation_model")

LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "plain": ("problem", "answer"),
    "GSM8K": ("question", "answer"),
    "verl": ("data_source", "prompt", "reward_model", "extra_info"),
    "TRL": ("prompt", "solution"),
    "NeMo-Skills": ("problem", "expected_answer"),
    "verifiers": ("prompt", "answer", "info", "task"),
    "prime-rl": ("prompt", "task_type", "verification_info"),
    "lighteval": ("query", "choices", "gold_index"),
    "ShareGPT": ("conversations",),
    "messages": ("messages",),
    "multiple choice": ("question", "choices", "answer"),
    "SVAMP": ("body", "question", "answer"),
}


def nearest_layout(columns: Iterable[str]) -> str:
    """The known layout that shares most with the columns, with its columns, as a person reads them."""
    present = {name.lower() for name in columns}

    def likeness(name: str) -> float:
        wanted = set(LAYOUTS[name])
        # Dividing by the union keeps a long layout from winning by length alone.
        return len(wanted & present) / len(wanted | present)

    best = max(LAYOUTS, key=likeness)
    return f"{best} ({', '.join(LAYOUTS[best])})"
