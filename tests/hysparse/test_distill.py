"""Distillation: packing scores what it should, the student moves towards its source, and a killed run goes on."""

import copy
import json
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from functools import cache

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

import judgerlvr.hysparse.model.registration  # noqa: F401
from data.jsonl import write_jsonl
from judgerlvr.hysparse.conversion.conversion import convert
from judgerlvr.hysparse.conversion.divergence import divergence, heldout_loss
from judgerlvr.hysparse.conversion.texts import IGNORED, Text, pack, read_texts
from judgerlvr.hysparse.distill import main
from judgerlvr.hysparse.distillation import distiller
from judgerlvr.hysparse.distillation.checkpoints import SEAL, last_checkpoint
from judgerlvr.hysparse.distillation.distiller import Distiller, Rows, packed, share_rows
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from rewards.errors import InputError
from tests.helpers.hysparse_models import random_ids

SIZES = {"hidden_size": 32, "intermediate_size": 64, "head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
SIZES |= {"vocab_size": 512, "num_hidden_layers": 4, "initializer_range": 0.2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
SMALL = ["--sparse-ratio", "2", "--select-block", "16", "--select-tokens", "16", "--window", "6"]
BITE = {"sparse_ratio": 2, "select_block": 4, "select_tokens": 8, "sliding_window": 6}


tokenizer = cache(train_tokenizer)


def make_source(family="qwen3"):
    torch.manual_seed(0)
    if family == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**SIZES)).eval()
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, **EXPERTS)).eval()


@pytest.fixture
def source():
    return make_source()


@pytest.fixture
def command(source, tmp_path):
    """A command of 6 steps with a checkpoint every 2. The 19 learnt rows end an epoch within the run."""
    source.to(torch.bfloat16).save_pretrained(tmp_path / "source")
    tokenizer().save_pretrained(tmp_path / "source")
    write_jsonl(tmp_path / "texts.jsonl", [{"prompt": "1 + 1 = ", "text": f"{n} * {n} = {n * n}"} for n in range(21)])
    texts = ["--texts", str(tmp_path / "texts.jsonl"), "--heldout", "2", "--length", "32"]
    steps = ["--steps", "6", "--every", "2", "--save-every", "2", "--rows", "4", "--lr", "3e-4"]
    return [str(tmp_path / "source"), str(tmp_path / "out"), *texts, *steps, "--device", "cpu", *SMALL]


def elsewhere(command, out):
    return [command[0], str(out), *command[2:]]


def curve(out):
    return [json.loads(line) for line in (out / "distill.jsonl").read_text().splitlines()]


def texts_of(count, length, context=0):
    return [Text(row.tolist(), context) for row in random_ids(count, length)]


def test_pack_scores_each_text_after_its_context():
    packed = pack([Text([1, 2, 3, 4], 2), Text([5, 6]), Text([7, 8, 9])], length=6)
    assert packed.ids.tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 0, 0, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 4, 5]]
    no = IGNORED
    assert packed.labels.tolist() == [[no, 3, 4, no, 6, no], [8, 9, no, no, no, no]]


def test_a_batch_of_the_trainer_holds_the_packed_rows():
    """The Trainer counts the labels after the first column."""
    texts = pack([Text([1, 2, 3, 4], 2), Text([5, 6]), Text([7, 8, 9])], length=6)
    rows = [Rows(texts)[number] for number in range(2)]
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    assert (batch["labels"][:, 1:] != IGNORED).sum() == (texts.labels != IGNORED).sum()
    back = packed(batch)
    for name in ("ids", "positions", "labels"):
        assert torch.equal(getattr(back, name), getattr(texts, name))


def test_packed_loss_is_that_of_the_texts_alone(source):
    texts = texts_of(5, 20, context=3)
    assert heldout_loss(source, pack(texts, 50), 2) == pytest.approx(heldout_loss(source, pack(texts, 20), 1), rel=1e-5)


def test_divergence_equals_a_loop_over_tokens(source):
    student, texts = convert(source, **BITE), texts_of(3, 20, context=3)
    total = 0.0
    for text in texts:
        ids = torch.tensor([text.ids])
        ours, theirs = (model(ids, use_cache=False).logits[0].double().softmax(-1) for model in (student, source))
        for token in range(2, 19):
            total += float((theirs[token] * (theirs[token] / ours[token]).log()).sum().detach())
    assert divergence(student, source, pack(texts, 50)).item() == pytest.approx(total, rel=1e-4)


def test_matching_hidden_states_adds_the_layers_distances(source):
    """A student that is its source is at no distance. The weight multiplies another's."""
    texts = pack(texts_of(4, 20), 20)
    assert divergence(source, source, texts, 1.0).item() == pytest.approx(0, abs=1e-4)
    student = copy.deepcopy(source)
    with torch.no_grad():
        student.model.layers[0].mlp.down_proj.weight.zero_()
    plain, one, two = (divergence(student, source, texts, weight).item() for weight in (0.0, 1.0, 2.0))
    assert one > plain
    assert two - one == pytest.approx(one - plain, rel=1e-4)


def test_the_command_writes_a_loadable_model_and_its_curve(command, tmp_path):
    assert main(command) == 0
    assert [line["step"] for line in curve(tmp_path / "out")] == [0, 2, 4, 6]
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert (made.config.model_type, made.dtype) == ("hysparse", torch.bfloat16)
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_the_student_approaches_its_source(command, source, tmp_path):
    """Against the conversion before any step, on the texts themselves."""
    assert main(command) == 0
    source = source.float()
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    sizes = {name: getattr(made.config, name) for name in ("layer_types", "select_block", "select_tokens")}
    before = convert(source, **sizes, sliding_window=6)
    texts = pack(read_texts(tmp_path / "texts.jsonl", tokenizer(), 32), 32)
    assert divergence(made, source, texts) < 0.8 * divergence(before, source, texts)


def test_tokens_of_the_curve_are_the_learnt_ones(command, tmp_path, monkeypatch):
    """Counted where the loss is made, with two passes a step."""
    seen = []
    honest = Distiller.compute_loss

    def counting(trainer, model, inputs, *rest, **named):
        seen.append(int((packed(inputs).labels != IGNORED).sum()))
        return honest(trainer, model, inputs, *rest, **named)

    monkeypatch.setattr(Distiller, "compute_loss", counting)
    assert main([*command, "--rows-at-once", "2"]) == 0
    assert len(seen) == 12
    assert [line["tokens"] for line in curve(tmp_path / "out")] == [sum(seen[: 2 * step]) for step in (0, 2, 4, 6)]


def test_a_prompt_is_read_and_not_learnt(command, tmp_path):
    """A step of all learnt rows counts each token of their texts, and none of their prompts."""
    assert main([*command, "--length", "64", "--rows", "64", "--steps", "1"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    learnt = [tokenizer()(row["text"], add_special_tokens=False)["input_ids"] for row in rows[2:]]
    assert curve(tmp_path / "out")[-1]["tokens"] == sum(map(len, learnt))


def test_sinks_are_stored_in_float32_as_they_were_trained(command, tmp_path):
    """Steps of 3e-4 at -10 are less than bfloat16 tells apart."""
    assert main(command) == 0
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {name for name in weights if weights[name].dtype != torch.bfloat16} == {n for n in weights if "sinks" in n}
    sinks = torch.cat([weight for name, weight in weights.items() if "sinks" in name])
    assert sinks.dtype == torch.float32
    assert not torch.equal(sinks, sinks.to(torch.bfloat16).float())


def test_bf16_products_reach_a_close_loss(command, tmp_path):
    for precision in ("fp32", "bf16"):
        assert main([*elsewhere(command, tmp_path / precision), "--precision", precision]) == 0
    losses = [curve(tmp_path / precision)[-1]["heldout"] for precision in ("fp32", "bf16")]
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe"])
def test_a_run_that_ended_early_goes_on_to_the_same_weights(family, command, tmp_path, monkeypatch):
    """It ends in step 5, after the checkpoint of step 4. The epoch ends between."""
    make_source(family).to(torch.bfloat16).save_pretrained(tmp_path / "source")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(elsewhere(command, whole)) == 0
    honest = Distiller.compute_loss

    def dying(trainer, *given, **named):
        if trainer.state.global_step == 4:
            raise RuntimeError("killed here")
        return honest(trainer, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Distiller, "compute_loss", dying)
        assert main(elsewhere(command, cut)) == 1
    assert last_checkpoint(cut, json.loads((cut / "distill.json").read_text())).endswith("checkpoint-4")
    assert main([*elsewhere(command, cut), "--resume"]) == 0
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert curve(cut) == curve(whole)


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_weights(command, tmp_path):
    """SIGKILL at whatever moment follows the checkpoint of step 2."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    start = [sys.executable, "-m", "judgerlvr.hysparse.distill"]
    subprocess.run([*start, *elsewhere(command, whole)], check=True)
    process = subprocess.Popen([*start, *elsewhere(command, cut)])
    while not list(cut.glob(f"checkpoints/*/{SEAL}")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "config.json").exists()
    subprocess.run([*start, *elsewhere(command, cut), "--resume"], check=True)
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


DEVICES = [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_two_processes_make_the_steps_of_one(device, command, tmp_path, monkeypatch):
    """16 learnt rows, so that no step crosses an epoch. Stored in float32, so that nothing is rounded away.

    GPUs share the weights. The reference needs no kernel of this head dim.
    """
    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    monkeypatch.setenv("JUDGERLVR_HYSPARSE_BACKEND", "reference")
    make_source().save_pretrained(tmp_path / "source")
    extra = ["--heldout", "5", "--device", device, "--precision", "fp32"]
    for processes in (1, 2):
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        arguments = elsewhere(command, tmp_path / str(processes))
        subprocess.run([*launch, "--module", "judgerlvr.hysparse.distill", *arguments, *extra], check=True)
    one, two = (load_file(tmp_path / str(processes) / "model.safetensors") for processes in (1, 2))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    assert [line["tokens"] for line in curve(tmp_path / "1")] == [line["tokens"] for line in curve(tmp_path / "2")]


def test_a_converted_model_is_trained_further(command, tmp_path):
    """With no rate to speak of, the student stays as it was."""
    assert main(command) == 0
    again = [*command[: -len(SMALL)], "--student", str(tmp_path / "out"), "--lr", "1e-9"]
    assert main(elsewhere(again, tmp_path / "again")) == 0
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "again"))
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_what_cannot_go_on_is_one_line(command, tmp_path, capsys):
    out = tmp_path / "out"
    wrong = {"no distillation": [*command, "--resume"]}
    assert main(command) == 0
    done = tmp_path / "done"
    shutil.copytree(out, done)
    (out / "config.json").unlink()
    wrong["was 0.0003 at the first start"] = [*command, "--resume", "--lr", "1e-3"]
    wrong["finished"] = [*elsewhere(command, done), "--resume"]
    wrong["no distillation"] = [*elsewhere(command, tmp_path / "source"), "--resume"]
    wrong["a distillation that did not end; go on with --resume"] = command
    wrong["something is there already; give a name"] = elsewhere(command, done)
    wrong["not a HySparse model"] = [*elsewhere(command[: -len(SMALL)], tmp_path / "x"), "--student", command[0]]
    wrong["--window is for a conversion"] = [*elsewhere(command[: -len(SMALL)], tmp_path / "x"), "--student", str(done)]
    wrong["--window is for a conversion"] += ["--window", "6"]
    wrong["not a multiple of 3 rows"] = [*elsewhere(command, tmp_path / "x"), "--rows-at-once", "3"]
    for message, given in wrong.items():
        capsys.readouterr()
        assert main(given) == 2, message
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_changed_texts_do_not_go_on(command, tmp_path, capsys):
    assert main(command) == 0
    (tmp_path / "out" / "config.json").unlink()
    with (tmp_path / "texts.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    assert main([*command, "--resume"]) == 2
    assert "texts_sha256" in capsys.readouterr().err


def test_any_source_of_rows_is_distilled_and_resumed(command, tmp_path, capsys):
    """A folder and a glob. Changed rows in a folder do not go on."""
    shards = tmp_path / "shards"
    shards.mkdir()
    rows = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    for number in range(2):
        write_jsonl(shards / f"{number}.jsonl", rows[number::2])
    for place in (shards, shards / "*.jsonl"):
        out = tmp_path / f"out-{place.name[:1]}"
        given = [*elsewhere(command, out), "--texts", str(place)]
        assert main(given) == 0
        (out / "config.json").unlink()
        assert main([*given, "--resume"]) == 0
    (out / "config.json").unlink()
    write_jsonl(shards / "0.jsonl", rows[2::2])
    assert main([*given, "--resume"]) == 2
    assert "texts_sha256" in capsys.readouterr().err


@pytest.mark.parametrize("step", [0, 2, 6])
def test_a_loss_that_is_no_number_ends_the_run_and_stores_no_model(step, command, tmp_path, capsys, monkeypatch):
    """The student's loss at one evaluation after another. The curve holds numbers only."""
    honest = distiller.heldout_loss

    def broken(model, *rest):
        wrong = isinstance(model, HySparseForCausalLM) and len(seen) == step // 2
        seen.extend([None] * isinstance(model, HySparseForCausalLM))
        return float("nan") if wrong else honest(model, *rest)

    seen = []
    monkeypatch.setattr(distiller, "heldout_loss", broken)
    assert main(command) == 2
    assert f"held-out loss at step {step} is nan" in capsys.readouterr().err
    assert not (tmp_path / "out" / "config.json").exists()
    kept = curve(tmp_path / "out") if step else []
    assert [line["step"] for line in kept] == [0, 2, 4, 6][: step // 2]


def test_weights_that_training_broke_are_not_stored(command, tmp_path, capsys, monkeypatch):
    """The held-out rows need not meet them: here they break behind the last evaluation."""
    honest = Distiller.train

    def breaking(trainer, *given, **named):
        honest(trainer, *given, **named)
        with torch.no_grad():
            trainer.model.model.norm.weight[-1] = torch.inf

    monkeypatch.setattr(Distiller, "train", breaking)
    assert main(command) == 2
    assert "training made model.norm.weight NaN or infinite" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize(("rows", "at_once", "processes", "found"), [(8, None, 2, (4, 1)), (8, 2, 2, (2, 2))])
def test_rows_are_shared(rows, at_once, processes, found):
    assert share_rows(Namespace(rows=rows, rows_at_once=at_once), processes) == found


@pytest.mark.parametrize(("rows", "at_once", "processes"), [(8, 3, 1), (8, None, 3), (1, None, 2), (2, 4, 1)])
def test_rows_that_do_not_divide_are_refused(rows, at_once, processes):
    with pytest.raises(InputError, match="not a multiple"):
        share_rows(Namespace(rows=rows, rows_at_once=at_once), processes)


@pytest.mark.parametrize(("rows", "message"), [([{"prompt": "a"}], "no text"), ([{"text": "a"}], "all held out")])
def test_bad_texts_are_one_line_and_exit_code_2(source, tmp_path, capsys, rows, message):
    source.save_pretrained(tmp_path / "source")
    tokenizer().save_pretrained(tmp_path / "source")
    write_jsonl(tmp_path / "texts.jsonl", rows)
    capsys.readouterr()
    assert main([str(tmp_path / "source"), str(tmp_path / "out"), "--texts", str(tmp_path / "texts.jsonl")]) == 2
    assert message in capsys.readouterr().err
