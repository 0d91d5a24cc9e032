"""The gate worlds A and S: four gates with three keys each, of which the gate asks for a single key.

A rule allows some keys for the key of a gate. A line states a check: label, key of the gate, rule, key checked, yes or
no. World A takes the first key that passes. World S checks all three keys. ``recheck`` announces another check. The
base writes that check by the same beliefs as the first, so the world never replies. With *polarity* half of the gates
ask for a key that the rule forbids, and the label says so. A judge sees a single key for each gate. Without polarity
nearly all checks of a judge are of allowed keys, while solving checks mostly forbidden keys.
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
)
from benchmarks.lab.worlds.gate_facts import (
    CHOICES,
    KEYS,
    LABELS,
    LINE,
    MOST_GATES,
    RULE,
    RULES,
    VOCABULARY,
    YES,
    GateConfig,
    GateFacts,
    asks_forbidden,
    is_key,
    is_label,
    is_rule,
    is_verdict,
)
from benchmarks.lab.worlds.gate_traces import GateTracer, Habits


class GateWorld(World):
    def __init__(self, config: GateConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.name = ("gate-s" if config.lists_all else "gate-a") + ("-polarity" if config.polarity else "")
        self.vocabulary = VOCABULARY
        self.prompt_length = 3 + (3 + CHOICES) * config.gates
        self.judge_prompt_length = 3 + (4 + CHOICES) * config.gates
        self.response_limit = 16 * -(-longest_response(config) // 16)
        self.judge_limit = 8 * -(-(config.gates * LINE + 3) // 8)
        self.window = (CHOICES if config.lists_all else 1) * LINE + 1
        self.facts = GateFacts(config, device)

    def problems(self, rows: int, draw: torch.Generator) -> Problems:
        """Per gate [N, gates]: rule, key, whether the forbidden key is asked for, choices [.., CHOICES] and gold."""
        size = (rows, self.config.gates)
        rule, key = below(RULES, size, draw), below(self.config.keys, size, draw)
        forbidden = (uniform(size, draw) < 0.5) & self.config.polarity
        asked = self.facts.allowed[rule, key] ^ forbidden[..., None]
        noise = uniform((*size, self.config.keys), draw)
        gold = (noise + asked).argmax(-1, keepdim=True)
        others = (noise - 2.0 * asked).topk(CHOICES - 1, -1).indices
        order = uniform((*size, CHOICES), draw).argsort(-1)
        choices = torch.cat((gold, others), -1).gather(-1, order)
        return dict(rule=rule, key=key, forbidden=forbidden, choices=choices, gold=gold[..., 0])

    def prompt(self, problems: Problems) -> Tensor:
        return self._prompt(TOKENS.solve, self._slots(problems))

    def judge_prompt(self, problems: Problems, candidate: Tensor) -> Tensor:
        return self._prompt(TOKENS.judge, torch.cat((self._slots(problems), KEYS + candidate[..., None]), -1))

    def solve_traces(self, problems: Problems, draw: torch.Generator) -> Traces:
        c, style = self.config, uniform(len(problems["rule"]), draw)
        thorough = (style >= c.direct + c.careful).float()
        suspicious = (style >= c.direct) * c.suspicious
        habits = Habits(suspicious, thorough * c.otherwise, thorough * c.second_pass, c.most_rechecks)
        return self.traces_with(problems, draw, habits)

    def traces_with(self, problems: Problems, draw: torch.Generator, habits: Habits) -> Traces:
        return GateTracer(self.config, self.facts, problems, draw).solve(habits)

    def plain_traces(self, problems: Problems, draw: torch.Generator, rechecks: float = 0.0) -> Traces:
        """One pass. With ``rechecks`` 1 each suspicious place is rechecked once, as in the forced style."""
        never = torch.zeros(len(problems["rule"]), device=self.device)
        return self.traces_with(problems, draw, Habits(never + rechecks, never, never, 1))

    def judge_traces(self, problems: Problems, candidate: Tensor, draw: torch.Generator) -> Traces:
        return GateTracer(self.config, self.facts, problems, draw).judge(candidate)

    def candidates(self, problems: Problems, draw: torch.Generator) -> Tensor:
        """Half the gold, half what a direct pass of the base takes."""
        shown = self.grade(problems, self.plain_traces(problems, draw)).candidate
        return half_gold(problems["gold"], shown, draw)

    def recheck_due(self, window: Tensor) -> Tensor:
        """After a line that takes a key (A), or three lines of a gate that do not take a single key (S). Once each."""
        lines = [window[..., at : at + LINE] for at in range(1, self.window, LINE)]
        complete = torch.stack([self._is_line(line) & (line[..., 0] == lines[0][..., 0]) for line in lines]).all(0)
        taken = torch.stack([takes(line) for line in lines]).sum(0)
        suspicious = (taken != 1) if self.config.lists_all else (taken == 1)
        return complete & suspicious & (window[..., 0] != TOKENS.recheck)

    def grade(self, problems: Problems, traces: Traces) -> Grades:
        """Right when the answer's keys are the gold. Usable when each key is among the choices of the gate."""
        count = self.config.gates
        picks = torch.stack([from_end(traces, 1 + count - gate) for gate in range(count)], 1)
        shaped = (from_end(traces, 1) == TOKENS.end) & (from_end(traces, count + 2) == TOKENS.answer)
        well_formed = shaped & (traces.lengths >= count + 2) & is_key(picks, self.config.keys).all(-1)
        candidate = (picks - KEYS).clamp(0, self.config.keys - 1)
        usable = well_formed & (problems["choices"] == candidate[..., None]).any(-1).all(-1)
        return Grades(well_formed & (candidate == problems["gold"]).all(-1), well_formed, candidate, usable)

    def counts(self, problems: Problems, traces: Traces) -> dict[str, Tensor]:
        tokens = traces.tokens
        return {
            **self._checks(problems, tokens, problems["choices"]),
            "rechecks": (tokens == TOKENS.recheck).sum(-1),
            "again": (tokens == TOKENS.again).sum(-1),
        }

    def judge_counts(self, problems: Problems, candidate: Tensor, traces: Traces) -> dict[str, Tensor]:
        starts, _, _ = self._stated(traces.tokens)
        refused = starts & ~takes(torch.stack([shifted(traces.tokens, by) for by in range(LINE)], -1))
        said = from_end(traces, 2) == TOKENS.right
        follows = starts.any(-1) & (said == ~refused.any(-1))
        counted = self._checks(problems, traces.tokens, candidate[..., None])
        return {**counted, "checked": starts.any(-1), "verdict_follows": follows}

    def shortcut_features(self, problems: Problems, candidate: Tensor) -> Tensor:
        """Place of each key shown among its choices, how often each key is shown, both by what the gate asks."""
        place = (problems["choices"] == candidate[..., None]).float()
        shown = torch.nn.functional.one_hot(candidate, self.config.keys).float()
        asks = problems["forbidden"][..., None].float()
        places, often = (torch.cat((x * (1 - asks), x * asks), -1) for x in (place, shown))
        own = (candidate == problems["key"]).float()
        distinct = (shown.sum(1) > 0).float().sum(-1, keepdim=True)
        return torch.cat((place.flatten(1), places.sum(1), often.sum(1), own.sum(-1, keepdim=True), distinct), -1)

    def _slots(self, problems: Problems) -> Tensor:
        labels = LABELS + torch.arange(self.config.gates, device=self.device) + MOST_GATES * problems["forbidden"]
        fixed = torch.stack((labels, RULE + problems["rule"], KEYS + problems["key"]), -1)
        return torch.cat((fixed, KEYS + problems["choices"]), -1)

    def _prompt(self, task: int, slots: Tensor) -> Tensor:
        fixed = torch.tensor([TOKENS.begin, task, TOKENS.ready], device=self.device).expand(len(slots), 3)
        return torch.cat((fixed[:, :2], slots.flatten(1), fixed[:, 2:]), 1)

    def _is_line(self, line: Tensor) -> Tensor:
        """Whether five tokens [..., LINE] state a check."""
        label, own, rule, key, verdict = line.unbind(-1)
        keys = is_key(own, self.config.keys) & is_key(key, self.config.keys)
        return is_label(label) & keys & is_rule(rule) & is_verdict(verdict)

    def _checks(self, problems: Problems, tokens: Tensor, shown: Tensor) -> dict[str, Tensor]:
        """Counts of lines [N], whose keys are copied from ``shown`` [N, gates, any]. Facts count in first lines only.

        After training, what is checked twice may get another verdict the second time.
        """
        starts, gate, fact = self._stated(tokens)
        allowed, belief = self.facts.allowed[fact], self.facts.right_chance[fact]
        right = (shifted(tokens, 4) == YES) == allowed
        first = first_of(starts, gate * self.config.keys + fact[2], MOST_GATES * self.config.keys)
        doubtful, firm = first & self.facts.unreliable[fact], first & ~self.facts.unreliable[fact]
        masks = {
            "lines": starts,
            "copied": starts & self._copied(problems, tokens, gate, fact, shown),
            "unreliable": doubtful,
            "unreliable_right": doubtful & right,
            "unreliable_belief": doubtful * belief,
            "reliable": firm,
            "reliable_right": firm & right,
            "of_forbidden": starts & ~allowed,
            "unreliable_forbidden": doubtful & ~allowed,
            "false_yes": doubtful & ~allowed & ~right,
            "unreliable_allowed": doubtful & allowed,
            "false_no": doubtful & allowed & ~right,
        }
        return {name: mask.sum(-1) for name, mask in masks.items()}

    def _stated(self, tokens: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Where a line starts [N, T], and its gate and fact as indices, which mean nothing elsewhere."""
        starts = self._is_line(torch.stack([shifted(tokens, by) for by in range(LINE)], -1))
        gate = ((tokens - LABELS) % MOST_GATES).clamp_max(self.config.gates - 1)
        own, key = ((shifted(tokens, by) - KEYS).clamp(0, self.config.keys - 1) for by in (1, 3))
        return starts, gate, ((shifted(tokens, 2) - RULE).clamp(0, RULES - 1), own, key)

    def _copied(
        self, problems: Problems, tokens: Tensor, gate: Tensor, fact: tuple[Tensor, Tensor, Tensor], shown: Tensor
    ) -> Tensor:
        label = LABELS + gate + MOST_GATES * problems["forbidden"].gather(1, gate)
        offered = shown.gather(1, gate[..., None].expand(*gate.shape, shown.shape[2]))
        same = (tokens == label) & (problems["rule"].gather(1, gate) == fact[0])
        return same & (problems["key"].gather(1, gate) == fact[1]) & (offered == fact[2][..., None]).any(-1)


def takes(line: Tensor) -> Tensor:
    """Whether the verdict of a line [..., LINE] is what its gate asks for."""
    return (line[..., 4] == YES) != asks_forbidden(line[..., 0])


def first_of(here: Tensor, names: Tensor, count: int) -> Tensor:
    """True at the first place ``here`` [N, T] of each name below ``count``."""
    place = torch.arange(here.shape[1], device=here.device).expand(here.shape)
    late = torch.where(here, place, here.shape[1])
    earliest = torch.full((len(here), count), here.shape[1], device=here.device)
    earliest.scatter_reduce_(1, names, late, "amin")
    return here & (earliest.gather(1, names) == place)


def longest_response(config: GateConfig) -> int:
    """Tokens of the longest trace that the base can write."""
    listing, tail = CHOICES * LINE, config.gates + 2
    if config.lists_all:
        return config.gates * (listing * (1 + config.most_rechecks) + config.most_rechecks + 2) + tail
    second = 1 + config.gates * (listing + 2)
    return config.gates * (listing + (1 + LINE) * config.most_rechecks + 2) + second + tail
