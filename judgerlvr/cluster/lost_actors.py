"""Ray's table of actors, which Ray offers for debugging only, and the head that would be asked."""

from __future__ import annotations

from dataclasses import dataclass

import ray

from judgerlvr.cluster.ray import answers


@dataclass(frozen=True)
class LostActor:
    """An actor whose process or node died unasked."""

    name: str
    pid: int
    node: str
    with_node: bool
    message: str
    actor: str = ""


def silence_of(address: str) -> str:
    """What is said of a head that nothing answers at."""
    return f"the Ray cluster at {address} does not answer"


def silent_head() -> str | None:
    """Why the connected cluster cannot be asked, None for a head that answers."""
    address = ray.get_runtime_context().gcs_address
    return None if answers(address) else silence_of(address)


def lost_actors() -> list[LostActor]:
    """Lost actors of the connected cluster's running job, the first death first. Ends on request are left out.

    A head that does not answer knows none. Ray would wait a minute for the answer and then end the process.
    """
    if silent_head():
        return []
    from ray._private.state import actors
    from ray.core.generated.common_pb2 import ActorDiedErrorContext as Died

    job = ray.get_runtime_context().get_job_id()
    found = []
    for actor in sorted(actors(actor_state_name="DEAD").values(), key=lambda actor: int(actor["EndTime"])):
        died = actor["DeathCause"].actor_died_error_context
        if actor["JobID"] == job and died.reason in (Died.WORKER_DIED, Died.NODE_DIED):
            with_node = died.reason == Died.NODE_DIED
            place = died.class_name, died.pid, died.node_ip_address
            found.append(LostActor(*place, with_node, died.error_message, str(actor["ActorID"])))
    return found
