"""The doctor's page: all faults at once, on any machine, with the exact command that comes next."""

import json
import shlex
import socket
from dataclasses import replace

import pytest

from data.jsonl import write_jsonl
from judgerlvr import cluster
from judgerlvr.__main__ import run_command
from judgerlvr.cluster.ray import check_address
from judgerlvr.config.check import refresh_every
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.doctor import main, parse_arguments
from judgerlvr.models.directory import load_tokenizer, small_tokenizer
from judgerlvr.pipeline.checkup.data import DATA
from judgerlvr.pipeline.checkup.findings import Check, Finding, Level, examine, examine_all, ok
from judgerlvr.pipeline.checkup.page import next_step
from judgerlvr.pipeline.checkup.start import START, never
from judgerlvr.pipeline.requests import unchecked_request
from judgerlvr.stage1_judge import main as stage1
from judgerlvr.stage2_generate import main as stage2
from rewards.errors import InputError
from tests.helpers.model_damage import copy_base

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
AREAS = {"machine", "model", "weights", "data", "prompt", "verifier", "cluster", "disk"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def page(capsys, *arguments):
    """(exit code, {level: areas}, last line) of the doctor's page."""
    code = main(list(map(str, arguments)))
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split()[:2] for line in lines if line.startswith(tuple(Level))]
    return code, {level: {area for found, area in rows if found == level} for level in Level}, lines[-1]


def test_a_sound_stage_shows_every_area_and_the_command_to_run(capsys):
    code, areas, last = page(capsys, "generate", "data.tiny_train=40", "--out", "ckpt/mine")
    assert (code, areas[Level.ok], areas[Level.fault]) == (0, AREAS, set())
    assert last == "next: python -m judgerlvr.stage2_generate data.tiny_train=40 --out ckpt/mine"


def test_two_stages_at_once_are_refused(capsys):
    assert main(["judge", "generate"]) == 2
    assert capsys.readouterr().err == "error: judge and generate together; give one stage\n"


def test_one_page_shows_all_faults(capsys, tmp_path):
    (tmp_path / "ckpt" / "judge").mkdir(parents=True)
    faulty = ["model.path=nowhere", "data.train=[none.jsonl]", "judge.data.verdicts=[Aye,Nay]"]
    code, areas, last = page(capsys, "judge", "cluster.device=gpu", *faulty)
    assert code == 2
    assert areas[Level.fault] == {"model", "data", "prompt", "disk"}
    assert last.startswith("mend the faults, then: python -m judgerlvr.doctor judge cluster.device=gpu")


@pytest.mark.parametrize("fault", ["model.path=nowhere", "data.train=[none.jsonl]", "data.prompt=none.txt"])
def test_the_doctor_and_the_dry_run_say_the_same_of_a_fault(capsys, fault):
    assert stage2([fault, "--dry-run"]) == 2
    refused = capsys.readouterr().err.removeprefix("error: ").strip()
    main(["generate", fault])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith(Level.fault)]
    assert refused.startswith(said[0].split(maxsplit=2)[2])


def test_a_login_node_without_gpus_is_no_fault(capsys):
    code, areas, _ = page(capsys, "generate", f"model.path={BASE}", "cluster.device=gpu", "planning.host_gib=64")
    assert code == 0
    assert areas[Level.warning] == {"machine"}


def test_a_stage_begins_with_the_same_findings(capsys):
    stage1(["--dry-run"])
    printed = capsys.readouterr().out
    main(["judge"])
    doctor = [line for line in capsys.readouterr().out.splitlines() if line.startswith(tuple(Level))]
    assert [line for line in doctor if line not in printed.splitlines()] == []


def test_a_special_token_in_a_template_is_a_warning(capsys, tmp_path):
    (tmp_path / "prompt.txt").write_text("{{problem}}<|im_end|>")
    assert main(["generate", "--config", "configs/tiny.yaml", f"data.prompt={tmp_path / 'prompt.txt'}"]) == 0
    assert "special token" in " ".join(capsys.readouterr().out.split())


def test_a_chat_template_with_a_clock_is_a_warning(capsys, tmp_path):
    model = copy_base(tmp_path / "model")
    template = model / "chat_template.jinja"
    template.write_text("{# {{ strftime_now('%d') }} #}" + template.read_text())
    assert main(["generate", "--config", "configs/tiny.yaml", f"model.path={model}"]) == 0
    assert "calls strftime_now" in " ".join(capsys.readouterr().out.split())


def test_golds_that_no_answer_matches_are_listed(capsys, tmp_path):
    rows = [{"problem": f"{n} + {n}?", "gold": str(2 * n)} for n in range(40)]
    rows[7]["gold"] = "the answer depends on whether the farmer sells each of his sheep before the spring market"
    write_jsonl(tmp_path / "mine.jsonl", rows)
    given = ["data.train=[mine.jsonl]", f"model.path={BASE}", "max_prompt_tokens=200", "cluster.device=cpu"]
    code, areas, _ = page(capsys, "generate", *given, "generate.max_response_tokens=200")
    assert (code, areas[Level.warning]) == (0, {"data"})
    assert run_command("inspect_data", ["mine.jsonl", "--golds"]) == 0
    said = capsys.readouterr().out
    assert "1 of 40 golds never matched by another spelling" in said
    assert "mine.jsonl row 8: 'the answer depends on" in said


@pytest.mark.parametrize(("vocabulary", "warned"), [(384, False), (426, False), (427, True), (151_936, True)])
def test_a_tokenizer_far_smaller_than_the_vocabulary_is_warned_of(tmp_path, vocabulary, warned):
    """Nine tenths of 426 tokens are 383.4, and the tokenizer has 384 tokens."""
    tokenizer = load_tokenizer(BASE)
    assert len(tokenizer) == 384
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": vocabulary}))
    assert (small_tokenizer(tmp_path, tokenizer) is not None) == warned


def test_the_next_command_after_a_finished_stage(tmp_path):
    options = parse_arguments(["judge", "seed=3"])
    from judgerlvr.config.effective import configure

    request = unchecked_request("judge", configure(None, ["seed=3"]).config, None, None, False)
    run = tmp_path / "runs" / "judge"
    policy = run / "checkpoints" / "global_step_2" / "policy"
    policy.mkdir(parents=True)
    (policy.parent / "COMPLETE.json").write_text("{}")
    request = replace(request, config=replace(request.config, runs=str(run.parent)))
    (run / "manifest.json").write_text(json.dumps({"stage": "judge", "export": "checkpoints/global_step_2/policy"}))
    words = shlex.split(next_step(options, request, 0).partition("next: ")[2])
    assert words == ["python", "-m", "judgerlvr.stage2_generate", "seed=3", "--init", "ckpt/judge"]


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://head:8265", "the address of a dashboard"),
        ("head", "no HOST:PORT"),
        ("head:port", "no HOST:PORT"),
        (f"127.0.0.1:{closed_port()}", "nothing answers"),
        ("127.0.0.1:99999999", "nothing answers"),
    ],
)
def test_an_address_without_a_cluster_is_one_fault(capsys, monkeypatch, address, says):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=says):
        check_address(address)
    code, areas, _ = page(capsys, "generate")
    assert (code, areas[Level.fault]) == (2, {"cluster"})


@pytest.mark.parametrize(("resources", "device"), [({"GPU": 1}, "cpu"), ({"accelerator_type:H100": 1}, "gpu")])
def test_a_cluster_is_asked_for_its_cards(monkeypatch, resources, device):
    """A driver without a GPU may belong to a cluster with GPUs, and then training belongs on the GPUs."""
    from judgerlvr.models.directory import pick_device

    monkeypatch.setattr(cluster.ray, "resources_of", lambda _: (resources,))
    assert pick_device("auto", here=True, address="head:6379") == device


def test_a_check_without_its_area_is_not_made():
    def broken(_):
        raise InputError("no model", "give one", file="here")
        yield

    checks = [Check("model", broken), Check("data", lambda _: [ok("never")], needs=("model",))]
    fault, skipped = examine_all(checks, None)
    assert fault == Finding(Level.fault, "here: no model", "give one", area="model")
    assert (skipped.level, skipped.text) == (Level.warning, "not checked")
    with pytest.raises(InputError):
        list(examine(checks, None))


@pytest.mark.parametrize(
    ("override", "warned"),
    [
        ("judge.optimizer.warmup_steps=11", 1),
        ("judge.optimizer.warmup_steps=10", 0),
        ("judge.validation.every=11", 1),
        ("judge.validation.every=10", 0),
        ("judge.stop.hours=1e-9", 1),
        ("judge.stop.hours=0", 0),
        ("judge.data.candidates=refresh_every:10", 1),
        ("judge.data.candidates=refresh_every:9", 0),
        ("generate.optimizer.warmup_steps=99", 0),
    ],
)
def test_what_so_many_steps_do_not_come_to_is_a_warning(override, warned):
    """Ten steps of the judge stage."""
    config = load_config("configs/tiny.yaml", [override])
    assert len(list(never("judge", config.judge, refresh_every(config.judge.data.candidates)))) == warned


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_fit_the_terminal(width):
    finding = Finding(Level.warning, "many words " * 40, "do " * 90, area="data")
    assert max(map(len, finding.lines(width))) <= width
    assert len(list(finding.lines())) == 2


def test_needed_areas_come_before():
    seen = set()
    for check in (*START, *DATA):
        assert set(check.needs) <= seen | {check.area}
        seen.add(check.area)


def test_a_hysparse_policy_without_its_plugin_is_refused_before_vllm_is_asked(capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    hysparse = [f"model.path={BASE.with_name('hysparse')}", "data.tiny_train=40"]
    assert stage2(hysparse) == 2
    assert "vLLM finds no plugin for HySparse; install judgerlvr" in capsys.readouterr().err
