"""A judge that also solves: the length of each kind of response, and what the end of a step keeps of the figures."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import hydra
import pytest
from omegaconf import OmegaConf
from verl.experimental.agent_loop import agent_loop
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.workers.rollout.replica import TokenOutput

from data.judge_row import judge_schema
from data.row_files import read_rows
from data.verl_rows import write_parquet
from judgerlvr.config.schema import Stop
from judgerlvr.engine.in_training.agent_loop import SeededSingleTurn
from judgerlvr.engine.in_training.step_log import StepLog
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.engine.loop_of_your_own import LOOP, SOLVING_LOOP, check_agent_loop
from judgerlvr.engine.private.agent_workers import LeanWorker
from judgerlvr.engine.verl_config import agent_loops_file, all_settings, render, write_agent_loops
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.pipeline.solving_data import chosen
from judgerlvr.runs.checkpoints import Progress, read_seal
from judgerlvr.runs.metrics import METRICS, PROGRESS, SOLVING_ACCURACY, read_metrics
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from tests.helpers.run_folders import HEALTHY

SOLVES = ["judge.solving.problems=4", "judge.validation.every=1"]
LIMITS = ["judge.max_response_tokens=7", "generate.max_response_tokens=19"]


class Server:
    """Stands for verl's client: a policy that never ends, cut where verl's server would cut."""

    def __init__(self, response_length):
        self.response_length, self.asked = response_length, []

    async def generate(self, *, sampling_params, **_):
        self.asked.append(sampling_params)
        return TokenOutput(token_ids=[5] * sampling_params.get("max_tokens", self.response_length), extra_fields={})


def sampled(stage, *names):
    """(outputs, what the server was asked) of one sample by each loop."""
    write_agent_loops(stage)
    config, tokenizer = render(stage), load_tokenizer(base_path("qwen3_moe"))
    OmegaConf.resolve(config)
    server = Server(config.actor_rollout_ref.rollout.response_length)

    async def go():
        made = {loop.name: made_of(loop) for loop in OmegaConf.load(agent_loops_file(stage))}
        row = {"raw_prompt": [{"role": "user", "content": "a"}], "extra_info": {"id": "p"}, "global_steps": 1}
        return await asyncio.gather(*(made[name].run({"temperature": 1.0}, **row, session_id=0) for name in names))

    def made_of(loop):
        return hydra.utils.instantiate(
            loop,
            trainer_config=agent_loop.DictConfigWrap(config=config),
            server_manager=server,
            tokenizer=tokenizer,
            processor=None,
            dataset_cls=RLHFDataset,
            data_config=agent_loop.DictConfigWrap(config.data),
        )

    return asyncio.run(go()), server.asked


@pytest.fixture
def solving(make_stage):
    return make_stage("judge", overrides=[*SOLVES, *LIMITS], init=base_path("qwen3_moe"))


def test_each_kind_of_response_has_its_own_limit(solving):
    (verdict, solution), asked = sampled(solving, LOOP, SOLVING_LOOP)
    assert (len(verdict.response_ids), len(solution.response_ids)) == (7, 19)
    assert [one["max_tokens"] for one in asked] == [7, 19]


def test_each_kind_is_truncated_at_its_own_limit(solving):
    (verdict, solution), _ = sampled(solving, LOOP, SOLVING_LOOP)
    assert verdict.extra_fields["truncated"] and solution.extra_fields["truncated"]


def test_a_solution_longer_than_a_verdict_is_not_truncated(solving, monkeypatch):
    async def short(self, *, sampling_params, **_):
        return TokenOutput(token_ids=[5] * 9, extra_fields={})

    monkeypatch.setattr(Server, "generate", short)
    (solution,), _ = sampled(solving, SOLVING_LOOP)
    assert len(solution.response_ids) == 9 and not solution.extra_fields["truncated"]


class Own(SeededSingleTurn):
    """A loop of stage 2's own."""


OWN = f"{__name__}:Own"


def test_problems_are_solved_by_the_loop_of_stage_2(make_stage):
    stage = make_stage("judge", overrides=[*SOLVES, f"generate.agent_loop={OWN}"])
    write_agent_loops(stage)
    targets = {loop.name: loop["_target_"] for loop in OmegaConf.load(agent_loops_file(stage))}
    ours = "judgerlvr.engine.in_training.agent_loop.SeededSingleTurn"
    assert targets == {LOOP: ours, SOLVING_LOOP: OWN.replace(":", ".")}


@pytest.mark.parametrize(("overrides", "refused"), [(SOLVES, True), (SOLVES[1:], False)])
def test_a_faulty_loop_of_stage_2_is_refused_where_it_is_used(make_stage, overrides, refused):
    stage = make_stage("judge", overrides=[*overrides, "generate.agent_loop=nowhere:Tool"])
    if not refused:
        return check_agent_loop(stage)
    with pytest.raises(InputError, match="'nowhere' cannot be imported") as caught:
        check_agent_loop(stage)
    assert caught.value.field == "generate.agent_loop"
    return None


def test_a_judge_that_does_not_solve_asks_as_before(make_stage):
    stage = make_stage("judge", overrides=LIMITS, init=base_path("qwen3_moe"))
    (verdict,), (asked,) = sampled(stage, LOOP)
    assert "max_tokens" not in asked
    assert len(verdict.response_ids) == 7 and verdict.extra_fields["truncated"]


def test_the_engine_has_room_for_a_solution(solving):
    config = render(solving)
    longest = solving.config.max_prompt_tokens + 19
    assert config.actor_rollout_ref.rollout.response_length == 19
    assert config.actor_rollout_ref.rollout.max_model_len == longest


def test_a_flowing_engine_hands_over_a_whole_solution_at_its_end(make_stage):
    overrides = [*SOLVES, *LIMITS, "cluster.trainer_mode=colocate_async"]
    config = render(make_stage("judge", overrides=overrides))
    assert config.actor_rollout_ref.rollout.engine_kwargs.vllm.stream_interval == 20


def test_a_cpu_engine_takes_a_whole_solution_in_one_batch(make_stage):
    overrides = [*SOLVES, "generate.max_response_tokens=9000", "max_prompt_tokens=100"]
    assert render(make_stage("judge", overrides=overrides)).actor_rollout_ref.rollout.max_num_batched_tokens == 9100


def test_a_judge_with_the_longer_limit_keeps_it(make_stage):
    stage = make_stage("judge", overrides=[*SOLVES, "judge.max_response_tokens=190", "generate.max_response_tokens=19"])
    assert render(stage).actor_rollout_ref.rollout.response_length == 190


# What the keys add to verl's configuration and to the loops, and to nothing else.
ADDED = {"actor_rollout_ref.rollout.response_length", "actor_rollout_ref.rollout.max_model_len", "data.val_files"}


def test_solving_changes_no_other_key_of_verl(make_stage):
    """data.val_max_samples changes too: the rows are chosen as the file is written."""
    plain, more = (all_settings(make_stage("judge", overrides=given)) for given in (SOLVES[1:], SOLVES))
    changed = {name for name in more if name not in plain or more[name] != plain[name]}
    assert changed == ADDED | {"data.val_max_samples"}
    assert set(plain) <= set(more)


@pytest.mark.parametrize("kind", ["judge", "generate"])
def test_without_the_key_nothing_is_added(make_stage, kind):
    stage = make_stage(kind, overrides=SOLVES if kind == "generate" else SOLVES[1:])
    write_agent_loops(stage)
    (loop,) = OmegaConf.load(agent_loops_file(stage))
    assert "longest" not in loop and stage.validated == stage.heldout


class Graded:
    """As much of a worker as grading needs."""

    reward_loop_worker_handles = ("one",)

    async def grade(self, sample):
        return {"reward_score": 1.0, "reward_extra_info": {"acc": 1.0}}


@pytest.mark.parametrize(("source", "more"), [("solving", {"tokens": 2, "truncated": 1.0}), ("judge_right", {})])
def test_the_record_of_a_solution_has_its_size(source, more):
    metrics = SimpleNamespace(compute_score=None)
    output = SimpleNamespace(reward_score=None, response_ids=[1, 2], extra_fields={"truncated": True}, metrics=metrics)
    asyncio.run(LeanWorker._compute_score(Graded(), [output], {"data_source": source}))
    assert output.extra_fields["reward_extra_info"] == {"acc": 1.0} | more


class Nothing:
    logger: ClassVar = {}

    def log(self, data, step):
        pass


def begun(folder, gain, base):
    """The log of a run whose validation before the first step found ``base``."""
    rules = StopRules(Stop(steps=9), gain)
    log = StepLog(Nothing(), folder / METRICS, "judge", Stop(steps=9), lambda _: None, rules)
    log.log({SOLVING_ACCURACY.name: base}, 0)
    return log, rules


def test_the_validation_before_the_first_step_is_the_base(tmp_path):
    log, rules = begun(tmp_path, 0.25, 0.5)
    rules.observe(log_row(log, 0.75))
    assert "0.500 to 0.750" in rules.reason_to_stop(0)


def log_row(log, accuracy):
    log.log(HEALTHY | {SOLVING_ACCURACY.name: accuracy}, 1)
    return read_metrics(log.path)[-1]


def test_the_line_of_a_step_has_the_accuracy_of_solving(tmp_path):
    log, _ = begun(tmp_path, 0.25, 0.5)
    log_row(log, 0.625)
    first, *_, last = (tmp_path / PROGRESS).read_text().splitlines()
    assert "0.500" in first and "solving 0.625" in last


def test_a_gain_that_cannot_come_is_a_warning(tmp_path):
    begun(tmp_path, 0.75, 0.5)
    assert "warning: the starting policy solves 0.500" in (tmp_path / PROGRESS).read_text()


def test_a_run_that_does_not_solve_says_nothing_of_it(tmp_path):
    rules = StopRules(Stop(steps=9))
    log = StepLog(Nothing(), tmp_path / METRICS, "judge", Stop(steps=9), lambda _: None, rules)
    log.log({"validation/balanced_accuracy": 0.5}, 0)
    assert not (tmp_path / PROGRESS).exists()
    assert rules.plateau_state()["best"] == 0.0  # the plateau counts from the first step, as before


def trainer_of(stage, rules):
    trainer = StageTrainer.__new__(StageTrainer)
    trainer.stage, trainer.global_steps, trainer.rules = stage, 1, rules
    trainer.replay_buffer = SimpleNamespace(generated_tokens=7)
    trainer.guard_state = SimpleNamespace(zero_steps=0)
    return trainer


@pytest.mark.parametrize(("kind", "gain"), [("judge", 0.25), ("generate", 0.0)])
def test_the_trainer_stops_by_the_gain_of_its_stage(make_stage, monkeypatch, kind, gain):
    """Stage 2 reads the same file, and measures no solving beside itself."""
    stage = make_stage(kind, overrides=[*SOLVES, "judge.solving.stop_gain=0.25", "reward.canary_every=0"])
    monkeypatch.setattr(PPOTrainer, "__init__", lambda self, config: None)
    assert StageTrainer(render(stage), stage).rules.solving_gain == gain


def test_the_seal_carries_the_base(make_stage, tmp_path):
    _, rules = begun(tmp_path, 0.25, 0.5)
    stage = make_stage("judge", overrides=SOLVES)
    sealed = tmp_path / "global_step_1"
    sealed.mkdir()
    (sealed / "COMPLETE.json").write_text(json.dumps(trainer_of(stage, rules).progress()))
    again = trainer_of(stage, StopRules(Stop(), 0.25))
    again.restore(read_seal(sealed, Progress))
    assert again.rules.solving_state() == {"base": 0.5, "now": 0.5}


def test_a_seal_without_solving_is_as_before(make_stage):
    stage = make_stage("judge")
    progress = trainer_of(stage, StopRules(Stop())).progress()
    assert list(progress) == ["step", "generated_tokens", "seconds", "zero_steps", "plateau"]
    trainer_of(stage, StopRules(Stop())).restore(progress)


@pytest.mark.parametrize(("most", "seed"), [(3, 0), (3, 5), (0, 0), (20, 0)])
def test_the_judge_rows_are_those_that_verl_would_choose(tmp_path, make_stage, most, seed):
    """So a run's held-out figures of judging are the same with and without the measurement of solving."""
    rows = [
        {
            "data_source": "judge_right",
            "prompt": [{"role": "user", "content": f"{number}"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "1"},
            "extra_info": {"id": f"{number}", "index": number},
        }
        for number in range(9)
    ]
    write_parquet(tmp_path / "heldout.parquet", rows, judge_schema())
    stage = make_stage("judge", overrides=[f"judge.validation.prompts={most}", f"seed={seed}"])
    config = render(stage).data
    dataset = RLHFDataset(
        [str(stage.heldout)], load_tokenizer(base_path("qwen3_moe")), config, None, config.val_max_samples
    )
    ours = chosen(read_rows(Path(stage.heldout)), most, seed)
    assert [row["extra_info"]["id"] for row in ours] == [row["extra_info"]["id"] for row in dataset.dataframe]
