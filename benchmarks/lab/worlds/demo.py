"""The demo's chain: the product's tiny world in the lab, 2 to 4 operations modulo 30.

A line states one step: label, value before, operation, operand, equals, value. In the thinking part the policy may
write ``recheck`` and the step once more, by the same beliefs. So the world never replies. Some responses begin with a
hum, and some go over everything a second time. ``CLOSE`` ends the thinking part. The solution states each step once
more, then the answer. A judge sees the solution alone. A wrong value is rarer than the right one at every fact, so a
colder sampling of the base is right more often, up to always. Figures of this world need the base at equal entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.lab.worlds.base import (
    TOKENS,
    Grades,
    Problems,
    Traces,
    World,
    below,
    from_end,
    half_gold,
    shifted,
    uniform,
    value_features,
)
from benchmarks.lab.worlds.demo_facts import (
    CLOSE,
    HUM,
    LABELS,
    LINE,
    OPERATIONS,
    VALUES,
    VOCABULARY,
    DemoConfig,
    DemoFacts,
    is_line,
    is_value,
)
from benchmarks.lab.worlds.demo_traces import DemoTracer, Habits
from benchmarks.lab.worlds.gate import first_of

TAIL = 3  # answer, value, end


class DemoWorld(World):
    def __init__(self, config: DemoConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.name = "demo"
        self.vocabulary = VOCABULARY
        self.steps = config.most_steps
        self.prompt_length = 4 + 3 * self.steps
        self.judge_prompt_length = 4 + 4 * self.steps
        self.response_limit = 16 * -(-longest_response(config) // 16)
        self.judge_limit = 8 * -(-(self.steps * (LINE + 1) + TAIL) // 8)
        self.window = 1 + self.steps * LINE  # so that the end of the thinking part is seen from all of the solution
        self.facts = DemoFacts(config, device)

    def problems(self, rows: int, draw: torch.Generator) -> Problems:
        c = self.config
        steps = c.least_steps + below(c.most_steps - c.least_steps + 1, rows, draw)
        start = below(c.modulus, rows, draw)
        operation, operand = self.facts.problem_steps((rows, self.steps), draw)
        values, before = [], start
        for index in range(self.steps):
            before = self.facts.truth[operation[:, index], before, operand[:, index]]
            values.append(before)
        gold = torch.stack(values, 1)
        answer = gold.gather(1, steps[:, None] - 1)[:, 0]
        return dict(steps=steps, start=start, operation=operation, operand=operand, gold=gold, answer=answer)

    def prompt(self, problems: Problems) -> Tensor:
        return self._prompt(problems, TOKENS.solve, self._slots(problems))

    def judge_prompt(self, problems: Problems, candidate: Tensor) -> Tensor:
        return self._prompt(
            problems, TOKENS.judge, torch.cat((self._slots(problems), VALUES + candidate[..., None]), -1)
        )

    def solve_traces(self, problems: Problems, draw: torch.Generator) -> Traces:
        c, style = self.config, uniform(len(problems["steps"]), draw)
        rambles = style >= c.direct + c.careful
        careful = (style >= c.direct) & ~rambles
        right, wrong = (careful * chance + rambles * c.wait_rambling for chance in (c.wait_if_right, c.wait_if_wrong))
        twice = rambles & (uniform(len(style), draw) < c.second_pass)
        return self.traces_with(problems, draw, Habits(right, wrong, rambles, twice))

    def traces_with(self, problems: Problems, draw: torch.Generator, habits: Habits) -> Traces:
        return DemoTracer(self.config, self.facts, problems, draw).solve(habits)

    def plain_traces(self, problems: Problems, draw: torch.Generator) -> Traces:
        """The direct style: one pass without a second look."""
        never = torch.zeros(len(problems["steps"]), device=self.device)
        return self.traces_with(problems, draw, Habits(never, never, never > 0, never > 0))

    def judge_traces(self, problems: Problems, candidate: Tensor, draw: torch.Generator) -> Traces:
        return DemoTracer(self.config, self.facts, problems, draw).judge(candidate)

    def candidates(self, problems: Problems, draw: torch.Generator) -> Tensor:
        """Half the true values, half what a direct pass of the base writes."""
        shown = self.grade(problems, self.plain_traces(problems, draw)).candidate
        return half_gold(problems["gold"], shown, draw)

    def recheck_due(self, window: Tensor) -> Tensor:
        """After each line of the thinking part that does not follow a recheck itself."""
        stated = is_line(window[..., -LINE:], self.config.modulus)
        solution = (window == CLOSE).any(-1)
        return stated & ~solution & (window[..., -LINE - 1] != TOKENS.recheck)

    def grade(self, problems: Problems, traces: Traces) -> Grades:
        """Right when the answer behind the thinking part is. Usable when the solution states all steps up to it."""
        given = from_end(traces, 2) - VALUES
        shaped = (from_end(traces, 1) == TOKENS.end) & (from_end(traces, 3) == TOKENS.answer) & (traces.lengths >= TAIL)
        closed = (traces.tokens == CLOSE).any(-1)
        well_formed = shaped & closed & is_value(given + VALUES, self.config.modulus)
        shown, complete = self._solution(problems, traces)
        last = shown.gather(1, problems["steps"][:, None] - 1)[:, 0]
        right = well_formed & (given == problems["answer"])
        return Grades(right, well_formed, shown, well_formed & complete & (last == given))

    def counts(self, problems: Problems, traces: Traces) -> dict[str, Tensor]:
        tokens = traces.tokens
        shown, complete = self._solution(problems, traces)
        thought, has_thought = self._last_thought(tokens)
        absent = ~self._present(problems)
        return {
            **self._lines(problems, tokens),
            "rechecks": (tokens == TOKENS.recheck).sum(-1),
            "again": (tokens == TOKENS.again).sum(-1),
            "hums": (tokens == HUM).any(-1),
            "restates": complete & ((has_thought & (shown == thought)) | absent).all(-1),
        }

    def judge_counts(self, problems: Problems, candidate: Tensor, traces: Traces) -> dict[str, Tensor]:
        tokens = traces.tokens
        starts = self._starts(tokens)
        label = (tokens - LABELS).clamp(0, self.steps - 1)
        agrees = shifted(tokens, LINE - 1) - VALUES == candidate.gather(1, label)
        said = from_end(traces, 2) == TOKENS.right
        follows = starts.any(-1) & (said == ~(starts & ~agrees).any(-1))
        return {**self._lines(problems, tokens), "checked": starts.any(-1), "verdict_follows": follows}

    def shortcut_features(self, problems: Problems, candidate: Tensor) -> Tensor:
        return value_features(candidate, problems["steps"], self.config.modulus)

    def _present(self, problems: Problems) -> Tensor:
        return torch.arange(self.steps, device=self.device) < problems["steps"][:, None]

    def _slots(self, problems: Problems) -> Tensor:
        labels = (LABELS + torch.arange(self.steps, device=self.device)).expand_as(problems["operation"])
        return torch.stack((labels, OPERATIONS + problems["operation"], VALUES + problems["operand"]), -1)

    def _prompt(self, problems: Problems, task: int, slots: Tensor) -> Tensor:
        slots = torch.where(self._present(problems)[..., None], slots, TOKENS.fill)
        fixed = torch.tensor([TOKENS.begin, task, TOKENS.ready], device=self.device).expand(len(slots), 3)
        start = VALUES + problems["start"][:, None]
        return torch.cat((fixed[:, :2], start, slots.flatten(1), fixed[:, 2:]), 1)

    def _solution(self, problems: Problems, traces: Traces) -> tuple[Tensor, Tensor]:
        """Values shown [N, steps], 0 for absent steps, and whether exactly the steps stand behind the thinking part.

        A complete solution copies each operand, and begins each line with the value of the line before.
        """
        present, steps = self._present(problems), problems["steps"]
        places = torch.arange(self.steps * LINE, device=self.device)
        begin = traces.lengths - TAIL - steps * LINE
        at = (begin[:, None] + places).clamp(0, traces.tokens.shape[1] - 1)
        lines = traces.tokens.gather(1, at).unflatten(1, (self.steps, LINE))
        value = (lines[..., -1] - VALUES).clamp(0, self.config.modulus - 1)
        before = torch.cat((problems["start"][:, None], value[:, :-1]), 1)
        label, operation, operand = self._slots(problems).unbind(-1)
        copied = (lines[..., 0] == label) & (lines[..., 1] == VALUES + before)
        copied &= (lines[..., 2] == operation) & (lines[..., 3] == operand) & is_line(lines, self.config.modulus)
        closed = traces.tokens.gather(1, (begin - 1).clamp_min(0)[:, None])[:, 0] == CLOSE
        return torch.where(present, value, 0), (copied | ~present).all(-1) & closed & (begin > 0)

    def _last_thought(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Value of the last line of each step in the thinking part [N, steps], and whether there is one."""
        thinking = self._starts(tokens) & ((tokens == CLOSE).cumsum(-1) == 0)
        place = torch.arange(tokens.shape[1], device=self.device)
        labels = LABELS + torch.arange(self.steps, device=self.device)
        of_step = thinking[:, None] & (tokens[:, None] == labels[:, None])
        at = torch.where(of_step, place, -1).amax(-1)
        value = tokens.gather(1, (at + LINE - 1).clamp(0, tokens.shape[1] - 1)) - VALUES
        return value.clamp(0, self.config.modulus - 1), at >= 0

    def _starts(self, tokens: Tensor) -> Tensor:
        """Where a line starts [N, T]."""
        return is_line(torch.stack([shifted(tokens, by) for by in range(LINE)], -1), self.config.modulus)

    def _lines(self, problems: Problems, tokens: Tensor) -> dict[str, Tensor]:
        """Counts of lines [N]. Facts count in the first line of each step, whichever part of the response has it.

        A second look follows wrong values more often, and restating needs no fact.
        """
        starts, most = self._starts(tokens), self.config.modulus - 1
        step = (tokens - LABELS).clamp(0, self.steps - 1)
        before, operand, value = ((shifted(tokens, by) - VALUES).clamp(0, most) for by in (1, 3, 5))
        operation = (shifted(tokens, 2) - OPERATIONS).clamp(0, 2)
        fact = (operation, before, operand)
        same = (problems["operation"].gather(1, step) == operation) & (problems["operand"].gather(1, step) == operand)
        right, first = self.facts.truth[fact] == value, first_of(starts, step, self.steps)
        doubtful, firm = first & self.facts.unreliable[fact], first & ~self.facts.unreliable[fact]
        masks = {
            "lines": starts,
            "copied": starts & same,
            "unreliable": doubtful,
            "unreliable_right": doubtful & right,
            "unreliable_belief": doubtful * self.facts.right_chance[fact],
            "reliable": firm,
            "reliable_right": firm & right,
        }
        return {name: mask.sum(-1) for name, mask in masks.items()}


def longest_response(config: DemoConfig) -> int:
    """Tokens of the longest trace that the base can write: a hum, two passes of all tries, and the solution."""
    tried = config.tries * LINE + config.tries - 1
    return 2 + 2 * config.most_steps * tried + 1 + config.most_steps * LINE + TAIL
