"""Nodes of a cluster: each fault is one line with the node's address and a remedy, and sound nodes have none."""

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from judgerlvr.cluster import node_probe
from judgerlvr.cluster.node_probe import NodeReport, Questions, shared_fault
from judgerlvr.cluster.nodes import Node, sizes
from judgerlvr.cluster.ray import check_address
from judgerlvr.pipeline.checkup import nodes as checkup
from judgerlvr.pipeline.checkup.nodes import Wanted, node_faults, small_stores
from judgerlvr.planning.machine import GIB
from judgerlvr.runs.versions import PACKAGES, versions
from rewards.errors import InputError

RUNS = Path("/shared/runs")
WANTED = Wanted("cpu", versions() | {"python": platform.python_version()}, RUNS, "hysparse", 4.0, 10.0, 0.5)
SOUND = NodeReport(
    python=platform.python_version(),
    versions=versions(),
    plugins=("hysparse",),
    has_product=True,
    memory=64 * GIB,
    shared_memory=16 * GIB,
    open_files=65536,
    temporary_folder="/tmp",
    temporary_free=100 * GIB,
    disk_free=100 * GIB,
)
NODE = Node("a" * 56, "10.0.0.7", {"CPU": 16.0, "GPU": 8.0, "object_store_memory": float(GIB)}, SOUND)


def other(package, version):
    return {"versions": SOUND.versions | {package: version}}


FAULTS = [
    ({"python": "3.12.1"}, "has Python 3.12.1"),
    (other("torch", "2.0.0"), "has torch 2.0.0"),
    (other("ray", "2.1.0"), "has ray 2.1.0"),
    (other("transformers", "missing"), "has transformers missing"),
    (other("verl", "0.8.0"), "verl 0.8.0 found"),
    (other("vllm", "0.1.0"), "vllm 0.1.0 found"),
    ({"plugins": ("lora",)}, "finds no plugin for HySparse"),
    ({"has_product": False}, "cannot import judgerlvr"),
    ({"shared_fault": "the driver's file is not there"}, "does not share /shared/runs"),
    ({"unread": {"/m/a": "Permission denied", "/m/b": "x"}}, "cannot read /m/a (Permission denied, and 1 file more)"),
    ({"disk_free": 9 * GIB}, "sees 9.00 GiB free for /shared/runs, 10.00 are needed"),
    ({"temporary_free": GIB // 2}, "has 0.50 GiB free in /tmp"),
    ({"open_files": 256}, "allows 256 open files"),
    ({"shared_memory": 2**25}, "has 0.03 GiB of /dev/shm"),
    ({"memory": 3 * GIB}, "has 3.0 GiB of memory, the stage takes 4.0"),
    ({"unreached": ("Ray's node manager at 10.0.0.8:7 (timed out)",)}, "cannot reach Ray's node manager"),
]


def lines(node, wanted=WANTED):
    return [str(fault) for fault in node_faults([NODE, node], wanted)]


def test_a_sound_node_has_no_fault():
    assert lines(NODE) == [] and list(small_stores([NODE], WANTED)) == []


@pytest.mark.parametrize(("change", "says"), FAULTS)
def test_a_fault_is_one_line_with_address_and_remedy(change, says):
    (line,) = lines(replace(NODE, address="10.0.0.8", report=replace(SOUND, **change)))
    assert line.startswith("node 10.0.0.8 ") and says in line and "; " in line and "\n" not in line


@pytest.mark.parametrize(("found", "faults"), [("missing", 1), ("14.2.0", 0)])
def test_a_node_needs_cupy_where_weights_go_from_gpu_to_gpu(found, faults, monkeypatch):
    monkeypatch.setattr(checkup, "check_found_versions", lambda *_: None)
    node = replace(NODE, report=replace(SOUND, **other("cupy-cuda13x", found)))
    wanted = replace(WANTED, device="gpu", separate=True)
    told = [str(fault) for fault in node_faults([node], wanted)]
    assert len(told) == faults and all("cupy is missing" in line for line in told)
    assert lines(node) == []


def test_every_answer_of_a_node_has_a_fault():
    """Else a node would be asked for nothing. The folder's name only places the fault of the folder."""
    tried = {name for change, _ in FAULTS for name in change}
    assert set(NodeReport.__dataclass_fields__) == tried | {"temporary_folder"}


def test_a_silent_node_is_a_fault():
    (line,) = lines(replace(NODE, address="10.0.0.8", report=None, fault="does not answer within 15 s"))
    assert line.startswith("node 10.0.0.8 does not answer") and "take the node out of the cluster" in line


@pytest.mark.parametrize("change", [{"shared_memory": 2**25}, {"memory": 3 * GIB}])
def test_a_node_without_gpus_trains_nothing(change):
    head = replace(NODE, resources={"CPU": 4.0}, report=replace(SOUND, **change))
    assert lines(head) == []


@pytest.mark.parametrize(("gib", "warnings"), [(0.49, 1), (0.51, 0)])
def test_a_small_object_store_is_a_warning(gib, warnings):
    node = replace(NODE, resources=NODE.resources | {"object_store_memory": gib * GIB})
    assert len(list(small_stores([node], WANTED))) == warnings


def asked(folder, **changes):
    (folder / "driver").write_text("text")
    return replace(Questions(PACKAGES, str(folder), "text"), **changes)


def test_a_node_s_report_of_itself(tmp_path):
    found = node_probe.report(asked(tmp_path), "node")
    assert (found.python, found.versions) == (platform.python_version(), versions())
    assert (tmp_path / "node").read_text() == "textnode"
    assert found.has_product and not found.shared_fault and not found.unreached and not found.unread


def test_a_file_of_another_size_is_told(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_bytes(b"123")
    files = sizes([model])
    assert node_probe.report(asked(tmp_path, files=files), "node").unread == {}
    (model / "weights").write_bytes(b"1")
    assert node_probe.report(asked(tmp_path, files=files), "node").unread == {
        str(model / "weights"): "1 bytes, the driver sees 3"
    }


def test_a_port_where_nothing_listens_is_told(tmp_path):
    ports = [("127.0.0.1", 9, "the port")]
    (line,) = node_probe.report(asked(tmp_path, ports=ports), "node").unreached
    assert line.startswith("the port at 127.0.0.1:9 (")


def test_another_file_than_the_driver_s_is_told(tmp_path):
    (tmp_path / "driver").write_text("older")
    assert shared_fault(tmp_path, "text", "node") == "holds another file than the driver's"
    assert shared_fault(tmp_path / "none", "text", "node").startswith("the driver's file is not there")


def test_no_private_cluster_is_started_where_an_address_is_given():
    with pytest.raises(InputError, match="would start a private cluster"):
        check_address("local")
