"""One row of a judge set: the prompt that the judge sees, and the label. This file alone writes and reads the label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data.identity import shown_text
from data.labelling import Triplet
from data.prompts import as_chat, render
from rewards.errors import InputError

KIND = "judge"
_LABELS = {True: "1", False: "0"}
_READ = {text: label for label, text in _LABELS.items()}
_REMEDY = "make the file with python -m judgerlvr.make_judge_data"


def write_label(label: bool) -> str:
    """The ground truth of a judge row: "1" for a right solution, "0" for a wrong solution."""
    return _LABELS[label]


def read_label(row: Mapping[str, Any]) -> bool:
    """The label of a row in verl's layout.

    Raises:
        InputError: the ground truth is neither "1" nor "0".
    """
    model = row.get("reward_model")
    text = model.get("ground_truth") if isinstance(model, Mapping) else None
    if not isinstance(text, str) or text not in _READ:
        raise InputError(f"not a judge row: the label is {text!r}", _REMEDY, field="reward_model.ground_truth")
    return _READ[text]


def is_judge_row(row: Mapping[str, Any]) -> bool:
    """Whether a row in verl's layout asks for a verdict."""
    return (row.get("extra_info") or {}).get("kind") == KIND


def judge_schema() -> Any:
    """The Arrow schema of rows that ``JudgeRow.to_verl`` makes."""
    import pyarrow as pa

    text, turn = pa.string(), pa.struct([("role", pa.string()), ("content", pa.string())])
    extra = [(name, text) for name in ("id", "problem", "kind", "response", "answer", "problem_id")]
    return pa.schema(
        [
            ("data_source", text),
            ("prompt", pa.list_(turn)),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            ("extra_info", pa.struct([extra[0], ("index", pa.int64()), *extra[1:]])),
        ]
    )


@dataclass(frozen=True)
class JudgeRow:
    """A rendered judge prompt with the label of the solution that the prompt shows.

    ``response`` is the shown solution. ``answer`` is the final answer of the solution, or an empty text.
    """

    id: str
    problem_id: str
    problem: str
    response: str
    answer: str
    label: bool
    prompt: list[dict[str, str]]

    def to_verl(self, index: int, source: str = KIND) -> dict[str, Any]:
        """The row as verl reads it. verl validates each ``source`` by itself."""
        return {
            "data_source": source,
            "prompt": self.prompt,
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": write_label(self.label)},
            "extra_info": {
                "id": self.id,
                "index": index,
                "problem": self.problem,
                "kind": KIND,
                "response": self.response,
                "answer": self.answer,
                "problem_id": self.problem_id,
            },
        }

    @classmethod
    def from_verl(cls, row: Mapping[str, Any]) -> JudgeRow:
        """The row that ``to_verl`` wrote. ``response`` and ``answer`` may be absent.

        Raises:
            InputError: a field is missing, or the label is neither "1" nor "0".
        """
        label = read_label(row)
        try:
            extra = row["extra_info"]
            return cls(
                id=str(extra["id"]),
                problem_id=str(extra["problem_id"]),
                problem=extra["problem"],
                response=extra.get("response") or "",
                answer=extra.get("answer") or "",
                label=label,
                prompt=[dict(turn) for turn in row["prompt"]],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a judge row ({error})", _REMEDY) from error


def judge_row(triplet: Triplet, template: str) -> JudgeRow:
    """The judge prompt of a triplet."""
    shown = {"problem": shown_text(triplet.problem), "response": triplet.response}
    return JudgeRow(
        id=triplet.id,
        problem_id=triplet.problem.id,
        problem=shown_text(triplet.problem),
        response=triplet.response,
        answer=triplet.answer or "",
        label=triplet.label,
        prompt=as_chat(render(template, shown)),
    )


def render_judge_rows(triplets: Iterable[Triplet], template: str) -> Iterator[dict[str, Any]]:
    """Stage-1 prompts, one at a time. The ground truth is the label."""
    return (judge_row(triplet, template).to_verl(index) for index, triplet in enumerate(triplets))
