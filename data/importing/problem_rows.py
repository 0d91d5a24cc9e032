"""One row as a problem. Every column is used, kept for verifiers in ``meta``, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data.identity import EARLIER_TURNS, GIVEN_ID, make_problem
from data.importing import layouts
from data.importing.choices import Choices, gold_of, option_columns, read_choices, with_choices
from data.importing.faults import RowFault
from data.importing.golds import marked_answer, parse_text, read_gold
from data.importing.turns import Conversation, is_conversation, read_conversation
from data.importing.whole_texts import refuse_half_pairs
from rewards.types import Problem

ROLES = ("problem", "gold", "id", "context", "choices", "solution", "response", "label", "model")
# Columns of verl's layout that carry nothing for a verifier.
_VERL = ("reward_model", "extra_info", "ability")
# What this product writes into ``extra_info`` for its own use.
_OWN_EXTRA = ("id", "index", "problem", "kind", "problem_id")


@dataclass
class RowView:
    """A row by lower-case names, with the columns that were read so far."""

    row: dict[str, Any]
    extra: dict[str, Any]
    mapped: frozenset[str] = frozenset()
    used: set[str] = field(default_factory=set)
    written_gold: Any = None  # the gold as the file writes it, where a column holds the gold alone

    @classmethod
    def of(cls, row: Mapping[str, Any], columns: Mapping[str, str]) -> RowView:
        """The view of a row. ``columns`` maps a role to the column that holds the role.

        Raises:
            RowFault: a mapped column is absent, a text is no Unicode, or two columns differ in case alone.
        """
        refuse_half_pairs(row)
        lowered = _lowered(row)
        extra = lowered.get("extra_info")
        extra = parse_text(extra) if isinstance(extra, str) else extra
        used = set()
        for role, column in columns.items():
            lowered[role] = _mapped(row, column)
            # A path into a column uses the whole column.
            used.add(column.split(".")[0].lower())
        return cls(lowered, dict(extra) if isinstance(extra, Mapping) else {}, frozenset(columns), used)

    def first(self, names: tuple[str, ...]) -> str | None:
        """The first of the names whose value is neither absent nor empty."""
        return next((name for name in names if not _absent(self.row.get(name))), None)

    def take(self, name: str) -> Any:
        self.used.add(name)
        return self.row[name]

    def rest(self) -> dict[str, Any]:
        """Columns that are not used, and the fields of ``extra_info``."""
        hidden = self.used | set(_VERL) | self.mapped
        rest = {name: value for name, value in self.row.items() if name not in hidden and value is not None}
        if "extra_info" in self.row and not self.extra and self.row["extra_info"] is not None:
            rest["extra_info"] = self.row["extra_info"]
        own = set(_OWN_EXTRA) if self.extra.get("kind") in ("generate", "judge") else {"index"}
        return rest | {name: value for name, value in self.extra.items() if name not in own and value is not None}

    def passed_over(self) -> set[str]:
        """Columns of verl's layout that were not read and that verifiers do not get."""
        return {name for name in _VERL if name != "extra_info" and self.row.get(name) is not None} - self.used


def _lowered(row: Mapping[str, Any]) -> dict[str, Any]:
    lowered: dict[str, Any] = {}
    for name, value in row.items():
        if name.lower() in lowered and lowered[name.lower()] != value:
            raise RowFault("two columns of this name differ in case alone", "remove or rename one", name.lower())
        lowered[name.lower()] = value
    return lowered


def _mapped(row: Mapping[str, Any], column: str) -> Any:
    # A column whose own name holds a dot goes before a path into a column.
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        value = parse_text(value) if isinstance(value, str) else value
        if not isinstance(value, Mapping) or part not in value:
            raise RowFault(f"no column {column!r}", f"the columns are {', '.join(row)}", "data.columns")
        value = value[part]
    return value


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def parse_problem_row(view: RowView, need_gold: bool = True) -> Problem:
    """The problem of a row.

    Raises:
        RowFault: no text, no gold where a gold is needed, or something that a text cannot show.
    """
    _refuse_images(view)
    chat = _conversation(view)
    text = chat.text
    if (name := view.first(layouts.CONTEXT)) and isinstance(view.row[name], str):
        # SVAMP parts a problem of a single paragraph into body and question.
        text = f"{view.take(name).rstrip()}{' ' if name == 'body' else chr(10) * 2}{text}"
    choices = _choices(view)
    gold = _gold(view, choices, chat.reply, need_gold)
    if choices:
        text = with_choices(text, choices)
    given_id, turns = _given_id(view), chat.earlier or _kept_turns(view)
    return make_problem(text, gold, view.rest(), given_id, turns)


def _refuse_images(view: RowView) -> None:
    if name := view.first(layouts.IMAGES):
        raise RowFault("the problem comes with an image", "give problems of text alone", name)


def _conversation(view: RowView) -> Conversation:
    """The text of the problem with the turns around the text.

    Raw text in ``extra_info`` goes before verl's prompt, which holds an instruction of its own.
    """
    name = view.first((*layouts.TEXT, *layouts.CHAT))
    raw = None if "problem" in view.mapped or name != "prompt" else _raw_text(view)
    if name is None and raw is None:
        problem = f"no problem text among the columns {', '.join(view.row)}"
        remedy = f"add one of {', '.join(layouts.TEXT)}, or set data.columns.problem"
        raise RowFault(f"{problem}; the nearest layout is {layouts.nearest_layout(view.row)}", remedy, "problem")
    value = view.take(name) if name else ""
    if is_conversation(value):
        chat = read_conversation(value, name or "")
        chat = Conversation(raw or chat.text, [] if raw and "kind" in view.extra else chat.earlier, chat.reply)
    else:
        chat = Conversation(raw or value, [], "")
    if not isinstance(chat.text, str) or not _can_be_seen(chat.text):
        raise RowFault(f"is {type(chat.text).__name__} or empty", "write text", name or "problem")
    # Alpaca's layout continues the instruction in the column `input`.
    if name == "instruction" and isinstance(view.row.get("input"), str):
        return Conversation(f"{chat.text}\n\n{view.take('input')}".rstrip(), chat.earlier, chat.reply)
    return chat


def _can_be_seen(text: str) -> bool:
    """Whether a text has more than spaces and characters without a shape, such as a zero-width space."""
    return any(character.isprintable() and not character.isspace() for character in text)


def _raw_text(view: RowView) -> str | None:
    for name in ("problem", "question"):
        value = view.extra.get(name)
        if value is not None and not isinstance(value, str):
            raise RowFault(f"is {type(value).__name__}", "write text", f"extra_info.{name}")
        if value and value.strip():
            view.used.add("extra_info")
            return str(value)
    return None


def _choices(view: RowView) -> Choices | None:
    name = view.first(layouts.CHOICES)
    golds = view.first(layouts.CHOICE_GOLD)
    if name is None and (columns := option_columns(view.row, view.row.get(golds or ""))):
        return read_choices([str(view.take(column)) for column in columns], columns[0])
    if name is None or (name == "choices" and isinstance(view.row[name], str) and "[" not in view.row[name]):
        return None
    return read_choices(view.take(name), name)


def _gold(view: RowView, choices: Choices | None, reply: str, need_gold: bool) -> str | None:
    # With options a column like `label` holds an index, which is no gold without options.
    if choices and (name := view.first(layouts.CHOICE_GOLD)):
        return gold_of(view.take(name), choices, name)
    model = view.row.get("reward_model")
    model = parse_text(model) if isinstance(model, str) else model
    if "gold" not in view.mapped and isinstance(model, Mapping) and not _absent(model.get("ground_truth")):
        view.used.add("reward_model")
        return read_gold(model["ground_truth"], "reward_model.ground_truth")
    if name := view.first(layouts.GOLD):
        view.written_gold = view.take(name)
        return read_gold(view.written_gold, name)
    if name := view.first(layouts.SOLUTION):
        return read_gold(view.take(name), name)
    if not _absent(answer := _info_answer(view)):
        return read_gold(answer, "info.answer")
    if reply:
        return marked_answer(reply, "assistant turn")
    if need_gold:
        remedy = f"add one of {', '.join(layouts.GOLD)}, or set data.columns.gold"
        raise RowFault("no gold answer", remedy, layouts.GOLD[1])
    return None


def _info_answer(view: RowView) -> Any:
    info = view.row.get("info")
    info = parse_text(info) if isinstance(info, str) else info
    return info.get("answer", info.get("ground_truth")) if isinstance(info, Mapping) else None


def _given_id(view: RowView) -> str:
    name = view.first(layouts.ID)
    if name is not None:
        return str(view.take(name))
    for key in (GIVEN_ID, "id", "index"):
        if view.extra.get(key) is not None:
            return str(view.extra[key])
    return ""


def _kept_turns(view: RowView) -> list[dict[str, str]]:
    """Turns that an earlier import wrote into a plain row."""
    turns: Any = view.row.get(EARLIER_TURNS) or view.extra.get(EARLIER_TURNS)
    return [dict(turn) for turn in turns] if is_conversation(turns) else []
