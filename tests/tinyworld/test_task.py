"""The world: problems, facts, splits, and the rows and files made of them."""

import json
import random
from itertools import pairwise

import pytest

from judgerlvr.tinyworld.__main__ import main
from judgerlvr.tinyworld.problems import generate_problems
from judgerlvr.tinyworld.task import Chain, World, WorldConfig, compute, parse_chain


def chains(count, seed=0):
    world, draw = World(), random.Random(seed)
    return [world.sample(draw) for _ in range(count)]


def test_answer_equals_plain_evaluation():
    for chain in chains(200):
        value = chain.start
        for operation, operand in chain.steps:
            value = eval(f"({value} {operation} {operand}) % 30")
        assert chain.answer == value


def test_text_is_read_back():
    for chain in chains(200):
        assert parse_chain(chain.text) == chain


def test_other_text_is_refused():
    with pytest.raises(ValueError, match="not a chain"):
        parse_chain("What is 2+2?")


def test_a_wrong_value_never_ends_in_the_right_answer():
    """Products by units keep values apart, so the label of a solution with one bad step is always `wrong`."""
    for chain in chains(100):
        for wrong in set(range(30)) - {chain.values[1]}:
            value = wrong
            for operation, operand in chain.steps[1:]:
                value = compute(operation, value, operand, 30)
            assert value != chain.answer


def test_share_of_unreliable_facts_is_as_configured():
    facts = World(WorldConfig(unreliable=0.7)).facts.values()
    assert sum(fact.misconception is not None for fact in facts) / len(facts) == pytest.approx(0.7, abs=0.04)


def test_a_misconception_differs_from_the_value():
    assert all(fact.misconception != fact.value for fact in World().facts.values())


def test_stated_values_follow_each_facts_reliability():
    world, draw = World(), random.Random(3)
    for (operation, left, right), fact in list(world.facts.items())[::200]:
        share = sum(world.state(draw, operation, left, right) == fact.value for _ in range(2000)) / 2000
        assert share == pytest.approx(fact.right, abs=0.05)  # a random wrong draw may hit the value: + 0.5 points


def test_splits_are_disjoint_for_all_seeds():
    train = {row["problem"] for seed in range(3) for row in generate_problems(400, seed, "train")}
    heldout = {row["problem"] for seed in range(3) for row in generate_problems(400, seed, "heldout")}
    assert not train & heldout


def test_problems_are_different_and_reproducible():
    rows = generate_problems(300, seed=5)
    assert rows == generate_problems(300, seed=5)
    assert len({row["id"] for row in rows}) == len({row["problem"] for row in rows}) == 300


def test_gold_is_the_answer():
    assert all(int(row["gold"]) == parse_chain(row["problem"]).answer for row in generate_problems(50, seed=1))


def test_two_steps_use_consecutive_variables():
    chain = Chain(30, 7, (("*", 11), ("-", 3)))
    lines = chain.text.split("\n")
    assert lines == ["mod 30", "a=7", "b=a*11", "c=b-3", "c?"]
    assert all(later[2] == earlier[0] for earlier, later in pairwise(lines[1:-1]))


def test_command_writes_both_splits(tmp_path, capsys):
    assert main([str(tmp_path), "--train", "20", "--heldout", "10"]) == 0
    counts = {name: len((tmp_path / f"{name}.jsonl").read_text().splitlines()) for name in ("train", "heldout")}
    assert counts == {"train": 20, "heldout": 10}
    assert set(json.loads((tmp_path / "train.jsonl").read_text().splitlines()[0])) == {"id", "problem", "gold"}


@pytest.mark.parametrize(
    "arguments", [["--min-steps", "3", "--max-steps", "2"], ["--min-steps", "1", "--max-steps", "1"], ["--train", "0"]]
)
def test_command_refuses_impossible_settings_in_one_line(tmp_path, capsys, arguments):
    assert main([str(tmp_path), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
