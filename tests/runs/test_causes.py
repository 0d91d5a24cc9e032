"""The line that a failed stage or sampling task prints."""

import json

import pytest
import ray
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from judgerlvr.cluster.lost_actors import LostActor
from judgerlvr.cluster.memory_kills import Kills
from judgerlvr.cluster.session import Session
from judgerlvr.runs import causes
from judgerlvr.runs.causes import Evidence, cause_of_loss, describe, own_error
from judgerlvr.runs.console import ENGINE_LOG
from judgerlvr.runs.folder import FAILURE
from rewards.errors import InputError

TRACEBACK = """ray::Worker.update() (pid=7)
  File "worker.py", line 3, in update
ValueError: too few rows
During handling of the above exception, another exception occurred:
RuntimeError: step 3 failed
Exception raised from check at CUDAException.cpp:44 (most recent call first):
frame #0: somewhere
"""
ADVICE = """
torch.utils.checkpoint: Recomputed values have different metadata.
Tip: to see more, enable checkpoint-debug mode globally.
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no room", "ValueError: no room"),
        (TRACEBACK, "ValueError: RuntimeError: step 3 failed"),
        (ADVICE, "ValueError: torch.utils.checkpoint: Recomputed values have different metadata."),
    ],
    ids=["message", "traceback", "advice"],
)
def test_cause_is_the_last_error_or_the_beginning_of_a_message(tmp_path, text, line):
    assert Evidence(tmp_path, Session()).cause(ValueError(text)) == line


def test_cause_is_the_watchdogs_if_it_left_one(tmp_path):
    (tmp_path / FAILURE).write_text(json.dumps({"cause": "no step finished"}))
    assert Evidence(tmp_path, Session()).cause(ValueError("killed")) == "no step finished"


def refuse(text):
    raise ValueError(text)


def nest(text):
    instantiate({"_target_": f"{__name__}.refuse", "text": text})


@pytest.mark.parametrize("target", ["refuse", "nest"])
@pytest.mark.parametrize("text", ["micro batch is 0", 'it\'s (not) "one" line\nbut two'])
def test_cause_of_a_wrapped_error_is_the_error_inside(tmp_path, target, text):
    with pytest.raises(InstantiationException) as caught:
        instantiate({"_target_": f"{__name__}.{target}", "text": text})
    assert Evidence(tmp_path, Session()).cause(caught.value) == f"ValueError: {' '.join(text.split())}"


CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.50 GiB is "
    "free. Including non-PyTorch memory, this process has 77.00 GiB memory in use. Of the allocated memory 3 GiB"
)
START = (
    "Free memory on device cuda:1 (10.3/79.1 GiB) on startup is less than desired GPU memory utilization (0.9, 71.2 "
    "GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
)
CACHE = "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing."
NODE = "Memory on the node (IP: 10.0.0.7, ID: abc) was 120.1GB used / 126.0GB limit (0.953); killing"
REMOTE = "ray::WorkerDict.update() (pid=7, ip=10.0.0.9, actor_id=1)\nOSError: [Errno 28] No space left on device: 'x'"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CUDA, "GPU 0 is out of memory: 2.50 GiB asked, 1.50 GiB of 79.11 GiB free"),
        (START, "cuda:1 has 10.3 of 79.1 GiB free; lower cluster.rollout_gpu_share"),
        (CACHE, "raise cluster.rollout_gpu_share"),
        (NODE, "node 10.0.0.7 is out of memory: 120.1 of 126.0 GB are used"),
        (REMOTE, "no space left on the device"),
        (REMOTE, "(node 10.0.0.9)"),
        ("[enforce fail] . PytorchStreamWriter failed writing file data/1: file write failed", "no space left"),
        ("I/O error: No space left on device (os error 28)", "no space left"),
    ],
)
def test_memory_and_disk_are_named_with_their_size(tmp_path, text, says):
    cause = Evidence(tmp_path, Session()).cause(RuntimeError(f"Traceback\n{text}\nTip: see more"))
    assert says in cause
    assert "\n" not in cause


def test_an_engines_error_is_found_in_the_log_of_this_session(tmp_path):
    log = tmp_path / ENGINE_LOG
    log.write_text(f"an earlier part: {CUDA}\n")
    evidence = Evidence.before(tmp_path, Session())
    assert evidence.cause(RuntimeError("Engine core failed")) == "RuntimeError: Engine core failed"
    log.open("a").write(f"{START}\n")
    assert evidence.cause(RuntimeError("Engine core failed")).startswith("cuda:1 has 10.3")


@pytest.mark.parametrize(("text", "says"), [(START, "lower cluster.rollout_gpu_share"), ("no room", "no room")])
def test_an_engine_that_raised_says_what_a_stage_would_say(text, says):
    remote = ray.exceptions.RayTaskError("f", f"Traceback\nRuntimeError: {text}\n", RuntimeError(text), pid=1, ip="::1")
    assert says in cause_of_loss(remote, Session(), Kills())


def test_our_own_remote_error_is_known():
    remote = ray.exceptions.RayTaskError("f", "Traceback", InputError("bad row", "mend it"), pid=1, ip="10.0.0.1")
    assert own_error(remote) is remote.cause
    assert own_error(ValueError("theirs")) is None


@pytest.mark.parametrize(
    ("lost", "log", "how"),
    [
        ({}, "", "was killed: SIGKILL"),
        ({}, "*** SIGSEGV received at time=1 on cpu 0 ***", "was killed: SIGSEGV"),
        ({}, "Fatal Python error: Segmentation fault\n", "was killed: Segmentation fault"),
        ({"with_node": True}, "", "was lost with its node"),
        ({"message": f"{NODE}"}, "", "killed by Ray: Memory on the node (IP: 10.0.0.7, ID: abc) was 120.1GB used"),
    ],
)
def test_a_lost_worker_is_named_with_its_node_and_signal(lost, log, how):
    actor = LostActor(**{"name": "Trainer", "pid": 7, "node": "10.0.0.7", "with_node": False, "message": ""} | lost)
    assert describe(actor, log).startswith("worker Trainer (process 7, node 10.0.0.7) ")
    assert how in describe(actor, log)


def test_a_worker_whose_node_died_before_it_ran_is_named_without_process_and_node():
    assert (
        describe(LostActor("Storage", 0, "", True, ""), "") == "worker Storage was lost with its node while it started"
    )


def test_want_of_memory_stands_before_the_death_that_it_caused(tmp_path, monkeypatch):
    evidence = Evidence(tmp_path, Session(), kills=Kills())
    monkeypatch.setattr(causes, "read_kills", lambda: Kills(group=1, limit=2**31))
    line = evidence.with_memory("worker 7 was killed")
    assert line.startswith("out of memory: the kernel killed 1 process(es) at the control group's limit of 2.0 GiB")
    assert line.endswith("; worker 7 was killed")


def test_a_killed_process_that_is_no_worker_of_rays_is_told(tmp_path, monkeypatch):
    """vLLM's engine is a child of a worker. What Ray raises then names a failed prompt alone."""
    monkeypatch.setattr(causes, "read_kills", lambda: Kills(group=1, limit=2**31))
    line = Evidence(tmp_path, Session(), kills=Kills()).cause(RuntimeError("1 prompts failed"))
    assert line.startswith("out of memory: the kernel killed 1 process(es) at the control group's limit of 2.0 GiB")
    assert line.endswith("; RuntimeError: 1 prompts failed")


def test_a_node_that_is_lost_before_the_trainers_start_is_told_by_the_gpus_that_are_left(tmp_path):
    verls = ValueError("Total available GPUs 1.0 is less than total desired GPUs 2")
    remote = ray.exceptions.RayTaskError("run", "Traceback", verls, pid=1, ip="10.0.0.1")
    said = Evidence(tmp_path, Session(), kills=Kills()).cause(remote)
    assert said == "1 GPUs of the cluster are free and 2 are needed; a node was lost, or other work holds GPUs"
