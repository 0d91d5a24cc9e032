"""Arms side by side end with the weights of arms one after the other, bit by bit."""

import time

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.experiments.arms_of_seed import ArmsOfSeed
from judgerlvr.experiments.commands import ALONE, Room, call
from judgerlvr.experiments.plan import ArmPlan, Kind, Plan, StagePlan
from judgerlvr.models.identity import model_hash
from judgerlvr.runs.manifest import read_manifest
from judgerlvr.runs.metrics import METRICS, read_metrics
from tests.helpers.stage_runs import SMALL, write_candidates

pytestmark = [pytest.mark.engine, pytest.mark.slow]

STAGES = ("judge", "generate", "vanilla")
BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3_moe"
# With a warm-up the first step would have the learning rate 0.
SETTINGS = [
    f"model.path={BASE}",
    *(word for word in SMALL if not word.startswith("--")),
    *(f"{stage}.{key}" for stage in ("judge", "generate") for key in ("stop.steps=1", "optimizer.warmup_steps=0")),
    "data.tiny_heldout=16",
]


class Timed:
    """The real calls of stages with their times. Evaluations and the report change no weights, and are left out."""

    def __init__(self):
        self.spans = {}

    def __call__(self, module, *words, **shown):
        name = next((word.removeprefix("name=") for word in map(str, words) if word.startswith("name=")), None)
        if name:
            began = time.monotonic()
            call(module, *words, **shown)
            self.spans[name] = (began, time.monotonic())


def train(folder, room):
    """(spans of the stages, folder) of a judge-first arm of a step a stage, and vanilla at its tokens."""
    write_candidates(folder / "candidates.jsonl")
    chain = ArmPlan([StagePlan(kind, kind.value) for kind in Kind])
    vanilla = ArmPlan([StagePlan(Kind.generate, "vanilla")], match="JudgeRLVR")
    words = [*SETTINGS, f"judge.data.responses=[{folder / 'candidates.jsonl'}]"]
    timed = Timed()
    ArmsOfSeed(Plan(arms={"JudgeRLVR": chain, "vanilla": vanilla}, overrides=words), folder, None, timed, room).run()
    return timed.spans, folder


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    return train(tmp_path_factory.mktemp("beside"), Room(1, True))


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory):
    return train(tmp_path_factory.mktemp("in_turn"), ALONE)


def published(trained):
    """Hash of the published policy of each stage."""
    return {name: model_hash(trained[1] / "ckpt" / name) for name in STAGES}


def test_vanilla_trained_while_the_chain_did(beside):
    (began, _), (_, ended) = beside[0]["vanilla"], beside[0]["generate"]
    assert began < ended


def test_both_ways_end_with_the_same_weights(beside, in_turn):
    assert published(beside) == published(in_turn)


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_has_changed_its_weights(in_turn, name):
    """Untrained policies would be equal too."""
    assert read_manifest(in_turn[1] / name).changed_weights > 0.5


def test_vanilla_spent_what_the_chain_had_spent(in_turn):
    """Two steps, so that the tokens of the chain have let vanilla go on once, and have ended vanilla once."""
    assert [row.step for row in read_metrics(in_turn[1] / "vanilla" / METRICS) if row.is_training] == [1, 2]
