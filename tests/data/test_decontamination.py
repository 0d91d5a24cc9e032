"""Decontamination: recall on planted duplicates, flags on real training problems, and what lies beneath."""

import random
from fractions import Fraction

import pytest

from benchmarks.data.planted_duplicates import KINDS, SUFFIX, in_words, recall
from data.decontaminate import NGRAM, SHARE, EvaluationIndex, check_overlap, ngrams, overlaps, read_evaluation
from data.normalised_tokens import normalised_tokens
from data.template_text import find_template
from rewards.errors import InputError
from rewards.types import Problem

# Least recall of each kind. Fixed on MATH-500, the same on the other sets.
LEAST = {"latex": 0.99, "unicode": 0.97, "words": 0.97, "names": 0.75}
KNOWN = "one box of apples weighs as much as nine pears and ten plums together so tell me how"


def problems(folder, name):
    return read_evaluation(folder / name)


@pytest.mark.parametrize("name", ["math500", "gsm8k-test", "svamp"])
@pytest.mark.parametrize("kind", KINDS)
def test_recall_on_planted_duplicates(test_data, name, kind):
    found, planted = recall(kind, problems(test_data, f"eval/{name}.jsonl"), seed=1)
    assert planted >= 30
    assert found / planted >= LEAST.get(kind, 0.99)


def test_flags_on_real_training_problems(test_data):
    train = problems(test_data, "train/math-train-7474.json")
    assert len(overlaps(train, problems(test_data, "eval/math500.jsonl"))) <= 90


def test_an_instruction_on_the_planted_rows_alone_hides_nothing(test_data):
    train = problems(test_data, "train/math-train-7474.json")
    evaluation = problems(test_data, "eval/math500.jsonl")
    planted = [Problem(f"planted-{n}", p.text + SUFFIX) for n, p in enumerate(evaluation)]
    found = {overlap.problem.id for overlap in overlaps([*train, *planted], evaluation)}
    assert sum(p.id in found for p in planted) >= 0.99 * len(planted)


def test_the_same_template_in_both_files_is_no_contamination(test_data):
    train = problems(test_data, "train/math-train-7474.json")
    evaluation = problems(test_data, "eval/gsm8k-test.jsonl")
    both = [[Problem(p.id, f"Solve this task. {p.text}{SUFFIX}") for p in side] for side in (train, evaluation)]
    assert len(overlaps(*both)) <= len(overlaps(train, evaluation)) + 3


@pytest.mark.parametrize("number", [*range(130), 200, 305, 999, 1000, 1001, 12_345, 100_000, 999_999])
def test_number_words_are_their_digits(number):
    assert normalised_tokens(f"he has {in_words(number)} of them") == ["he", "has", str(number), "of", "them"]


def test_two_numbers_side_by_side_stay_two():
    assert normalised_tokens("four, five; twenty one-half and one hundred") == ["4", "5", "21", "half", "and", "100"]


@pytest.mark.parametrize(
    "other",
    [
        r"Let $\dfrac{1}{2} \leq x^{2}$ and $12{,}345\times y$.",
        "LET \u00bd \u2264 x\u00b2 and 12,345 \u00d7 y",
        "let 1/2 <= x^2 and 12345 y",
    ],
)
def test_spellings_of_one_text_have_the_same_tokens(other):
    assert normalised_tokens(other) == ["let", "1", "2", "x", "2", "and", "12345", "y"]


def test_ngrams_of_a_short_text_are_the_text():
    assert ngrams(["what", "is", "1"]) == {("what", "is", "1")}


def naive_match(tokens, evaluation):
    """Share of the likest evaluation problem by exact fractions, without an index."""

    def grams(row):
        return {tuple(row[n : n + NGRAM]) for n in range(max(1, len(row) - NGRAM + 1))}

    best = Fraction(0)
    for problem in evaluation:
        row = normalised_tokens(problem.text)
        numbers = [[t for t in side if t.isdigit()] for side in (tokens, row)]
        least = 0.3 if numbers[0] == numbers[1] and len(numbers[0]) >= 2 else SHARE
        common = len(grams(tokens) & grams(row))
        share = max(Fraction(common, len(grams(tokens))), Fraction(common, len(grams(row))))
        if common and share >= least:
            best = max(best, share)
    return best


@pytest.mark.parametrize("seed", range(30))
def test_the_index_is_its_naive_twin(seed):
    draw = random.Random(seed)

    def text():
        start = draw.randrange(10)
        return " ".join(
            draw.choice("abc12") if draw.random() < 0.1 else str((start + n) % 7) for n in range(draw.randrange(4, 20))
        )

    evaluation = [Problem(str(n), text()) for n in range(8)]
    index = EvaluationIndex(evaluation)
    for _ in range(20):
        tokens = normalised_tokens(text())
        found = index.match(tokens)
        assert (found[1] if found else 0) == pytest.approx(float(naive_match(tokens, evaluation)))


def test_evaluation_problem_inside_a_longer_prompt_is_found():
    padding = " ".join(f"word{n}" for n in range(120))
    found = overlaps([Problem("a", f"{KNOWN} {padding}"), Problem("b", padding)], [Problem("e", KNOWN)])
    assert [overlap.problem.id for overlap in found] == ["a"]


def test_pairs_are_shown(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text(f'{{"id": "e7", "problem": "{KNOWN}"}}\n')
    with pytest.raises(InputError, match=r"'t1: one box of apples.*' ~ 'e7: one box of apples"):
        check_overlap([Problem("x", KNOWN, "1", {"given_id": "t1"})], [path])


@pytest.mark.parametrize(("count", "shares"), [(19, 19), (40, 8)])
def test_a_prefix_of_too_few_rows_stays(count, shares):
    rows = [["solve", "this", str(n), "now"] if n < shares else [str(n), "then", "x"] for n in range(count)]
    assert find_template(rows).prefixes == frozenset()


@pytest.mark.parametrize("count", [20, 25_000])
def test_prefix_and_suffix_of_several_templates_go(count):
    heads, tails = [["solve", "this"], ["please"], []], [["in", "a", "box"], [], ["now"]]
    rows = [[*heads[n % 3], f"x{n}", f"y{n}", *tails[n % 3]] for n in range(count * 3)]
    template = find_template(rows)
    assert [template.strip(row) for row in rows[:300]] == [[f"x{n}", f"y{n}"] for n in range(min(300, 3 * count))]


def test_text_in_the_middle_is_no_template():
    rows = [[f"a{n}", "in", "the", "middle", f"b{n}"] for n in range(100)]
    assert find_template(rows).strip(rows[0]) == rows[0]
