"""The plan on more GPUs: numbers by hand, labels, and one line for bad input."""

from pathlib import Path

import pytest

from judgerlvr import plan
from judgerlvr.config.load import load_config
from judgerlvr.planning.constants import COMPARED_CARDS, NETWORK_SHARE, NVLINK_GB_S
from judgerlvr.planning.lengths import Lengths
from judgerlvr.planning.machine import GIB, Machine, machine_of
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.report import plan_lines
from judgerlvr.planning.scaling import Row, load_on, row
from judgerlvr.planning.scaling_report import row_line
from judgerlvr.planning.shapes import read_shape
from judgerlvr.planning.simulation import Sampled
from judgerlvr.planning.speed import Tokens, gathered_bytes
from rewards.errors import InputError

SHAPES = Path(__file__).parent / "shapes"
LARGE, SMALL = "configs/qwen3_30b_a3b.yaml", "configs/qwen3_0.6b.yaml"
MODEL = f"model.path={SHAPES / 'qwen3-30b-a3b'}"
DENSE = f"model.path={SHAPES / 'qwen3-0.6b'}"
UNUSED = (["--gpus", "8"], ["--mean", "100"], ["--tail", "2"], ["--lengths", "runs"])
LONG = "max_prompt_tokens=4096 cluster.micro_batch_tokens=65536 generate.max_response_tokens"
# Overrides that a dry run refuses, with overrides before these and the reason.
REFUSED: dict[str, tuple[list[str], str]] = {
    f"{LONG}=56928": ([], "context of 40960 tokens < 61024 needed"),
    f"{LONG}=60000": ([], "context of 40960 tokens < 64096 needed"),
    "model.replay_experts=true cluster.tensor_parallel=1": ([DENSE], "the policy is of type qwen3, not qwen3_moe"),
    "engine.trainer.n_gpus_per_node=8": ([], "trainer.n_gpus_per_node is set by other configuration keys"),
    "engine.actor_rollout_ref.rollout.max_num_seq=8": ([], "did you mean actor_rollout_ref.rollout.max_num_seqs"),
    "cluster.rollout_engine.max_num_seq=8": ([], "did you mean max_num_seqs"),
    "cluster.rollout_engine.max_model_len=50000": ([], "the policy's context is 40960 tokens"),
    "model.replay_experts=true cluster.trainer_mode=colocate_async": ([], "router replay needs the experts"),
}
MACHINE = Machine("h100", 0.0, 0.0, 50.0)


def row_of(gpus, file=LARGE, shape="qwen3-30b-a3b"):
    lengths = Lengths((100, 200, 900), "made")
    return row("generate", load_config(file), read_shape(SHAPES / shape), MACHINE, gpus, lengths)


@pytest.mark.parametrize(
    ("gpus", "nodes", "cards", "prompts"), [(2, 1, 2, 128), (8, 1, 8, 128), (64, 8, 8, 128), (512, 64, 8, 256)]
)
def test_machines_are_filled_and_prompts_divide(gpus, nodes, cards, prompts):
    load = load_on("generate", load_config(LARGE), gpus)
    assert (load.nodes, load.gpus_per_node, load.prompts) == (nodes, cards, prompts)
    assert load.samples_per_update % load.ranks == 0


def test_a_rollout_with_cards_of_its_own_is_not_simulated():
    config = load_config(LARGE, ["cluster.trainer_mode=separate_async", "cluster.rollout_gpus_per_node=2"])
    with pytest.raises(InputError, match=r"set cluster\.trainer_mode=colocate_async"):
        load_on("generate", config, 8)


def naive_gathers(load, parameters, tokens):
    """Every micro-batch of a rank brings each parameter: twice in the update, once for the log-probabilities."""
    mine, passes = load.samples * tokens.sequence / load.ranks, 0
    while mine > 0:
        passes += 1
        mine -= load.micro_batch
    bfloat16, float32 = 2, 4
    return passes * parameters * (3 * bfloat16 + float32) * (load.ranks - 1) / load.ranks


@pytest.mark.parametrize("gpus", [1, 2, 8, 64])
@pytest.mark.parametrize("name", ["qwen3-0.6b", "qwen3-30b-a3b"])
def test_gathers_are_counted(gpus, name):
    shape, load = read_shape(SHAPES / name), load_on("generate", load_config(LARGE), gpus)
    tokens = Tokens(1000.0, 3000.0, 16384.0)
    assert gathered_bytes(shape, load, tokens) == pytest.approx(naive_gathers(load, shape.parameters, tokens))


def test_gathers_take_the_link_between_the_ranks():
    one, two = row_of(8), row_of(16)
    assert (one.link, two.link) == (NVLINK_GB_S.value, 50.0 * NETWORK_SHARE.value)
    assert two.gather_seconds == pytest.approx(two.gathered_gib * GIB / (two.link * 1e9))


def test_more_cards_take_less_time_and_memory():
    found = [row_of(gpus) for gpus in (16, 64, 128)]
    assert [one.step for one in found] == sorted((one.step for one in found), reverse=True)
    assert [one.gib for one in found] == sorted((one.gib for one in found), reverse=True)


def test_a_gain_by_hand():
    """100 s with a wait, and 70 s without."""
    seconds = {"sampling": 60.0, "log_prob": 10.0, "update": 25.0, "sync": 5.0}
    load = load_on("generate", load_config(LARGE), 8)
    found = Row(load, 70.0, True, seconds, Sampled(60.0, 45.0, 0.5), 30.0, 9.0, 1.0, False)
    assert found.step == 100.0 and found.gain == pytest.approx(100 / 70)


@pytest.mark.parametrize("gpus", [1, COMPARED_CARDS, COMPARED_CARDS + 2, 64])
def test_rows_beyond_what_was_compared_are_labelled(gpus):
    found = row_of(gpus, SMALL, "qwen3-0.6b")
    assert ("unverified" in row_line(found)) == (gpus > COMPARED_CARDS)


def test_the_command_prints_a_row_for_each_number_and_distribution(capsys):
    assert plan.main([LARGE, "--gpus", "8,64", "--tail", "1.5,4", "--mean", "3000", MODEL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines if line.endswith("unverified")] == [8, 64, 8, 64]
    assert sum("lognormal with p99/mean" in line for line in lines) == 2


def test_the_command_prints_the_plan_of_a_dry_run(capsys):
    """The folder of the model holds config.json alone."""
    assert plan.main([LARGE, MODEL, "--phases", "planning.card=h100"]) == 0
    printed = capsys.readouterr().out.splitlines()
    config = load_config(LARGE, ["planning.card=h100"])
    machine = machine_of(config.planning, Path(config.runs), "gpu")
    assert printed == plan_lines(make_plan("generate", config, read_shape(SHAPES / "qwen3-30b-a3b"), machine))
    assert {"  log-prob", "  update", "  rollout"} <= {line[:24].rstrip() for line in printed}


def test_a_stage_that_does_not_fit_prints_the_plan_and_a_change(capsys):
    assert plan.main([LARGE, MODEL, "--phases", "planning.card=h100", "cluster.nodes=1"]) == 2
    captured = capsys.readouterr()
    assert "verdict: does not fit" in captured.out and "update: " in captured.out
    assert "the stage does not fit: update" in captured.err and captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.yaml"], "no such config file"),
        ([LARGE], "no model here"),
        ([LARGE, MODEL, "--gpus", "12"], "12 GPUs cannot fill machines of 8"),
        ([LARGE, MODEL, "--gpus", "65544"], "65544 GPUs"),
        ([LARGE, MODEL, "--gpus", "1"], "engines of 2 GPUs"),
        ([LARGE, MODEL, "--gpus", "8,x"], "'8,x'"),
        ([LARGE, MODEL, "--gpus", "0"], "'0'"),
        ([LARGE, MODEL, "--gpus", ""], "''"),
        ([LARGE, MODEL, "--tail", "0.5"], "p99/mean of 0.5"),
        ([LARGE, MODEL, "--tail", "nan"], "p99/mean of nan"),
        ([LARGE, MODEL, "--tail", "a"], "'a'"),
        ([LARGE, MODEL, "--mean", "99999"], "a mean of 99999 tokens"),
        ([LARGE, MODEL, "--mean", "nan"], "a mean of nan tokens"),
        ([LARGE, MODEL, "--lengths", "docs"], "no logged rollouts"),
        ([LARGE, MODEL, "planning.card=b1000"], "'b1000'"),
        ([LARGE, MODEL, "planning.measured=nowhere.json"], "no such file"),
        ([LARGE, MODEL, "cluster.nodez=2"], "nodez"),
        ([LARGE, "--phases"], "no model here"),
        ([LARGE, MODEL, "--phases", "cluster.micro_batch_tokens=1024"], "1024"),
        *(([LARGE, MODEL, "--phases", *option], f"{option[0]}': has no effect beside --phases") for option in UNUSED),
        *(([LARGE, MODEL, "--lengths", "runs", *option], "beside --lengths") for option in UNUSED[1:3]),
        ([LARGE, MODEL, "--mean", "0"], "a mean of 0 tokens"),
        *(
            ([LARGE, MODEL, *word, *REFUSED[keys][0], *keys.split()], REFUSED[keys][1])
            for keys in REFUSED
            for word in (["--phases"], [])
        ),
        ([LARGE, MODEL, "--phases", "planning.cpus=4"], "Ray offers 4"),
        ([LARGE, MODEL, "--phases", "cluster.device=cpu"], "phases are planned for GPUs"),
    ],
)
def test_bad_input_is_one_line(capsys, words, says):
    assert plan.main(words) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1
