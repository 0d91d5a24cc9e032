"""Each figure of the headline texts is tied to its record, cell, arm and measure, and no figure is left untied."""

import re
from statistics import mean

import pytest

from benchmarks.lab import between_bases, dose
from benchmarks.lab.page import results
from benchmarks.lab.pairs import at_rate, end
from judgerlvr.config.load import ROOT
from tests.lab.headlines import LINES, WORDS, Line, by_two_tests, ends_at, filled, over_bases

README, PAGE = "README.md", "docs/when-it-pays.md"
LAB = "benchmarks/lab/README.md"
# Where a text begins and ends. All its figures must be tied if ``ELSEWHERE`` has the text.
TEXTS = {
    "readme": (README, "**Does judging first pay?", "The recipe:"),
    "answer": (PAGE, "## Answer", "## Words"),
    "statements": (PAGE, "## Statements", "## What we recommend"),
    "recommended": (PAGE, "## What we recommend", "## All comparisons"),
    "conditions": (PAGE, "## Conditions", None),
    "lab": (LAB, "# lab simulation", "## Training"),
}
FLIPS = "| {NAME p-t} | {NAME p-t-holm} | {NAME p-flip} | {NAME p-flip-holm} |"
# Sentences with places for figures, see ``headlines``. Each must stand in its text once it is filled.
TIED = {
    "readme": [
        "judging until {rule} runs had learnt enough won {won} of its registered runs",
        "The second is quoted: {i12 points} and {i12 tokens} at equal steps, over pairs of one base, with {i12"
        " front} length",
        "Over {bases} bases, the third unregistered, the points are {over-bases}.",
        "Over the {registered} registered bases the interval holds zero: {registered-bases-bounds}.",
        "judging first shows no gain: {twin points}, by the registered correction undecided.",
        "With the candidates' tokens counted whole it is {twin whole}.",
        "among the responses that end {i12 ended-tokens}.",
        "- On other facts of the same world {i6 steps} steps of judging are a registered {i6 outcome}.",
        "Judging until all {i8 runs} had learnt enough has {i8 none}, because {i8 failed} checks failed.",
        "A length penalty is better there: {twin-high matched-tokens} at matched accuracy, and {twin-high"
        " greedy} in greedy",
        "- With rechecks right in {i12 right}, gains went",
        "With rechecks right in {c95 right}, {taught-95} runs had been taught as much and show no gain: {c95 points}.",
    ],
    "answer": [
        "So far {cells} worlds have run.",
        "- **Judging first can pay.** In chain-92-05 judging until {rule} runs had learnt enough won {won}"
        " registered runs.",
        "The second, instance 12, is quoted: **{i12 points} and {i12 tokens} at equal steps**. {i12 Front}"
        " mixture of length",
        "repeats the gain:** {i21 points} and {i21 tokens} at equal steps. Over the {bases} bases judge-most has"
        " {over-bases-points}.",
        "- **The goal of -42 % tokens is missed**, by {i12 missed} percentage points among the responses that end.",
        "judging until {rule} runs had learnt enough | stops paying once values are mostly right | {i12"
        " points}, {i12 pairs},"
        " **a registered {i12 outcome}, quoted** | {i12 end}, {i12 change}. Of responses that end: {i12"
        " ended-change} |",
        "| chain-92-05, instance 10, the run that found the effect | the same | {i10 points}, {i10 pairs},"
        " **a registered {i10 outcome}** | {i10 end}, {i10 change} |",
        "| chain-92-05, instance 21, judging until {rule} runs had learnt enough | the same | {i21 points},"
        " {i21 pairs}, unregistered, {i21 outcome} | {i21 end}, {i21 change}. Of responses that end: {i21"
        " ended-change} |",
        "| chain-92-05, instances 1 and 2, {i1+2 steps} steps of judging | the same | {i1+2 points}, {i1+2 pairs},"
        " **{i1+2 none}** | {i1+2 end}, {i1+2 change} |",
        "| chain-92-05, instance 6, {i6 steps} steps | the same | {i6 points}, {i6 pairs}, a registered {i6 outcome} |"
        " {i6 end}, {i6 change} |",
        "judging until all had learnt enough | the same | {i8 points}, {i8 pairs}, **{i8 failed} checks failed** |"
        " {i8 end}, {i8 change}. Of responses that end: {i8 ended-change} |",
        "| chain-92-15, two bases on the same facts, {c15 steps} steps | the same, from a better base | {c15"
        " points} and"
        " {c15-again points}, {c15 pairs} each, **a check failed on both** | {c15 end} and {c15-again end},"
        " {c15 change} each. The second interval {c15-again zero} |",
        "| chain-95-05 | stops paying later | {c95 points}, {c95 pairs} | {c95 end} |",
        "| twin-92-05 | always pays | {twin points}, {twin pairs} | {twin end} |",
        "training can improve rechecks | {gate points}, {gate pairs}, no penalty arm | {gate end} |",
        "The registration counts the responses that end: {i12 ended}. So -42 % is missed by {i12 missed}"
        " percentage points",
        "Over all responses -42 % is missed by {i12 missed-all}, and the interval holds -42 %.",
        "Most of the difference is vanilla's truncated responses, {i12 cut}.",
        "So {i10 end} is {i10 change}, where the ratio of both means is {i10 ratio}.",
        "Instance 8 has {i8 tokens} and is **no win**. {i8 Failed} checks failed",
        "and {i8 cut} of vanilla's responses were truncated.",
        "All {i10 runs} runs of an octet share",
        "| instance | t | t, by Holm over {lines} lines | sign-flip | sign-flip, by Holm |",
        "| 10 " + FLIPS.replace("NAME", "i10"),
        "| 12 " + FLIPS.replace("NAME", "i12"),
        "Over all {lines} lines of this page both hold by t",
        "judge-most has {over-bases-points} over {bases} bases, and judge-20 in chain-92-05 {over-bases-20}"
        " over {bases-20}.",
        "Over the registered bases both hold zero: {registered-bases} over {registered}, and {registered-bases-20} over"
        " {registered-20}.",
    ],
    "statements": [
        "instance 12 is quoted: {i12 matched} at matched accuracy, registered. Instance 10 found the effect:"
        " {i10 matched}."
        " With {i6 steps} steps: {i1+2 matched} in instances 1 and 2, {i6 matched} in instance 6. twin: {twin matched}."
        " chain-95-05: {c95 matched}. gate-a-05: {gate matched}. With failed checks: {i8 matched} in instance 8,"
        " {c15 matched} and {c15-again matched} in chain-92-15 |",
        "instance 12 is quoted: a registered {i12 outcome}, {i12 points}. Instance 10 found the effect: a registered"
        " {i10 outcome}, {i10 points}. Instance 6 is a registered {i6 outcome} with {i6 steps} steps, {i6 points}."
        " gate-a-05: {gate points}.",
        "With failed checks instances 1 and 2 together, instance 8 and chain-92-15 gained {failed-range} |",
        "counted whole: instance 12 is quoted, {i12 whole}. Instance 10 found the effect, {i10 whole}. Instance 6:"
        " {i6 whole}, twin: {twin whole}, gate-a-05: {gate whole}.",
        "judge-20 less generate-first: {order-points} and {order-tokens}, {order-pairs} pairs of a single base",
        "judge-20 less shuffled-labels: {labels-points}, {labels-pairs} pairs of a single base of chain-92-05."
        " {labels-each}. shuffled-labels less vanilla: {shuffled points}.",
        "and {c15-low left} of {c15-low of-best} runs of penalty-low left the rechecks at 1e-4. They end at"
        " {c15-low left-ends}, judge-20 at {c15-again ends}. penalty-low less vanilla: {c15-low points}.",
        "twin: {twin-high matched-tokens} with penalty-high at matched accuracy, and {twin-high greedy} greedy,"
        " {twin-high pairs} of a single base",
    ],
    "recommended": [
        "In instance 8 ten more steps took {i8 lost-form} of {i8 runs} runs out of their form.",
        "In gate-a-05 judge-first is {gate-behind} behind at step {gate-worst-step}",
        "In the twin a penalty of {twin-low penalty} a hundred tokens changed tokens by {twin-low tokens-alone}"
        " at equal"
        " steps, with {twin-low points}. {twin-low saved-a-third} of {twin-low runs} runs saved a third",
        "In chain-92-15 {c15-low left} of {c15-low of-best} runs with this penalty left the habit at 1e-4, and in"
        " instances 10 and 12 {low-of-wins}.",
        "In the tenth record {c15-again vanilla-left} vanilla runs of chain-92-15 at 1e-4 left the habit alone.",
        "The rule took {i10 steps} steps of {i10 all-steps} in instances 10 and 21 and {i12 steps} in instance 12, at"
        " the rate 1e-4.",
    ],
    "conditions": [
        "{failed-40} bases of chain-92-40 failed a check each",
        "Vanilla ended at {rates-vanilla}, and judge-20 at {rates-judge}. So vanilla was given the rate that suits"
        " judge-20, by {rates-lost}.",
        "judge-first is furthest behind at step {gate-worst-step}, by {gate-worst}, and ends at {gate-ends}.",
        "{demo-checks} checks fail for every base of this world",
        "of instances 6, 8, 10, 12 and 21 and of gate-a-05 have {base-steps}.",
        "Each registered run has {i12 runs} pairs and {i12 arms} arms, on a single base.",
        "**The map has {cells-run} cells in place of the 12 that were planned for ten GPU half-hours.**",
    ],
    "lab": [
        "Instance 6 is a {i6 outcome}. [Instance 10](results/2026-11-30-h200-ninth/README.md) is a {i10 outcome} and",
        "is the registered repeat, a {i12 outcome}, and the quoted effect: {i12 points} and {i12 tokens} at equal"
        " steps.",
        "without an outcome, because {i8 failed} checks failed.",
        "cells {cells-run} have run: chain-92-05, twin-92-05, chain-95-05, chain-92-15 and gate-a-05.",
        "At step {gate-worst-step} judge-first is at {gate-worst}. Judge-first ends at {gate-ends}.",
    ],
}
# Figures that another test holds, or that are settings of a world or goals of the issue. ``#`` stands for a number.
ELSEWHERE = {
    "readme": ["With verl, .*? points \\[#, #\\]\\."],  # tests/stages/test_seed_pairs_record.py
    "answer": [
        "a response without rechecks has # tokens, .*? more such runs",  # test_page.py, as the next
        "Of the # pairs of both wins # gained # to # points, and # gained nothing",
        "\\*\\*Two conditions",
        "into two clusters",
        "as far as eight pairs can tell",
    ],
    "statements": [
        "By the product's own engine in the .*? less shuffled # points \\[#, #\\]",  # as above
        "By the product's own engine in the .*? less `overlong: penalty` # points \\[#, #\\] and # % tokens \\[#, #\\]",
    ],
    "recommended": [
        "Twenty steps were enough in # of # runs .*? enough in # of #",  # test_record_pages.py and test_dose.py
        "the two arms end alike",
        "as eight pairs can tell",
        "has both arms",
        "The gain in this .*? a test compares",  # the table, test_page.py
        "Of all # judge-first runs of chain-92-05, # of # with a gain of # and more left, and # of # with less",
        "at # of these\\. Of the # runs that came later, # of # with that gain left, and # of # with less",
        "which the table leaves out, # of # and # of # left",  # test_recipes_record.py
        "the # runs that had learnt # gained # to #, and none left",  # test_dose.py
    ],
    "conditions": [
        "Of # planned cells # have run and # have not",  # test_page.py
        "lost by 14 and 23 points at 80 equal steps",  # of the prototype, without a record
        "policy of 3.4 M parameters",
        "no arm of .{0,12} had ended less accurate at .{0,6} than at",  # a registration, and contradicted
        "truncated no response in the three records of an H200",  # test_the_first_registration_is_wrong_of_vanilla
        "a win for the four instances",
        "Two measures of the twin differ",
        "Planned were 48 pairs and five arms",  # of the issue, as the next
        "The plan counted on 120 s",
        "48 pairs of five arms are .*? the 18,000 at # s each",  # test_spent.py, as the next
        "# octets took .*? s each\\.",
        "# bases were trained .*? take #,# s",
        "# calls were cut .*? lower bound: #,# s",
        "So the 18,000 s are spent",
        "# of the # octets went to chain-92-05",  # test_page.py
    ],
}
GOALS = ["\\+3\\.7 points", "-42 %"]
NAMES = [
    "\\]\\([^)]*\\)",
    "`[^`]*`",
    "chain-9\\d-\\d\\d",
    "twin-92-05",
    "judge-20",
    "4\\.5 M",
    "instances? \\d+(, \\d+)*( and \\d+)?",
    "[15]e-[45]",
    "\\[1[02]\\b",
    "gate-[as]-05",
]
NUMBER = re.compile(rf"\d|\b({'|'.join(WORDS[2:])})\b", re.I)  # "no" and "one" are words of every sentence


def text_of(name):
    file, begin, end = TEXTS[name]
    text = " ".join((ROOT / file).read_text().split())
    _, found, rest = text.partition(begin)
    assert found, begin
    return found + (rest.partition(end)[0] if end else rest)


@pytest.mark.parametrize(("name", "sentence"), [(name, one) for name, tied in TIED.items() for one in tied])
def test_a_sentence_has_the_figures_of_its_record(name, sentence):
    assert filled(sentence) in text_of(name)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_figure_is_left_untied(name):
    text = text_of(name)
    for sentence in TIED[name]:
        text = text.replace(filled(sentence), " ")
    number = rf"(?:[-+]?[.\d]*\d|{'|'.join(WORDS)})"
    for pattern in [*ELSEWHERE[name], *GOALS, *NAMES]:
        text = re.sub(pattern.replace("#", number), " ", text, flags=re.I)
    left = [text[max(0, one.start() - 40) : one.end() + 25] for one in NUMBER.finditer(text)]
    assert left == []


def test_intervals_over_bases_lie_above_zero_only_with_unregistered_bases():
    """Points of each line of the table over bases."""
    every = {name: between_bases.over_bases(group, "accuracy") for name, group in between_bases.differences().items()}
    above = {name for name, one in every.items() if one.low > 0}
    assert above == {("chain-92-05", "judge-most"), ("chain-92-05", "judge-20")}
    assert max(over_bases(arm, registered=True)[1].low for _, arm in above) < 0
    assert "Both lie above zero only because unregistered bases count." in text_of("answer")


def test_instance_21_took_as_many_steps_as_instance_10():
    assert Line("i21").figure("steps") == Line("i10").figure("steps")


@pytest.mark.parametrize("name", ["i10", "i12"])
def test_a_win_holds_by_t_and_not_by_sign_flips_with_holm(name):
    t, t_holm, flip, flip_holm = by_two_tests()[LINES[name]]
    assert max(t, t_holm, flip) < 0.05 < flip_holm
    assert "by sign-flip and Holm neither is a win" in text_of("answer")


def test_the_first_registration_is_wrong_of_vanilla():
    """At the slower rate vanilla is no less accurate, and truncates nothing in the records of an H200."""
    assert mean(ends_at("vanilla", 5e-5)) > mean(ends_at("vanilla", 1e-4))
    octets = [cell.octets["vanilla"] for record, cell in results() if cell.name == dose.CELL and "h200" in record]
    cut = [end(run["curve"], "truncated") for octet in octets for run in at_rate(octet, 5e-5)]
    assert len(octets) == 3 and max(cut) < 0.0005
