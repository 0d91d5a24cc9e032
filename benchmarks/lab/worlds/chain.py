"""The value chain: 7-9 operations modulo 30, unreliable facts, and a recheck that stops paying.

A line states one step: label, value before, operation, operand, value after. After a line the policy may write
``recheck``. The world then writes ``accepted`` or ``refused``, right with chance ``check_right`` and with fresh noise,
so that no training can improve a recheck. After a refusal the step is stated once more. In the *replacing* world the
new value must differ from the refused one. In its *plain* twin the new value may be any. A recheck pays while values
are often wrong. In the replacing world a recheck costs accuracy once values are nearly always right: a right value that
is refused is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.worlds.base import (
    TOKENS,
    Grades,
    Problems,
    Traces,
    World,
    below,
    compact,
    from_end,
    shifted,
    uniform,
    value_features,
)

LABELS, OPERATIONS, VALUES = TOKENS.first_own, 25, 31  # first tokens of each kind
MOST_STEPS, MOST_OPERATIONS = 9, 6
LINE = 5  # tokens of a line


@dataclass(frozen=True)
class ChainConfig:
    """Parameters of one chain world. Chances are per writing of a fact, the same in solving and in judging."""

    modulus: int = 30
    operations: int = 3
    least_steps: int = 7
    most_steps: int = 9
    unreliable: float = 0.60  # share of facts
    right_low: float = 0.30
    right_high: float = 0.60
    reliable_right: float = 0.98
    misconception: float = 0.90  # of wrong writings, the fact's one fixed wrong value
    check_right: float = 0.92
    replaces: bool = True  # another value must follow a refusal, except in the twin
    direct: float = 0.80  # styles of the base
    rechecking: float = 0.15
    judge_guesses: float = 0.30
    seed: int = 0


@dataclass(frozen=True)
class Lines:
    """Masks of the places [N, T] where a line starts. A line is first when it restates no refused step."""

    starts: Tensor
    first: Tensor
    right: Tensor
    true: Tensor  # a true fact is stated, with or without a label: what a reply is about
    unreliable: Tensor
    belief: Tensor  # the base's chance of writing the fact right
    copied: Tensor

    def counts(self) -> dict[str, Tensor]:
        """Per sample [N]. Facts are counted in first lines only, since a refusal tells which value is wrong."""
        doubtful, firm = self.first & self.unreliable, self.first & ~self.unreliable
        return {
            "lines": self.starts.sum(-1),
            "copied": self.copied.sum(-1),
            "unreliable": doubtful.sum(-1),
            "unreliable_right": (doubtful & self.right).sum(-1),
            "unreliable_belief": (doubtful * self.belief).sum(-1),
            "reliable": firm.sum(-1),
            "reliable_right": (firm & self.right).sum(-1),
        }


class ChainWorld(World):
    def __init__(self, config: ChainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.name = "chain" if config.replaces else "chain-twin"
        self.steps = config.most_steps
        self.vocabulary = 64
        self.prompt_length = 3 + 3 * self.steps + 1
        self.judge_prompt_length = 3 + 4 * self.steps + 1
        self.response_limit = longest_response(self.steps)
        self.judge_limit = 8 * -(-(self.steps * LINE + 3) // 8)
        self.truth = truth_table(config).to(device)
        self.right_chance, self.misconception = beliefs(config, self.truth.cpu())
        self.right_chance, self.misconception = self.right_chance.to(device), self.misconception.to(device)
        self.unreliable = self.right_chance < config.reliable_right
        self.chances = value_chances(self.truth, self.right_chance, self.misconception, config)

    def problems(self, rows: int, draw: torch.Generator) -> Problems:
        c = self.config
        steps = c.least_steps + below(c.most_steps - c.least_steps + 1, rows, draw)
        start = below(c.modulus, rows, draw)
        operation = below(c.operations, (rows, self.steps), draw)
        operand = below(c.modulus, (rows, self.steps), draw)
        values, before = [], start
        for index in range(self.steps):
            before = self.truth[operation[:, index], before, operand[:, index]]
            values.append(before)
        gold = torch.stack(values, 1)
        answer = gold.gather(1, steps[:, None] - 1)[:, 0]
        return dict(steps=steps, start=start, operation=operation, operand=operand, gold=gold, answer=answer)

    def prompt(self, problems: Problems) -> Tensor:
        labels, operation, operand, present = self._slots(problems)
        slots = torch.stack((labels, operation, operand), -1)
        return self._prompt(problems, TOKENS.solve, torch.where(present[..., None], slots, TOKENS.fill))

    def judge_prompt(self, problems: Problems, candidate: Tensor) -> Tensor:
        labels, operation, operand, present = self._slots(problems)
        slots = torch.stack((labels, operation, operand, VALUES + candidate), -1)
        return self._prompt(problems, TOKENS.judge, torch.where(present[..., None], slots, TOKENS.fill))

    def write_value(
        self, operation: Tensor, before: Tensor, operand: Tensor, draw: torch.Generator, refused: Tensor
    ) -> Tensor:
        """A value as the base believes it. Never ``refused`` [N] where that is not negative."""
        chances = self.chances[operation, before, operand]
        chances = torch.where(torch.arange(self.config.modulus, device=self.device) == refused[:, None], 0.0, chances)
        return pick(chances, uniform(len(operation), draw))

    def check(self, right: Tensor, noise: Tensor) -> Tensor:
        """Accepted or not: a right value with chance ``check_right``, a wrong one with the rest."""
        return torch.where(right, noise < self.config.check_right, noise >= self.config.check_right)

    def solve_traces(self, problems: Problems, draw: torch.Generator) -> Traces:
        rows = len(problems["steps"])
        style = uniform(rows, draw)
        rechecks = (style >= self.config.direct) & (style < self.config.direct + self.config.rechecking)
        return self.traces_in_style(problems, draw, rechecks, style >= self.config.direct + self.config.rechecking)

    def traces_in_style(self, problems: Problems, draw: torch.Generator, rechecks: Tensor, again: Tensor) -> Traces:
        """Solving traces whose rows recheck every step, or go over everything twice, as two masks [N] say."""
        pieces, value = self._pass(problems, draw, rechecks, torch.ones_like(rechecks))
        if bool(again.any()):
            more, second = self._pass(problems, draw, torch.zeros_like(rechecks), again)
            pieces += [self._written(TOKENS.again, again)[:, None], *more]
            value = torch.where(again, second, value)
        everywhere = torch.ones_like(again)
        tail = (TOKENS.answer, VALUES + value, TOKENS.end)
        return compact(torch.cat([*pieces, *(self._written(token, everywhere)[:, None] for token in tail)], 1))

    def judge_traces(self, problems: Problems, candidate: Tensor, draw: torch.Generator) -> Traces:
        rows = len(candidate)
        guess, coin = uniform(rows, draw) < self.config.judge_guesses, uniform(rows, draw) < 0.5
        active, differs = ~guess, torch.zeros_like(guess)
        none = torch.full((rows,), -1, device=self.device)
        pieces, before = [], problems["start"]
        for index in range(self.steps):
            here = active & ~differs & (index < problems["steps"])
            fact = (problems["operation"][:, index], before, problems["operand"][:, index])
            value = self.write_value(*fact, draw, none)
            pieces.append(self._line(index, fact, value, here))
            differs |= here & (value != candidate[:, index])
            before = candidate[:, index]
        right = torch.where(guess, coin, ~differs)
        verdict = torch.where(right, TOKENS.right, TOKENS.wrong)
        tail = [
            self._written(token, torch.ones_like(guess))[:, None] for token in (TOKENS.verdict, verdict, TOKENS.end)
        ]
        return compact(torch.cat([*pieces, *tail], 1))

    def candidates(self, problems: Problems, draw: torch.Generator) -> Tensor:
        """Half the true values, half what a direct pass of the base writes."""
        rows = len(problems["steps"])
        nowhere = torch.zeros(rows, dtype=torch.bool, device=self.device)
        traces = self.traces_in_style(problems, draw, nowhere, nowhere)
        shown = self.grade(problems, traces).candidate
        return torch.where(uniform(rows, draw)[:, None] < 0.5, problems["gold"], shown)

    def reply(self, window: Tensor, noise: Tensor) -> Tensor:
        operation, before, operand, value, stated = self._fact(
            window[..., 1:2], window[..., 2:3], window[..., 3:4], window[..., 4:5]
        )
        right = (self.truth[operation, before, operand] == value) & stated
        answer = torch.where(self.check(right[..., 0], noise), TOKENS.accepted, TOKENS.refused)
        return torch.where(window[..., -1] == TOKENS.recheck, answer, -1)

    def by_world(self, tokens: Tensor) -> Tensor:
        return shifted(tokens, -1) == TOKENS.recheck

    def recheck_due(self, window: Tensor) -> Tensor:
        line = is_label(window[..., 1]) & is_value(window[..., 5]) & is_value(window[..., 2])
        return line & (window[..., 0] != TOKENS.refused)

    def grade(self, problems: Problems, traces: Traces) -> Grades:
        tokens = traces.tokens
        candidate, stated = self._last_values(tokens)
        present = torch.arange(self.steps, device=self.device) < problems["steps"][:, None]
        given = from_end(traces, 2) - VALUES
        shaped = (from_end(traces, 1) == TOKENS.end) & (from_end(traces, 3) == TOKENS.answer) & (traces.lengths >= 3)
        well_formed = shaped & self._rechecks_obeyed(tokens)
        right = well_formed & (given == problems["answer"])
        shown = torch.where(present & stated, candidate, 0)
        last = shown.gather(1, problems["steps"][:, None] - 1)[:, 0]
        usable = well_formed & (stated | ~present).all(-1) & (last == given)
        return Grades(right, well_formed, shown, usable)

    def counts(self, problems: Problems, traces: Traces) -> dict[str, Tensor]:
        tokens = traces.tokens
        lines = self._lines(problems, tokens)
        asked = shifted(tokens, -1) == TOKENS.recheck
        agrees = (tokens == TOKENS.accepted) == (shifted(lines.right, -6) & asked)
        answered = asked & (tokens != TOKENS.pad)  # the recheck of a truncated response may have no answer
        answers_right = answered & ((tokens == TOKENS.accepted) == shifted(lines.true, -6))
        return {
            **lines.counts(),
            "rechecks": (tokens == TOKENS.recheck).sum(-1),
            "recheck_agrees": (agrees & asked).sum(-1),
            "answered": answered.sum(-1),
            "answers_right": answers_right.sum(-1),
            "refused": (asked & (tokens == TOKENS.refused)).sum(-1),
            "again": (tokens == TOKENS.again).sum(-1),
        }

    def judge_counts(self, problems: Problems, candidate: Tensor, traces: Traces) -> dict[str, Tensor]:
        tokens = traces.tokens
        lines = self._lines(problems, tokens)
        label = (tokens - LABELS).clamp(0, self.steps - 1)
        agrees = shifted(tokens, 4) - VALUES == candidate.gather(1, label)
        checked = lines.starts.any(-1)
        all_agree = ~(lines.starts & ~agrees).any(-1)
        said = from_end(traces, 2) == TOKENS.right
        return {**lines.counts(), "checked": checked, "verdict_follows": checked & (said == all_agree)}

    def shortcut_features(self, problems: Problems, candidate: Tensor) -> Tensor:
        return value_features(candidate, problems["steps"], self.config.modulus)

    def _slots(self, problems: Problems) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        steps = torch.arange(self.steps, device=self.device)
        labels = (LABELS + steps).expand_as(problems["operation"])
        return (
            labels,
            OPERATIONS + problems["operation"],
            VALUES + problems["operand"],
            steps < problems["steps"][:, None],
        )

    def _prompt(self, problems: Problems, task: int, slots: Tensor) -> Tensor:
        rows = len(slots)
        fixed = torch.tensor([TOKENS.begin, task, TOKENS.ready], device=self.device).expand(rows, 3)
        start = VALUES + problems["start"][:, None]
        return torch.cat((fixed[:, :2], start, slots.flatten(1), fixed[:, 2:]), 1)

    def _pass(
        self, problems: Problems, draw: torch.Generator, rechecks: Tensor, active: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """One pass over the chain for the rows in ``active``: pieces of the trace, and the last value [N]."""
        none = torch.full_like(problems["start"], -1)
        pieces, before, final = [], problems["start"], problems["start"]
        for index in range(self.steps):
            here = active & (index < problems["steps"])
            fact = (problems["operation"][:, index], before, problems["operand"][:, index])
            value = self.write_value(*fact, draw, none)
            accepted = self.check(value == self.truth[fact], uniform(len(value), draw))
            asks, redone = here & rechecks, here & rechecks & ~accepted
            other = self.write_value(*fact, draw, value if self.config.replaces else none)
            answer = torch.where(accepted, TOKENS.accepted, TOKENS.refused)
            pieces += [
                self._line(index, fact, value, here),
                torch.stack((self._written(TOKENS.recheck, asks), self._written(answer, asks)), 1),
                self._line(index, fact, other, redone),
            ]
            before = torch.where(redone, other, value)
            final = torch.where(here, before, final)
        return pieces, final

    def _line(self, index: int, fact: tuple[Tensor, Tensor, Tensor], value: Tensor, here: Tensor) -> Tensor:
        operation, before, operand = fact
        label = torch.full_like(value, LABELS + index)
        line = torch.stack((label, VALUES + before, OPERATIONS + operation, VALUES + operand, VALUES + value), 1)
        return torch.where(here[:, None], line, -1)

    def _written(self, token: int | Tensor, where: Tensor) -> Tensor:
        """``token`` where it is written, -1 elsewhere."""
        filled = torch.as_tensor(token, device=self.device).expand(where.shape)
        return torch.where(where, filled, -1)

    def _fact(self, before: Tensor, operation: Tensor, operand: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Indices of a stated fact and of its value, and whether the four tokens state one."""
        stated = (
            is_value(before) & is_value(operand) & is_value(value) & is_operation(operation, self.config.operations)
        )
        most = self.config.modulus - 1
        a, b, v = ((token - VALUES).clamp(0, most) for token in (before, operand, value))
        return (operation - OPERATIONS).clamp(0, self.config.operations - 1), a, b, v, stated

    def _lines(self, problems: Problems, tokens: Tensor) -> Lines:
        operation, before, operand, value, stated = self._fact(*(shifted(tokens, by) for by in (1, 2, 3, 4)))
        starts = stated & is_label(tokens)
        label = (tokens - LABELS).clamp(0, self.steps - 1)
        same_operation = problems["operation"].gather(1, label) == operation
        copied = starts & same_operation & (problems["operand"].gather(1, label) == operand)
        fact = (operation, before, operand)
        first = starts & (shifted(tokens, -1) != TOKENS.refused)
        true = stated & (self.truth[fact] == value)
        return Lines(starts, first, starts & true, true, self.unreliable[fact], self.right_chance[fact], copied)

    def _last_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Value of the last line of each step [N, steps], and whether the step has a line."""
        place = torch.arange(tokens.shape[1], device=self.device)
        lines = is_label(tokens) & is_value(shifted(tokens, 4)) & is_value(shifted(tokens, 1))
        at = torch.where(
            (lines[:, None] & (tokens[:, None] == (LABELS + torch.arange(self.steps, device=self.device))[:, None])),
            place,
            -1,
        ).amax(-1)
        value = tokens.gather(1, (at + 4).clamp(0, tokens.shape[1] - 1)) - VALUES
        return value.clamp(0, self.config.modulus - 1), at >= 0

    def _rechecks_obeyed(self, tokens: Tensor) -> Tensor:
        """A recheck follows a first line. After a refusal comes a line of the same step, with another value."""
        asked = tokens == TOKENS.recheck
        first = is_label(shifted(tokens, -5)) & is_value(shifted(tokens, -1)) & (shifted(tokens, -6) != TOKENS.refused)
        refused = (tokens == TOKENS.refused) & (shifted(tokens, -1) == TOKENS.recheck)
        same_step = (shifted(tokens, 1) == shifted(tokens, -6)) & is_value(shifted(tokens, 5))
        if self.config.replaces:
            same_step &= shifted(tokens, 5) != shifted(tokens, -2)
        return ((first | ~asked) & (same_step | ~refused)).all(-1)


def longest_response(steps: int) -> int:
    """Tokens at which a response is truncated: two lines and a recheck for each step, and some more."""
    return 16 * -(-(steps * (2 * LINE + 2) + 24) // 16)


def is_label(token: Tensor) -> Tensor:
    return (token >= LABELS) & (token < LABELS + MOST_STEPS)


def is_operation(token: Tensor, operations: int) -> Tensor:
    return (token >= OPERATIONS) & (token < OPERATIONS + operations)


def is_value(token: Tensor) -> Tensor:
    return token >= VALUES


def truth_table(config: ChainConfig) -> Tensor:
    """Values [operations, before, operand]. Each operation can be undone, so no error is forgiven by a later step."""
    m = config.modulus
    units = [u for u in range(1, m) if torch.gcd(torch.tensor(u), torch.tensor(m)) == 1]
    before, operand = torch.arange(m)[:, None], torch.arange(m)[None, :]
    tables = [before + operand, before - operand]
    for extra in range(2, config.operations):
        factor = torch.tensor(units)[(operand * (2 * extra - 1) + extra) % len(units)]
        tables.append(factor * before + (extra - 1) * operand)
    return torch.stack([table % m for table in tables[: config.operations]])


def beliefs(config: ChainConfig, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(chance that a fact is written right, its misconception), each [operations, before, operand]."""
    draw = torch.Generator().manual_seed(7919 * config.seed + 13)
    size = tuple(truth.shape)
    chance = config.right_low + (config.right_high - config.right_low) * torch.rand(size, generator=draw)
    chance = torch.where(torch.rand(size, generator=draw) < config.unreliable, chance, config.reliable_right)
    shift = 1 + torch.randint(config.modulus - 1, size, generator=draw)
    return chance, (truth + shift) % config.modulus


def value_chances(truth: Tensor, right: Tensor, misconception: Tensor, config: ChainConfig) -> Tensor:
    """Chance of each written value [operations, before, operand, value]."""
    m = config.modulus
    others = (1 - right) * (1 - config.misconception) / (m - 2)
    table = others[..., None].expand(*truth.shape, m).clone()
    table.scatter_(-1, truth[..., None], right[..., None])
    table.scatter_(-1, misconception[..., None], ((1 - right) * config.misconception)[..., None])
    return table


def pick(chances: Tensor, noise: Tensor) -> Tensor:
    """Index [N] drawn in proportion to ``chances`` [N, V] with uniform ``noise`` [N]."""
    edges = chances.cumsum(-1)
    return (edges < (noise * edges[:, -1])[:, None]).sum(-1).clamp_max(chances.shape[1] - 1)
