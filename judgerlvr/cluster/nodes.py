"""Questions to each living node of a running cluster, with a bounded wait for the answers."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judgerlvr.cluster import node_probe
from judgerlvr.cluster.node_probe import NodeReport, Questions
from judgerlvr.cluster.ray import check_address, join, leave
from rewards.errors import InputError, one_line

# Ray lists a node that is gone as alive for some time. A node that does not answer within these seconds counts as gone.
ANSWER_SECONDS = 15.0
SERVERS = (("NodeManagerPort", "Ray's node manager"), ("ObjectManagerPort", "Ray's object manager"))


@dataclass(frozen=True)
class Node:
    """A living node by Ray's list, with its report. ``fault`` says why there is no report.

    ``resources`` are Ray's: CPU, GPU, and memory and object_store_memory in bytes.
    """

    name: str
    address: str
    resources: Mapping[str, float]
    report: NodeReport | None = None
    fault: str = ""


def ask_nodes(address: str, packages: Sequence[str], files: Mapping[str, int], folder: Path) -> list[Node]:
    """Each living node's answers, after at most ``ANSWER_SECONDS``. ``folder`` exists and is to be shared.

    Raises:
        InputError: no cluster at the address, or a folder that the driver cannot write.
    """
    check_address(address)
    import ray

    try:
        join(address=address, log_to_driver=False, configure_logging=False)
        with _shared(folder) as (shared, text), _listener(ray.util.get_node_ip_address()) as listening:
            found = [node for node in ray.nodes() if node["Alive"]]
            questions = Questions(tuple(packages), str(shared), text, dict(files), [*_ports(found), listening])
            return [_read_back(node, shared, text) for node in _answers(found, questions)]
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"the cluster at {address} ends the connection ({one_line(error)})", "try again") from error
    finally:
        leave()


@contextmanager
def _shared(folder: Path) -> Iterator[tuple[Path, str]]:
    """A new folder with the driver's file. Nothing has asked for the name before, so no file system has cached it."""
    shared, text = folder / f".probe-{uuid.uuid4().hex}", uuid.uuid4().hex
    try:
        shared.mkdir()
        (shared / "driver").write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(shared, ignore_errors=True)
        remedy = "free some space there, or give another folder that this user may write"
        raise InputError(f"the driver cannot write there ({error.strerror})", remedy, file=folder) from error
    try:
        yield shared, text
    finally:
        shutil.rmtree(shared, ignore_errors=True)


@contextmanager
def _listener(host: str) -> Iterator[tuple[str, int, str]]:
    """A port that Ray has nothing to do with: verl, torch and vLLM listen on ports like this."""
    with socket.create_server(("", 0), backlog=1024) as server:
        yield host, int(server.getsockname()[1]), "a free port of the driver"


def _ports(nodes: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
    return [(node["NodeManagerAddress"], node[port], name) for node in nodes for port, name in SERVERS]


def _answers(nodes: Sequence[Mapping[str, Any]], questions: Questions) -> list[Node]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # By value, since the node may lack this product.
    ray.cloudpickle.register_pickle_by_value(node_probe)
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(node_probe.report)
        asked = [
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                questions, node["NodeID"]
            )
            for node in nodes
        ]
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_SECONDS)
        return [_answer(node, answer, answer in ready) for node, answer in zip(nodes, asked, strict=True)]
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_probe)


def _answer(node: Mapping[str, Any], answer: Any, ready: bool) -> Node:
    import ray

    found = Node(node["NodeID"], node["NodeManagerAddress"], dict(node["Resources"]))
    if not ready:
        return replace(found, fault=f"is listed as alive and does not answer within {ANSWER_SECONDS:.0f} s")
    try:
        # The class of the report came by value, so only its fields are taken.
        return replace(found, report=NodeReport(**vars(ray.get(answer))))
    except ray.exceptions.RayError as error:
        return replace(found, fault=f"cannot run a process ({one_line(error)})")


def _read_back(node: Node, shared: Path, text: str) -> Node:
    """The node with a fault of its report where the driver cannot read what the node has written."""
    if node.report is None or node.report.shared_fault:
        return node
    try:
        same = (shared / node.name).read_text(encoding="utf-8") == text + node.name
    except OSError:
        same = False
    fault = "" if same else "what is written there does not reach the driver"
    return replace(node, report=replace(node.report, shared_fault=fault))


def sizes(folders: Sequence[Path]) -> dict[str, int]:
    """Files of the folders with their sizes in bytes, links followed."""
    return {str(path): path.stat().st_size for folder in folders for path in _files(folder)}


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (Path(entry.path) for entry in os.scandir(path) if entry.is_file())
