"""Which of the dead actors of Ray's table count as lost."""

from types import SimpleNamespace

import pytest
import ray
from ray.core.generated.common_pb2 import ActorDeathCause, ActorDiedErrorContext
from ray.core.generated.gcs_pb2 import ActorTableData

from judgerlvr.cluster import lost_actors as module
from judgerlvr.cluster.lost_actors import LostActor, lost_actors, silent_head


@pytest.fixture
def table(monkeypatch):
    """Ray's table of actors, to be filled. The job of the process is ``01``."""
    rows = {}
    monkeypatch.setattr("ray._private.state.actors", lambda actor_state_name: rows)
    context = SimpleNamespace(get_job_id=lambda: "01", gcs_address="10.0.0.1:6379")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(module, "answers", lambda address: True)

    def add(name, reason, end, job="01"):
        place = {"class_name": name, "pid": 7, "node_ip_address": "10.0.0.7"}
        died = ActorDiedErrorContext(**place, reason=ActorDiedErrorContext.Reason.Value(reason))
        cause = ActorDeathCause(actor_died_error_context=died)
        ended = ActorTableData(end_time=end).end_time
        rows[name] = {"ActorID": name, "JobID": job, "EndTime": ended, "DeathCause": cause}

    return add


def test_the_first_death_stands_first(table):
    table("later", "WORKER_DIED", 20)
    table("first", "NODE_DIED", 3)
    assert lost_actors() == [
        LostActor("first", 7, "10.0.0.7", True, "", "first"),
        LostActor("later", 7, "10.0.0.7", False, "", "later"),
    ]


@pytest.mark.parametrize("reason", ["RAY_KILL", "OUT_OF_SCOPE", "OWNER_DIED", "REF_DELETED"])
def test_an_end_on_request_is_no_loss(table, reason):
    table("asked", reason, 1)
    assert lost_actors() == []


def test_another_job_counts_for_itself(table):
    table("other", "WORKER_DIED", 1, job="02")
    assert lost_actors() == []


def test_a_silent_head_is_not_asked(table, monkeypatch):
    table("first", "WORKER_DIED", 1)
    assert silent_head() is None
    monkeypatch.setattr(module, "answers", lambda address: False)
    monkeypatch.setattr("ray._private.state.actors", lambda actor_state_name: pytest.fail("was asked"))
    assert silent_head() == "the Ray cluster at 10.0.0.1:6379 does not answer"
    assert lost_actors() == []
