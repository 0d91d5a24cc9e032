"""Cross-field checks: each fault names its key and a remedy, before anything is loaded."""

import pytest

from judgerlvr.config.check import check_config, refresh_every
from judgerlvr.config.load import ROOT, load_config
from rewards.errors import InputError

FAULTS = {
    "data.columns={problem: answer, gold: answer}": "data.columns",
    "temperature=0": "temperature",
    "max_prompt_tokens=0": "max_prompt_tokens",
    "data.contamination=ignore": "data.contamination",
    "judge.data.verdicts=[Yes,Yes]": "judge.data.verdicts",
    "judge.data.candidates=sometimes": "judge.data.candidates",
    "generate.batch.prompts_per_step=match_tokens": "generate.batch.prompts_per_step",
    "judge.batch.prompts_per_step=-1": "judge.batch.prompts_per_step",
    "judge.batch.prompts_per_step=many": "judge.batch.prompts_per_step",
    "generate.batch.updates_per_step=5": "generate.batch.updates_per_step",
    "generate.batch.samples_per_prompt=1": "generate.batch.samples_per_prompt",
    "generate.stop.steps=0": "generate.stop.steps",
    "generate.max_response_tokens=0": "generate.max_response_tokens",
    "generate.algorithm.clip_low=0.5": "generate.algorithm.clip_high",
    "generate.algorithm.overlong=penalty": "generate.algorithm.overlong_buffer",
    "generate.algorithm.old_log_probs_every=2": "generate.algorithm.importance_cap",
    "generate.algorithm.old_log_probs_every=0": "generate.algorithm.old_log_probs_every",
    "generate.optimizer.lr=0": "generate.optimizer.lr",
    "cluster.tensor_parallel=3": "cluster.tensor_parallel",
    "cluster.rollout_gpus_per_node=1": "cluster.rollout_gpus_per_node",
    "cluster.trainer_mode=separate_async": "cluster.rollout_gpus_per_node",
}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_passes(path):
    check_config(load_config(path))


@pytest.mark.parametrize("override", FAULTS)
def test_fault_names_its_key(override):
    with pytest.raises(InputError) as caught:
        check_config(load_config("configs/tiny.yaml", [override]))
    assert f"field {FAULTS[override]!r}" in str(caught.value)


SEPARATE = ["cluster.trainer_mode=separate_async", "cluster.gpus_per_node=3", "cluster.rollout_gpus_per_node=4"]


@pytest.mark.parametrize(("size", "fine"), [(1, True), (2, True), (4, True), (3, False), (8, False)])
def test_engines_divide_the_gpus_of_the_rollout(size, fine):
    config = load_config("configs/tiny.yaml", [*SEPARATE, f"cluster.tensor_parallel={size}"])
    if fine:
        check_config(config)
        return
    with pytest.raises(InputError, match=r"cluster\.tensor_parallel"):
        check_config(config)


@pytest.mark.parametrize("mode", ["sync", "colocate_async"])
def test_gpus_of_the_rollout_alone_belong_to_one_mode(mode):
    with pytest.raises(InputError, match=f"with cluster.trainer_mode={mode}; set 0, or"):
        check_config(load_config("configs/tiny.yaml", [*SEPARATE, f"cluster.trainer_mode={mode}"]))


SHARED = ["cluster.sequence_parallel=2", "cluster.share_prefixes=false"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("cluster.attention=sdpa", "set cluster.attention=auto"),
        ("cluster.attention=flash_attention_2", "set cluster.attention=auto"),
        ("cluster.share_prefixes=true", "set cluster.share_prefixes=false"),
        ("model.replay_experts=true", "set model.replay_experts=false"),
    ],
)
def test_what_would_see_a_part_of_a_shared_row_is_refused(override, says):
    check_config(load_config("configs/tiny.yaml", SHARED))
    with pytest.raises(InputError, match=says) as caught:
        check_config(load_config("configs/tiny.yaml", [*SHARED, override]))
    assert "field 'cluster.sequence_parallel'" in str(caught.value)


SOLVED = ("judge.solving.problems=4", "judge.validation.every=2")
OWN = ("data.train=[a.jsonl]", "generate.validation.every=0")


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["judge.solving.stop_gain=0.1"], "judge.solving.stop_gain"),
        (["judge.solving.stop_gain=0.1", "judge.validation.every=2"], "judge.solving.stop_gain"),
        (["judge.solving.samples=2"], "judge.solving.samples"),
        (["judge.solving.problems=4"], "judge.solving.problems"),
        (["judge.solving.problems=4", "judge.solving.stop_gain=0.1"], "judge.solving.problems"),
        (["judge.solving.problems=4", "generate.validation.every=2"], "judge.solving.problems"),
        ([*SOLVED, *OWN], "data.heldout"),
        ([*SOLVED, "judge.data.responses=[a.jsonl]"], "data.heldout"),
        ([*SOLVED, "judge.solving.stop_gain=1.01"], "judge.solving.stop_gain"),
        ([*SOLVED, "judge.solving.stop_gain=-0.1"], "judge.solving.stop_gain"),
        ([*SOLVED, "judge.solving.stop_gain=nan"], "judge.solving.stop_gain"),
        ([*SOLVED, "judge.solving.samples=0"], "judge.solving.samples"),
        (["judge.solving.problems=-1"], "judge.solving.problems"),
    ],
)
def test_a_measurement_of_solving_that_cannot_be_made_is_refused(overrides, field):
    with pytest.raises(InputError) as caught:
        check_config(load_config("configs/tiny.yaml", overrides))
    assert f"field {field!r}" in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        SOLVED,
        (*SOLVED, "judge.solving.stop_gain=1", "judge.solving.samples=8"),
        (*SOLVED, *OWN, "data.heldout=[b.jsonl]", "judge.data.responses=[c.jsonl]"),
        (*SOLVED, "judge.data.sample_from=[judgerlvr/tinyworld/base/qwen3]"),
    ],
)
def test_a_measurement_of_solving_that_can_be_made_passes(overrides):
    check_config(load_config("configs/tiny.yaml", overrides))


def test_stage_2_has_no_keys_of_solving():
    with pytest.raises(InputError, match=r"generate\.solving"):
        load_config("configs/tiny.yaml", ["generate.solving.problems=4"])


def test_refresh_interval_is_read_from_the_candidates_key():
    assert refresh_every("refresh_every:7") == 7
    assert refresh_every(load_config("configs/tiny.yaml").judge.data.candidates) == 0
