"""A policy carries its prompt and verifier. A command with another prompt is told of the difference, or refused."""

import json
import shlex
import shutil
from dataclasses import asdict, fields, replace

import pytest

from data.jsonl import write_jsonl
from judgerlvr.config.load import ROOT
from judgerlvr.evaluate import parse_arguments
from judgerlvr.evaluation.command import fill_from_card
from judgerlvr.pipeline.export import shortest_shown
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.policy_card import CARD, PolicyCard, card_of, curl_command, read_card, run_card, write_card
from judgerlvr.stage2_generate import main
from rewards.errors import InputError

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
TINY = "configs/prompts/tiny_generate.txt"


@pytest.fixture
def policy(make_stage, tmp_path):
    """A policy of a tiny run with its card."""
    stage = make_stage("judge", overrides=["judge.data.verdicts=[Right,Wrong]", "reward.extraction=lenient"])
    (tmp_path / MANIFEST).write_text(json.dumps({"stage": "judge", "parent": {"hash": "abc"}}))
    folder = tmp_path / "policy"
    shutil.copytree(BASE, folder)
    write_card(folder, card_of(stage))
    return folder


def filled(policy, *words):
    options = parse_arguments(["--model", str(policy), "--data", "x.jsonl", *words])
    fill_from_card(options)
    return options


def test_a_card_reads_back_as_it_was_written(policy):
    card = read_card(policy)
    assert (card.verdicts, card.extraction, card.parent_hash) == (("Right", "Wrong"), "lenient", "abc")
    assert card.generation_prompt == (ROOT / TINY).read_text().removesuffix("\n")


def test_an_evaluation_asks_as_the_policy_was_trained(policy):
    options = filled(policy)
    assert options.template == read_card(policy).generation_prompt
    assert (options.verdicts, options.extraction, options.max_tokens) == (["Right", "Wrong"], "lenient", 160)


def test_a_model_without_a_card_takes_the_defaults():
    options = filled(BASE)
    assert (options.template, options.verdicts, options.max_tokens) == (None, ["Yes", "No"], 1024)


@pytest.mark.parametrize(
    "words",
    [
        ["--verdicts", "Yes", "No"],
        ["--extraction", "strict"],
        ["--verifier", "my:own"],
        ["--prompt", "configs/prompts/generate.txt"],
    ],
)
def test_another_question_is_refused_unless_asked_for(policy, words, capsys):
    with pytest.raises(InputError, match="give --override-card") as caught:
        filled(policy, *words)
    assert "\n" not in str(caught.value)
    filled(policy, *words, "--override-card")
    assert "other than the policy's card" in capsys.readouterr().out


def test_another_length_is_told(policy, capsys):
    assert filled(policy, "--max-tokens", "99").max_tokens == 99
    assert "max_response_tokens: 160 on the card, 99 here" in capsys.readouterr().out


def test_stage_2_refuses_another_extraction(policy, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--config", "configs/tiny.yaml", "--init", str(policy), "--dry-run"]
    assert main([*given, "reward.extraction=strict"]) == 2
    assert "extraction: 'lenient' on the card, 'strict' here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("generate.max_response_tokens=99", "max_response_tokens: 160 on the card, 99 here"),
        ("generate.algorithm.overlong=penalty", "length_term: 'no' on the card, 'yes' here"),
        ("temperature=0.5", "temperature: 1.0 on the card, 0.5 here"),
    ],
)
def test_stage_2_tells_what_else_differs(policy, capsys, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    buffer = ["generate.algorithm.overlong_buffer=10"] if "penalty" in words else []
    main(
        [
            "--config",
            "configs/tiny.yaml",
            "--init",
            str(policy),
            "--dry-run",
            "reward.extraction=lenient",
            words,
            *buffer,
        ]
    )
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{", "[]", '{"stage": "judge"}'])
def test_a_damaged_card_is_one_line(policy, text):
    (policy / CARD).write_text(text)
    with pytest.raises(InputError, match="not a policy's card"):
        read_card(policy)


WRONG = [None, True, 5, -1, 1.5, "many", "", [], ["Yes"], {"a": 1}]
# The values above that a fact may have.
RIGHT = {
    "generation_prompt": [None],
    "judge_prompt": [None],
    "verdicts": [None],
    "verifier": ["many", ""],
    "parent_hash": ["many", ""],
    "length_term": ["many", ""],
    "thinking_open": [True],
    "max_response_tokens": [5],
    "temperature": [5, 1.5],
}


@pytest.mark.parametrize("fact", [item.name for item in fields(PolicyCard)])
def test_a_value_that_no_card_can_have_is_one_line(policy, fact):
    card = json.loads((policy / CARD).read_text())
    for value in WRONG:
        (policy / CARD).write_text(json.dumps(card | {fact: value}))
        if any(value is right or (type(value) is type(right) and value == right) for right in RIGHT.get(fact, [])):
            assert read_card(policy) is not None
            continue
        with pytest.raises(InputError, match=f"field '{fact}'.*cannot be what the card says"):
            read_card(policy)


def test_the_serving_command_holds_the_filled_prompt(policy):
    words = shlex.split(curl_command(read_card(policy), "ckpt/judge", {"problem": "It's 1+1?"}))
    assert json.loads(words[-1])["messages"][0]["content"] == "Solve.\nIt's 1+1?"


GENERATE, JUDGE = "generation_prompt", "judge_prompt"
FILES = ["judge.data.responses=[x.jsonl]"]


@pytest.mark.parametrize(
    ("kind", "overrides", "used"),
    [
        ("judge", [], {GENERATE, JUDGE, "verdicts"}),
        ("judge", FILES, {JUDGE, "verdicts"}),
        ("generate", [], {GENERATE}),
        ("generate", FILES, {GENERATE}),
    ],
)
@pytest.mark.parametrize("with_parent", [False, True])
def test_a_card_holds_what_the_run_used_else_what_the_parent_used(
    policy, make_stage, tmp_path, kind, overrides, used, with_parent
):
    """The parent's card has other prompts and words than the run."""
    (tmp_path / MANIFEST).write_text("{}")
    words = {GENERATE: "Mine {{problem}}", JUDGE: "Mine {{problem}} {{response}}", "verdicts": ("A", "B")}
    parent = replace(read_card(policy), **words)
    write_card(policy, parent)
    stage = make_stage(kind, overrides=overrides, init=policy if with_parent else BASE)
    card = asdict(card_of(stage))
    assert {name for name in words if card[name] not in (None, words[name])} == used
    unused = set(words) - used
    assert {name: card[name] for name in unused} == {name: words[name] if with_parent else None for name in unused}


def test_stage_2_may_ask_otherwise_than_a_judge_of_response_files(policy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_card(policy, replace(read_card(policy), generation_prompt=None))
    given = ["--config", "configs/tiny.yaml", "--init", str(policy), "--dry-run", "reward.extraction=lenient"]
    assert main([*given, "data.prompt=configs/prompts/generate.txt"]) == 0
    assert filled(policy).prompt.name == "generate.txt"


def test_a_policy_that_only_judged_is_served_a_solution_to_judge(policy):
    shown = {"problem": "1+1?", "response": "3, since"}
    words = shlex.split(curl_command(replace(read_card(policy), generation_prompt=None), "ckpt/judge", shown))
    assert json.loads(words[-1])["messages"][0]["content"] == "Judge.\n1+1?\nSolution:\n3, since"


def test_a_run_publishes_the_card_that_it_began_with(make_stage, tmp_path):
    template = tmp_path / "prompt.txt"
    template.write_text("First {{problem}}")
    stage = make_stage(overrides=[f"data.prompt={template}"], init=BASE)
    (tmp_path / MANIFEST).write_text("{}")
    write_card(stage.run_dir, card_of(stage))
    assert run_card(stage).generation_prompt == "First {{problem}}"
    template.write_text("Second {{problem}}")
    with pytest.raises(InputError, match=r"the run began with 'First {{problem}}', now 'Second {{problem}}'"):
        run_card(stage)


@pytest.mark.parametrize(("more", "names"), [({}, {"problem"}), ({"response": "3"}, {"problem", "response"})])
def test_a_served_policy_is_asked_the_shortest_of_the_first_problems(tmp_path, more, names):
    rows = [{"extra_info": {"id": str(n), "problem": "x" * (200 - n), **more}} for n in range(150)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    shown = shortest_shown(tmp_path / "train.jsonl")
    assert set(shown) == names and len(shown["problem"]) == 101


@pytest.mark.parametrize("kind", ["directory", "dangling link"])
def test_a_card_that_is_no_file_is_not_passed_over(policy, kind):
    (policy / CARD).unlink()
    (policy / CARD).mkdir() if kind == "directory" else (policy / CARD).symlink_to("nowhere")
    with pytest.raises(InputError, match=CARD):
        read_card(policy)


def test_a_chat_template_that_opens_the_thinking_part_is_told(policy, tmp_path, monkeypatch, capsys):
    write_card(policy, replace(read_card(policy), verdicts=("Yes", "No"), extraction="strict"))
    template = policy / "chat_template.jinja"
    template.write_text(template.read_text() + "<think>\n")
    monkeypatch.chdir(tmp_path)
    keys = ["--config", "configs/tiny.yaml", "--dry-run", "cluster.device=cpu", "reward.verifier=rewards.math:verify"]
    assert main([*keys, "--init", str(policy)]) == 0
    assert "thinking_open: False on the card, True here" in " ".join(capsys.readouterr().out.split())


def test_a_card_with_a_fact_twice_is_one_line(policy):
    text = (policy / CARD).read_text()
    (policy / CARD).write_text(text.replace("{", '{"extraction": "lenient", ', 1))
    with pytest.raises(InputError, match="extraction stands there twice"):
        read_card(policy)
