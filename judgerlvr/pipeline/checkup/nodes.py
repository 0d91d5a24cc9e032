"""The check of each node of a running cluster: faults that would end a stage there, before any model is loaded."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.cluster.node_probe import NodeReport
from judgerlvr.cluster.nodes import ANSWER_SECONDS, Node, ask_nodes, sizes
from judgerlvr.config.load import ROOT
from judgerlvr.engine.flowing import separates
from judgerlvr.engine.preflight import CUPY, PreflightError, check_cupy, check_found_versions, check_plugins
from judgerlvr.pipeline.checkup.findings import Finding, ok, warning
from judgerlvr.pipeline.checkup.placement import placement
from judgerlvr.pipeline.checkup.subject import Subject
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import GIB
from judgerlvr.planning.storage import storage
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.folder import LEAST_FREE_GIB, existing_run, nearest
from judgerlvr.runs.stage import CHECKPOINTS
from judgerlvr.runs.versions import PACKAGES, versions
from rewards.errors import InputError
from rewards.wording import counted

# Docker's default of 64 MiB is too small for NCCL between the cards of a machine. The figures are our choice.
LEAST_SHARED_GIB = {"gpu": 1.0, "cpu": 0.0625}
# Ray's processes and verl's actors hold many sockets. Ray's own advice is 65536, and its start warns below.
LEAST_FILES = 1024
# Ray's logs and spilled objects. Below this Ray itself soon refuses work.
LEAST_TEMPORARY_GIB = 1.0
# Packages whose versions decide whether workers understand each other.
SAME = ("torch", "ray", "transformers", "tensordict")


@dataclass(frozen=True)
class Wanted:
    """What each node must have. ``driver`` holds the driver's Python and package versions. Sizes are GiB.

    ``host_gib`` is 0 where the plan is unknown. It holds for nodes with GPUs, which train.
    ``separate``: the rollout has GPUs of its own.
    """

    device: str
    driver: dict[str, str]
    runs: Path
    model_type: str = ""
    host_gib: float = 0.0
    disk_gib: float = LEAST_FREE_GIB
    object_store_gib: float = 0.0
    separate: bool = False


def nodes(subject: Subject) -> Iterator[Finding]:
    """Each node answers, has the driver's versions, sees and writes the shared folder, and reads the policy.

    Raises:
        InputError: the first fault of the first faulty node. Further faults are warnings before.
    """
    request = subject.request
    if not request.ray_address:
        return
    runs = Path(subject.config.runs)
    files = sizes([request.init, *map(Path, _sampled(subject)), ROOT / "rewards" / "verl_adapter.py"])
    asked = ask_nodes(request.ray_address, (*PACKAGES, *CUPY), files, nearest(runs))
    wants = wanted(subject)
    faults = list(node_faults(asked, wants))
    for further in faults[1:]:
        yield warning(further.fault, further.remedy)
    if faults:
        raise faults[0]
    yield from small_stores(asked, wants)
    yield ok(
        f"{counted(len(asked), 'node')} answered in at most {ANSWER_SECONDS:.0f} s: {', '.join(map(_shown, asked))}"
    )
    yield from placement(asked, load_of(request.kind, request.config))


def _sampled(subject: Subject) -> Sequence[str]:
    data = subject.config.judge.data
    return data.sample_from if subject.request.kind == "judge" and not data.responses else ()


def _shown(node: Node) -> str:
    return f"{node.address} ({node.resources.get('CPU', 0):.0f} CPUs, {node.resources.get('GPU', 0):.0f} GPUs)"


def wanted(subject: Subject) -> Wanted:
    """What the stage asks of each node, the plan's figures included where the planner knows the policy."""
    request, shape, runs = subject.request, subject.shape, Path(subject.config.runs)
    driver = versions() | {"python": platform.python_version()}
    model_type = shape.model_type if shape else ""
    if shape is None:
        return Wanted(request.device, driver, runs, separate=separates(request))
    load = load_of(request.kind, request.config)
    kept = storage(shape, load, request.settings, request.device, request.config.cluster.rollout_cpu_gib)
    run = None if subject.new else existing_run(request.folder)
    kept = kept.less(len(complete(run / CHECKPOINTS)) if run else 0)
    disk = max(LEAST_FREE_GIB, kept.disk_gib)
    samples = kept.host.get("samples", 0.0)
    return Wanted(request.device, driver, runs, model_type, kept.host_gib, disk, samples, separates(request))


def node_faults(found: Sequence[Node], wants: Wanted) -> Iterator[InputError]:
    """Faults of all nodes, each with the node's address and a remedy."""
    for node in found:
        for problem, remedy in faults_of(node, wants):
            yield InputError(f"node {node.address} {problem}", remedy)


def small_stores(found: Sequence[Node], wants: Wanted) -> Iterator[Finding]:
    """Warnings of object stores below a step's samples. Ray then spills to the disk, which is slow and no fault."""
    for node in found:
        store = node.resources.get("object_store_memory", 0.0) / GIB
        if node.resources.get("GPU") and store < wants.object_store_gib:
            problem = f"an object store of {store:.2f} GiB, a step's samples take {wants.object_store_gib:.2f}"
            yield warning(f"node {node.address} has {problem}", "start Ray there with a larger --object-store-memory")


def faults_of(node: Node, wants: Wanted) -> Iterator[tuple[str, str]]:
    """(problem, remedy) of a node."""
    if node.report is None:
        yield node.fault, "start Ray there again, or take the node out of the cluster"
        return
    yield from _software(node.report, wants)
    yield from _folders(node.report, wants)
    yield from _limits(node, node.report, wants)
    for port in node.report.unreached:
        yield f"cannot reach {port}", "open TCP between all nodes, for ports of all numbers"


def _software(report: NodeReport, wants: Wanted) -> Iterator[tuple[str, str]]:
    lock = "install the same lock file on every node"
    if report.python != wants.driver["python"]:
        yield f"has Python {report.python}, the driver {wants.driver['python']}", "use one interpreter on every node"
    for name in SAME:
        if report.versions[name] != wants.driver[name]:
            yield f"has {name} {report.versions[name]}, the driver {wants.driver[name]}", lock
    try:
        check_found_versions(report.versions, wants.device)
        check_plugins(report.plugins, wants.model_type)
        if wants.separate:
            check_cupy(report.versions, wants.device)
    except PreflightError as error:
        problem, _, remedy = str(error).partition("; ")
        yield f"is no worker for this stage: {problem}", remedy or lock
    if not report.has_product:
        remedy = "submit with python -m judgerlvr.submit, which sends the code, or install judgerlvr there"
        yield "cannot import judgerlvr", remedy


def _folders(report: NodeReport, wants: Wanted) -> Iterator[tuple[str, str]]:
    if report.shared_fault:
        problem = f"does not share {wants.runs} with the driver: {report.shared_fault}"
        yield problem, "set runs (or --storage) to a folder that every node mounts and may write"
    # One line for many files: a missing mount makes all of them unreadable.
    for path, fault in list(report.unread.items())[:1]:
        more = f", and {counted(len(report.unread) - 1, 'file')} more" if len(report.unread) > 1 else ""
        yield f"cannot read {path} ({fault}{more})", "put the policy and the code at the same path on every node"
    if not report.shared_fault and report.disk_free / GIB < wants.disk_gib:
        problem = f"sees {report.disk_free / GIB:.2f} GiB free for {wants.runs}, {wants.disk_gib:.2f} are needed"
        yield problem, "free some space, lower checkpoint.keep, or set runs to another disk"
    if report.temporary_free / GIB < LEAST_TEMPORARY_GIB:
        problem = f"has {report.temporary_free / GIB:.2f} GiB free in {report.temporary_folder}"
        yield (
            problem,
            f"free {LEAST_TEMPORARY_GIB:g} GiB there, or start Ray with TMPDIR on another disk",
        )


def _limits(node: Node, report: NodeReport, wants: Wanted) -> Iterator[tuple[str, str]]:
    if report.open_files < LEAST_FILES:
        yield f"allows {report.open_files} open files a process", f"run ulimit -n {64 * LEAST_FILES} before ray start"
    if not node.resources.get("GPU"):
        return
    least = LEAST_SHARED_GIB[wants.device]
    if report.shared_memory / GIB < least:
        problem = f"has {report.shared_memory / GIB:.2f} GiB of /dev/shm, {least:g} are needed"
        yield problem, "start the container with --shm-size, or mount a larger tmpfs"
    if report.memory / GIB < wants.host_gib:
        problem = f"has {report.memory / GIB:.1f} GiB of memory, the stage takes {wants.host_gib:.1f} there"
        yield problem, "take a smaller batch, raise the container's limit, or use a larger machine"
