"""Deaths in a real Ray session: a worker and then the raylet, each named with its signal by what watches them."""

import os
import signal
import time
from pathlib import Path

import pytest
import ray

from judgerlvr.cluster import remains
from judgerlvr.cluster.lost_actors import LostActor, lost_actors
from judgerlvr.cluster.session import Session, session
from judgerlvr.engine import watching
from judgerlvr.engine.watching import ClusterWatch
from judgerlvr.runs.causes import Evidence
from judgerlvr.sampling import on_ray
from judgerlvr.sampling.engines import EngineSettings, Lost
from tests.helpers.ports import free_port


@ray.remote(num_cpus=0)
class Worker:
    def pid(self):
        print("heard", flush=True)
        return os.getpid()


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What was said, by kind of death. ``folder`` is the session's."""
    said = {}
    with session(None) as opened:
        said["folder"] = opened.folder
        ray.init(address="local", num_cpus=1, num_gpus=0, include_dashboard=False, log_to_driver=False)
        asked, worker = Worker.remote(), Worker.remote()
        ray.get([asked.pid.remote(), worker.pid.remote()])
        watch, evidence = ClusterWatch(opened), Evidence(tmp_path_factory.mktemp("run"), opened)
        said["healthy"], said["log"] = watch.fault(), opened.log_of(ray.get(worker.pid.remote()))
        ray.kill(asked)
        os.kill(ray.get(worker.pid.remote()), signal.SIGKILL)
        with pytest.raises(ray.exceptions.RayError) as caught:
            ray.get(worker.pid.remote())
        said["worker"], said["lost"] = evidence.cause(caught.value), lost_actors()
        said["fresh loss"] = watch.fault()
        watch.lost_since = time.monotonic() - watching.LINGER
        said["old loss"] = watch.fault()
        raylet = next(pid for pid in remains.processes(opened.folder) if name_of(pid) == "raylet")
        os.kill(raylet, signal.SIGKILL)
        time.sleep(0.5)
        said["raylet"], said["server"] = watch.fault(), raylet
    return said


def name_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


class Dying:
    """An engine that the kernel kills at its start."""

    def __init__(self, *_):
        pass

    def width(self):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_sampling_engine_is_named_with_its_signal(monkeypatch, tmp_path):
    monkeypatch.setattr(on_ray, "Engine", Dying)
    with on_ray.ray_engines(EngineSettings("cpu", count=1)) as engines:
        engines.start(0, tmp_path, 8)
        (event,) = engines.wait(60.0)
    assert isinstance(event, Lost)
    assert event.cause.startswith("worker Dying (process ")
    assert event.cause.endswith(" was killed: SIGKILL")


def test_a_healthy_session_has_no_fault(ended):
    assert ended["healthy"] is None


def test_the_log_of_a_worker_is_found(ended):
    assert ended["log"].count("heard") == 2


def test_a_killed_worker_is_named_with_node_and_signal(ended):
    assert "worker Worker (process " in ended["worker"]
    assert ended["worker"].endswith(f"node {ray.util.get_node_ip_address()}) was killed: SIGKILL")


def test_an_actor_that_was_asked_to_end_is_not_lost(ended):
    assert len(ended["lost"]) == 1


def test_rays_own_error_is_waited_for(ended):
    assert ended["fresh loss"] is None
    assert ended["old loss"] == ended["worker"]


@pytest.mark.parametrize(("name", "told"), [(name, True) for name in watching.QUEUE] + [("WorkerDict", False)])
def test_no_error_of_ray_is_waited_for_where_none_comes(monkeypatch, name, told):
    lost = [LostActor(name, 12, "127.0.0.1", False, "")]
    monkeypatch.setattr(watching, "lost_actors", lambda: lost)
    watch = ClusterWatch(Session())
    watch._silence = lambda: None
    assert (watch.fault() is not None) is told


def test_the_queue_s_actors_have_the_names_that_are_watched():
    from transfer_queue.controller import TransferQueueController
    from transfer_queue.storage.simple_storage import SimpleStorageUnit

    classes = (TransferQueueController, SimpleStorageUnit)
    assert tuple(one.__ray_metadata__.class_name for one in classes) == watching.QUEUE


def test_a_killed_raylet_is_named(ended):
    assert ended["raylet"] == f"Ray's raylet on this machine (process {ended['server']}) was killed by SIGKILL"


def test_nothing_of_the_session_is_left(ended):
    assert not ended["folder"].exists()
    assert remains.processes(ended["folder"]) == []


def test_a_cluster_that_does_not_answer_is_a_fault_after_three_calls():
    watch = ClusterWatch(Session())
    watch.address = f"127.0.0.1:{free_port()}"
    said = [watch.fault() for _ in range(watching.REFUSALS)]
    assert said == [None, None, f"the Ray cluster at {watch.address} does not answer"]
