"""Arms at once on a cluster: room by what Ray offers, against a twin that places stage by stage; order and failures."""

import itertools
import random
import threading
import time

import pytest
import yaml

from judgerlvr import experiment
from judgerlvr.experiments import cluster_room, command
from judgerlvr.experiments.cluster_room import Need, arms_with_room, needs_of
from judgerlvr.experiments.commands import ALONE
from judgerlvr.experiments.plan import read_plan
from judgerlvr.experiments.schedule import Job, carry_out
from rewards.errors import BAD_INPUT, CommandFailed
from tests.experiments.conftest import Commands

GIB = 2**30
ONE = Need(machines=1, gpus=1, cpus=3, all_cpus=6, memory_gib=10.0, disk_gib=5.0)
FREE = 1e6  # GiB of a disk that bounds nothing


def machine(gpus, cpus=200, memory=2000):
    return {"GPU": float(gpus), "CPU": float(cpus), "memory": memory * GIB}


def placed(nodes, need):
    """Stages that a naive placing finds room for: group by group onto the first machine that still has room."""
    free = [dict(node) for node in nodes]
    cpus, count = sum(node.get("CPU", 0) for node in nodes), 0
    while True:
        for _ in range(need.machines):
            wanted = {"GPU": need.gpus, "CPU": need.cpus, "memory": need.memory_gib * GIB}
            found = next((node for node in free if all(node.get(k, 0) >= v for k, v in wanted.items())), None)
            if found is None:
                return count
            for kind, amount in wanted.items():
                found[kind] -= amount
        cpus -= need.all_cpus
        if cpus < 0:
            return count
        count += 1


@pytest.mark.parametrize("seed", range(200))
def test_room_against_the_twin(seed):
    draw = random.Random(seed)
    nodes = [machine(draw.randint(0, 8), draw.randint(1, 100), draw.randint(1, 500)) for _ in range(draw.randint(1, 6))]
    machines, gpus = draw.randint(1, 3), draw.randint(1, 8)
    need = Need(machines, gpus, 3 * gpus, 3 * gpus * machines + 10, draw.uniform(1, 200), draw.uniform(1, 50))
    assert arms_with_room(nodes, [need], FREE) == max(1, placed(nodes, need))


@pytest.mark.parametrize(
    ("nodes", "need", "room"),
    [
        ([machine(8)] * 4, Need(2, 8, 24, 58, 500.0, 5.0), 2),
        ([machine(8)] * 5, Need(2, 8, 24, 58, 500.0, 5.0), 2),
        ([machine(8)], Need(1, 4, 12, 22, 500.0, 5.0), 2),
        ([machine(8, memory=900)], Need(1, 4, 12, 22, 500.0, 5.0), 1),
        ([machine(8, cpus=23)], Need(1, 4, 12, 22, 1.0, 5.0), 1),
        ([machine(4)] * 2, Need(1, 8, 24, 34, 1.0, 5.0), 1),
        ([{"CPU": 8.0}, machine(1), machine(1)], ONE, 2),
        ([machine(8)] * 4, Need(1, 1, 3, 6, None, None), 1),
    ],
)
def test_room_by_hand(nodes, need, room):
    assert arms_with_room(nodes, [need], FREE) == room


def test_the_largest_stage_decides():
    nodes = [machine(8)] * 2
    assert arms_with_room(nodes, [ONE], FREE) == 16
    assert arms_with_room(nodes, [ONE, Need(1, 4, 12, 22, 10.0, 5.0)], FREE) == 4


@pytest.mark.parametrize(("free", "room"), [(4.0, 1), (9.9, 1), (10.0, 2), (52.0, 10)])
def test_the_free_disk_bounds_the_arms(free, room):
    assert arms_with_room([machine(8)] * 2, [ONE], free) == room


def log_of(jobs, at_once, seconds=0.0):
    """(name, what) as jobs begin and end, and the most jobs that were at work together."""
    log, at_work, most, lock = [], set(), [0], threading.Lock()

    def work(name):
        with lock:
            at_work.add(name)
            log.append((name, "begins"))
            most[0] = max(most[0], len(at_work))
        time.sleep(seconds)
        with lock:
            at_work.discard(name)
            log.append((name, "ends"))

    carry_out([Job(name, lambda name=name: work(name), after) for name, after in jobs.items()], at_once)
    return log, most[0]


@pytest.mark.parametrize(("seed", "at_once"), list(itertools.product(range(10), (1, 2, 3, 50))))
def test_each_job_runs_once_behind_the_job_that_it_waits_for(seed, at_once):
    draw = random.Random(seed)
    jobs = {number: draw.choice([None, *range(number)]) for number in range(12)}
    log, most = log_of(jobs, at_once)
    assert sorted(log) == sorted((name, what) for name in jobs for what in ("begins", "ends"))
    behind = [(name, after) for name, after in jobs.items() if after is not None]
    assert all(log.index((after, "ends")) < log.index((name, "begins")) for name, after in behind)
    assert most <= at_once


def test_a_ready_job_overtakes_a_job_that_waits():
    """The second job waits for the first. The third needs no one, and takes the second place at once."""
    meeting = threading.Barrier(2, timeout=10)
    carry_out([Job("a", meeting.wait), Job("b", lambda: None, "a"), Job("c", meeting.wait)], 2)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_job_starts_behind_a_failure(at_once):
    begun = []

    def fail():
        raise CommandFailed("the first failure")

    jobs = [Job("a", fail), Job("b", lambda: begun.append("b"), "a"), Job("c", lambda: begun.append("c"), "b")]
    with pytest.raises(CommandFailed, match="the first failure"):
        carry_out(jobs, at_once)
    assert not begun


PLAN = {
    "seeds": [1, 2],
    "arms": {
        "both": {"stages": [{"stage": "judge", "name": "judge"}, {"stage": "generate", "name": "generate"}]},
        "plain": {"stages": [{"stage": "generate", "name": "plain"}], "match": "both", "by": "steps"},
        "free": {"stages": [{"stage": "generate", "name": "free"}]},
    },
}


class Labelled(Commands):
    """Commands that record labels, which several threads give."""

    lock = threading.RLock()

    def __init__(self):
        super().__init__()
        self.labels = []

    def __call__(self, module, *words, label="", **_):
        with self.lock:
            self.labels.append(label)
            super().__call__(module, *words)


@pytest.fixture
def on_cluster(tmp_path, monkeypatch):
    """Carries a plan out on a fake cluster with so many machines of one GPU."""

    def carry(machines, *options):
        made = Labelled()
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
        monkeypatch.setattr(command, "pick_device", lambda *_: "cpu")
        monkeypatch.setattr("judgerlvr.pipeline.requests.pick_device", lambda *_: "cpu")
        monkeypatch.setattr(cluster_room, "resources_of", lambda _: (machine(1),) * machines)
        monkeypatch.setattr(command, "call", made)
        monkeypatch.setattr(command, "import_once", lambda *_: None)
        monkeypatch.setattr(command, "room_here", lambda *_: ALONE)
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(PLAN, sort_keys=False))
        assert experiment.main([str(path), "--out", str(tmp_path / "out"), *options]) == 0
        return made

    return carry


def test_all_arms_of_all_seeds_train_before_the_first_evaluation(on_cluster):
    modules = [module for module, _ in on_cluster(3, "--at-once", "9").seen]
    stages = [place for place, module in enumerate(modules) if module.startswith("stage")]
    assert stages == list(range(8)) and modules.count("report") == 2


def test_a_matched_arm_begins_behind_its_arm_and_gets_its_steps(on_cluster):
    seen = on_cluster(3, "--at-once", "9").seen
    for seed in (1, 2):
        names = [next((w for w in words if w.startswith("name=")), "") for _, words in seen if f"seed={seed}" in words]
        assert names.index("name=generate") < names.index("name=plain")
    assert sum("generate.stop.steps=10" in words for _, words in seen) == 2


def test_lines_of_arms_side_by_side_name_seed_and_run(on_cluster):
    labels = set(on_cluster(2, "--at-once", "2").labels) - {""}
    assert labels == {f"seed-{seed}/{name}" for seed in (1, 2) for name in ("judge", "generate", "plain", "free")}


@pytest.mark.parametrize(
    ("machines", "options", "told"),
    [
        (3, ["--at-once", "2"], "2 arms at once: 2 asked for, room for 3"),
        (3, ["--at-once", "9"], "3 arms at once: 9 asked for, room for 3"),
        (1, ["--at-once", "9"], "1 arm at once: 9 asked for, room for 1"),
        (3, [], ""),
    ],
)
def test_what_was_asked_for_and_the_room_are_told(on_cluster, capsys, machines, options, told):
    made = on_cluster(machines, *options)
    assert told in capsys.readouterr().out
    assert any(made.labels) == (told != "" and machines > 1)


@pytest.mark.parametrize(("option", "says"), [("2", "without a cluster"), ("0", "give 1 or more")])
def test_no_number_of_arms(tmp_path, commands, monkeypatch, capsys, option, says):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    path, out = tmp_path / "plan.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(PLAN))
    assert experiment.main([str(path), "--out", str(out), "--at-once", option]) == BAD_INPUT
    assert says in capsys.readouterr().err and not out.exists() and not commands.seen


def test_needs_of_a_plan_are_those_of_its_stages(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**PLAN, "overrides": ["cluster.nodes=2", "cluster.gpus_per_node=4"]}))
    needs = needs_of(read_plan(path), tmp_path / "out", "gpu")
    assert {(need.machines, need.gpus) for need in needs} == {(2, 4)} and len(needs) == 4
    assert all(need.memory_gib > 0 for need in needs)


def test_the_disk_of_an_arm_holds_all_its_stages(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    judge, generate, plain, _ = needs_of(read_plan(path), tmp_path / "out", "gpu")
    assert judge.disk_gib == generate.disk_gib > plain.disk_gib > 0
