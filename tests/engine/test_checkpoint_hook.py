"""A checkpoint is sealed at the end of its step: with its row, with finite weights, and never otherwise."""

from types import SimpleNamespace

import pytest
import torch
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from judgerlvr.config.schema import Plateau, Stop
from judgerlvr.engine.in_training import guards
from judgerlvr.engine.in_training.checkpoint_hook import CheckSaved, seal
from judgerlvr.engine.in_training.guards import GuardTripped
from judgerlvr.engine.in_training.step_log import StepLog
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.export.shards import rank_file
from judgerlvr.runs.checkpoints import SEAL, complete, read_seal
from judgerlvr.runs.metrics import HELDOUT_BALANCED, METRICS, read_metrics
from judgerlvr.runs.stage import STOP
from tests.helpers.run_folders import HEALTHY

ZERO = {"response/all_zero": 1.0, "reason/wrong": 8.0}


def saved(folder, step, value=0.5):
    """A checkpoint as verl has written it."""
    checkpoint = folder / f"global_step_{step}"
    (checkpoint / "actor").mkdir(parents=True)
    weights = {"a": torch.zeros(3), "b": torch.tensor([0.0, value])}
    torch.save(weights, rank_file(checkpoint / "actor", "model", 1, 0))
    return checkpoint


def on_save(trainer, checkpoint, step):
    CheckSaved.on_save(object.__new__(CheckSaved), trainer, step, str(checkpoint))


@pytest.fixture
def trainer(make_stage, tmp_path):
    """A trainer in the middle of a run, as far as the end of a step needs it."""
    trainer = StageTrainer.__new__(StageTrainer)
    trainer.stage, trainer.global_steps, trainer.saved = (
        make_stage("judge", overrides=["judge.checkpoint.keep=1", "judge.algorithm.old_log_probs_every=1"]),
        1,
        None,
    )
    trainer.rules, trainer.guard_state = StopRules(Stop(plateau=Plateau(steps=5))), guards.GuardState()
    trainer.replay_buffer = SimpleNamespace(generated_tokens=7)
    trainer.canary = SimpleNamespace(check=lambda step: None)
    tracker = SimpleNamespace(log=lambda data, step: None, logger={})
    trainer.logger = StepLog(tracker, tmp_path / METRICS, "judge", Stop(steps=9), trainer._step, trainer.rules)
    return trainer


def end_step(trainer, step, more=()):
    """What verl does at the end of a step with a save."""
    trainer.global_steps = step
    checkpoint = saved(trainer.stage.checkpoints, step)
    on_save(trainer, checkpoint, step)
    trainer.logger.log(HEALTHY | dict(more), step)
    return checkpoint


def test_a_death_behind_the_save_leaves_no_seal_without_a_row(trainer):
    """verl sends weights and validates between the save and the row. A death there costs the step as a whole."""
    on_save(trainer, saved(trainer.stage.checkpoints, 1), 1)
    assert complete(trainer.stage.checkpoints) == []
    assert read_metrics(trainer.stage.run_dir / METRICS) == []


def test_the_row_is_written_before_the_seal(trainer, monkeypatch):
    seen = []

    def look(*_):
        seen.extend(row.step for row in read_metrics(trainer.stage.run_dir / METRICS))

    monkeypatch.setattr("judgerlvr.engine.in_training.trainer.seal", look)
    end_step(trainer, 1)
    assert seen == [1]


def test_a_step_that_saves_nothing_seals_nothing(trainer):
    end_step(trainer, 1)
    trainer.logger.log(HEALTHY, 2)
    assert [path.name for path in complete(trainer.stage.checkpoints)] == ["global_step_1"]
    assert read_seal(trainer.stage.checkpoints / "global_step_1")["step"] == 1


def test_the_seal_holds_what_the_rules_saw_of_its_step(trainer):
    """A resumed run counts the plateau and the zero steps from here."""
    checkpoint = end_step(trainer, 1, {HELDOUT_BALANCED.name: 0.75} | ZERO)
    progress = read_seal(checkpoint)
    assert progress["plateau"] == {"best": 0.75, "best_step": 1, "step": 1}
    assert progress["zero_steps"] == 1


def test_a_guard_that_stops_the_run_leaves_the_step_sealed(trainer):
    with pytest.raises(GuardTripped, match="guard mismatch"):
        end_step(trainer, 1, {"training/rollout_probs_diff_mean": 0.5})
    assert [path.name for path in complete(trainer.stage.checkpoints)] == ["global_step_1"]


@pytest.mark.parametrize("name", ["actor/grad_norm", "actor/pg_loss", "training/rollout_probs_diff_mean"])
def test_a_step_whose_values_are_not_finite_is_never_sealed(trainer, name):
    """verl skips an update of a norm that is not finite: the weights are finite, and nothing was trained."""
    end_step(trainer, 1)
    with pytest.raises(GuardTripped, match="guard finite"):
        end_step(trainer, 2, {name: float("nan")})
    assert [path.name for path in complete(trainer.stage.checkpoints)] == ["global_step_1"]


def fit(trainer, every, act):
    """verl's loop as far as stops, saves and rows go. ``act`` is called at each place of each step."""
    trainer.total_training_steps = 9
    trainer.config = SimpleNamespace(trainer=SimpleNamespace(save_freq=every))
    while trainer.global_steps <= trainer.total_training_steps:
        step, is_last = trainer.global_steps, trainer.global_steps >= trainer.total_training_steps
        act("sampling", step)
        trainer.on_sample_end()
        trainer.step({}, {})
        if is_last or step % trainer.config.trainer.save_freq == 0:
            on_save(trainer, saved(trainer.stage.checkpoints, step), step)
        act("behind the save", step)
        trainer.logger.log(HEALTHY, step)
        trainer.global_steps += 1


@pytest.mark.parametrize(
    ("place", "every", "last"),
    [
        ("sampling", 1, 2),
        ("sampling", 5, 2),
        ("update", 1, 2),
        ("update", 5, 2),
        ("behind the save", 1, 2),
        ("behind the save", 5, 3),  # step 2 was not saved, and cannot be any more
    ],
)
def test_a_stop_costs_as_few_steps_as_the_place_allows(trainer, monkeypatch, place, every, last):
    def act(at, step):
        if (at, step) == (place, 2):
            (trainer.stage.run_dir / STOP).touch()

    module = "judgerlvr.engine.in_training.trainer."
    monkeypatch.setattr(PPOTrainerSync, "on_sample_end", lambda self: None)
    monkeypatch.setattr(PPOTrainerSync, "step", lambda self, *_: act("update", self.global_steps))
    monkeypatch.setattr(f"{module}read_samples", lambda *_: None)
    monkeypatch.setattr(f"{module}mismatch_metrics", lambda *_: {})
    trainer.workers, trainer.block_config = {}, None
    fit(trainer, every, act)
    assert [path.name for path in complete(trainer.stage.checkpoints)] == [f"global_step_{last}"]
    assert [row.step for row in read_metrics(trainer.stage.run_dir / METRICS)] == list(range(1, last + 1))


def test_older_checkpoints_are_pruned_behind_a_seal(tmp_path):
    for step in (1, 2):
        seal(saved(tmp_path, step), {"step": step}, keep=1)
    assert [path.name for path in complete(tmp_path)] == ["global_step_2"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_checkpoint_that_is_not_finite_is_never_sealed(trainer, value):
    first = end_step(trainer, 1)
    broken = saved(trainer.stage.checkpoints, 2, value)
    with pytest.raises(GuardTripped, match="weight b is not finite at step 2"):
        on_save(trainer, broken, 2)
    trainer.logger.log(HEALTHY, 2)
    assert not (broken / SEAL).exists()
    assert complete(trainer.stage.checkpoints) == [first]
