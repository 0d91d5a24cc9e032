"""The planner reads every configuration key, or the key is listed here with the reason why not."""

from pathlib import Path

import pytest

from judgerlvr import plan
from judgerlvr.config.load import key_types, load_config
from judgerlvr.planning.load import load_of
from judgerlvr.planning.shapes import read_shape
from judgerlvr.planning.storage import storage

SHAPES = Path(__file__).parent / "shapes"
BASE = ["configs/qwen3_30b_a3b.yaml", f"model.path={SHAPES / 'qwen3-30b-a3b'}", "planning.card=h100", "--phases"]
# Keys of both stages, each with a value that changes the plan or is refused.
OF_A_STAGE = {
    "batch.prompts_per_step": "64",
    "batch.samples_per_prompt": "16",
    "batch.updates_per_step": "3",
    "stop.steps": "7",
    "checkpoint.every": "0",
    "checkpoint.keep": "0",
    "max_response_tokens": "1024",
    "agent_loop": "nowhere:Tool",
}
READ = {
    **{f"{stage}.{key}": value for stage in ("judge", "generate") for key, value in OF_A_STAGE.items()},
    "max_prompt_tokens": "1024",
    "model.path": str(SHAPES / "qwen3-0.6b"),
    "model.replay_experts": "true",
    "judge.data.responses": "[nowhere.jsonl]",
    "judge.data.sample_from": "[nowhere]",
    "judge.solving.problems": "1",
    "cluster.device": "cpu",
    "cluster.nodes": "4",
    "cluster.gpus_per_node": "16",
    "cluster.rollout_gpus_per_node": "8",
    "cluster.tensor_parallel": "4",
    "cluster.rollout_gpu_share": "0.6",
    "cluster.trainer_mode": "colocate_async",
    "cluster.rollout_engine": "{max_num_seqs: 4}",
    "cluster.sequence_parallel": "3",
    "cluster.micro_batch_tokens": "20480",
    "cluster.recompute": "none",
    "cluster.compile": "false",
    "cluster.offload": "false",
    "cluster.attention": "eager",
    "planning.card": "h200",
    "planning.host_gib": "7",
    "planning.cpus": "4",
    "planning.disk_gib": "7",
    "planning.network_gb_s": "0.5",
    "planning.measured": "nowhere.json",
    "engine": "{actor_rollout_ref.rollout.max_num_seqs: 4}",
}
# Overrides that stand before a key's own, where the key counts beside these alone.
BESIDE = {
    "judge.data.responses": ["generate.max_response_tokens=60000"],
    "judge.data.sample_from": ["generate.max_response_tokens=60000"],
    # Own candidates of the base would need the same context.
    "judge.solving.problems": [
        "generate.max_response_tokens=60000",
        "judge.data.sample_from=[elsewhere]",
        "judge.validation.every=1",
    ],
}
# Read, and tested elsewhere: on a CPU, or for the disk of the machine that has the cards.
ELSEWHERE = {"cluster.rollout_cpu_gib", "runs"}
# Keys and sections without a part in memory, slots or constraints.
NEED_NOT = {
    "name": "names a folder",
    "seed": "a choice among equals",
    "temperature": "changes which tokens are sampled",
    "model.trust_remote_code": "the planner reads config.json alone",
    "data.": "rows are counted by the checks of the data",
    "reward.": "grading is not counted, as the plan says",
    "guards.": "watch a run",
    "hysparse.replay": "blocks travel with a sample whether the trainer uses or compares the blocks",
    "logging.": "text beside a step",
    "cluster.max_off_policy_steps": "counts beside trainer_mode, which the plan names as not counted",
    "cluster.share_prefixes": "on a CPU alone, in passes that keep no states of layers",
    **{
        f"{stage}.{section}": reason
        for stage in ("judge", "generate")
        for section, reason in {
            "stop.generated_tokens": "ends a run before stop.steps",
            "stop.tokens_of": "ends a run before stop.steps",
            "stop.hours": "ends a run before stop.steps",
            "stop.grace_seconds": "the end of a run",
            "stop.plateau.": "ends a run before stop.steps",
            "algorithm.": "weighs the loss, and draws further prompts in batches of a step's size",
            "optimizer.": "numbers of AdamW, whose moments are counted",
            "validation.": "validation is not counted, as the plan says",
            "checkpoint.upload": "another disk",
        }.items()
    },
    "judge.solving.samples": "validation is not counted, as the plan says",
    "judge.solving.stop_gain": "ends a run before stop.steps",
    **{
        f"judge.data.{key}": "decides which rows there are"
        for key in (
            "samples_per_problem",
            "problems",
            "candidates",
            "prompt",
            "view",
            "verdicts",
            "cap_per_problem",
            "heldout_problems",
            "shuffle_labels",
        )
    },
}


def excused(key):
    return [name for name in NEED_NOT if key == name or (name.endswith(".") and key.startswith(name))]


@pytest.mark.parametrize("key", key_types())
def test_every_key_is_decided_once(key):
    """A new key fails here until somebody decides whether the planner must read the key."""
    assert (key in READ) + (key in ELSEWHERE) + len(excused(key)) == 1


@pytest.mark.parametrize("name", NEED_NOT)
def test_no_excuse_is_left_over(name):
    assert any(name in excused(key) for key in key_types())


def printed(capsys, stage, words):
    plan.main([*BASE, "--stage", stage, *words])
    return capsys.readouterr()


@pytest.mark.parametrize("key", READ)
def test_a_key_that_is_read_changes_the_plan_or_is_refused(key, capsys):
    stage, beside = "judge" if key.startswith("judge.") else "generate", BESIDE.get(key, [])
    assert printed(capsys, stage, beside) != printed(capsys, stage, [*beside, f"{key}={READ[key]}"])


@pytest.mark.parametrize(("kind", "problems", "context"), [("judge", 1, 80), ("judge", 0, 0), ("generate", 1, 0)])
def test_the_engine_of_a_judge_that_solves_must_hold_a_solution(kind, problems, context):
    lengths = ["max_prompt_tokens=50", "judge.max_response_tokens=10", "generate.max_response_tokens=30"]
    config = load_config("configs/tiny.yaml", [*lengths, f"judge.solving.problems={problems}"])
    assert load_of(kind, config).engine_context == context


def test_the_cache_of_a_cpu_is_read():
    config = load_config(None)
    shape, load = read_shape(Path(config.model.path)), load_of("generate", config)
    one, two = (storage(shape, load, config.generate, "cpu", gib).host_gib for gib in (1.0, 2.0))
    assert two - one == pytest.approx(1.0)
