"""A submission whose head goes, a head that takes no jobs yet, and nodes that join: each an end with one line."""

import socket
from types import SimpleNamespace

import pytest

from judgerlvr import submit
from judgerlvr.cluster import jobs, waiting
from rewards.errors import CommandFailed, InputError
from tests.helpers.ports import free_port

JOB = f"{jobs.PREFIX}judge-1"


class Client:
    """A cluster whose log breaks off. ``tries`` of a start fail before one is taken."""

    def __init__(self, broken=None, status="RUNNING", tries=0, refusal="No available agent to submit job"):
        self.broken, self.status, self.tries, self.refusal = broken, status, tries, refusal

    async def tail_job_logs(self, job):
        yield "step 1\n"
        if self.broken:
            raise self.broken

    def get_job_info(self, job):
        return SimpleNamespace(status=self.status, driver_exit_code=None, start_time=1, end_time=None, message="")

    def submit_job(self, **job):
        self.tries -= 1
        if self.tries >= 0:
            raise RuntimeError(f"Request failed with status code 500: {self.refusal}")
        return JOB


@pytest.fixture
def living():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def gone():
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("broken", [RuntimeError("closed"), ConnectionResetError("reset"), None])
def test_a_log_that_breaks_with_the_head_asks_for_the_same_command(gone, broken):
    client = Client(broken)
    if broken is None:
        client.get_job_info = lambda job: (_ for _ in ()).throw(ConnectionError("refused"))
    with pytest.raises(jobs.HeadLost, match="give the same command again") as lost:
        jobs.follow(client, JOB, gone)
    assert lost.value.code not in (0, 1, 2)


@pytest.mark.parametrize("broken", [RuntimeError("closed"), None])
def test_a_log_that_breaks_off_alone_names_the_command_that_follows(living, broken):
    with pytest.raises(CommandFailed, match=f"logs {JOB} --follow"):
        jobs.follow(Client(broken), JOB, living)


def test_a_job_that_ends_beside_a_broken_log_has_its_exit_code(living):
    with pytest.raises(jobs.JobFailed):
        jobs.follow(Client(RuntimeError("closed"), status="FAILED"), JOB, living)


def test_a_silent_head_ends_the_wait(monkeypatch, gone):
    monkeypatch.setattr(jobs, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(jobs, "LOST_SECONDS", 0.05)

    async def silent(job):
        yield "step 1\n"
        await jobs.asyncio.sleep(1000)

    client = Client()
    client.tail_job_logs = silent
    with pytest.raises(jobs.HeadLost):
        jobs.follow(client, JOB, gone)


def test_a_new_head_is_asked_until_it_takes_the_job(monkeypatch):
    monkeypatch.setattr(jobs, "POLL", 0)
    assert jobs.start(Client(tries=3), entrypoint="true") == JOB


@pytest.mark.parametrize(("refusal", "limit"), [("No available agent to submit job", 0.0), ("disk full", 60.0)])
def test_a_job_that_is_not_taken_is_bad_input(monkeypatch, refusal, limit):
    monkeypatch.setattr(jobs, "AGENT_LIMIT", limit)
    with pytest.raises(InputError, match="takes no job"):
        jobs.start(Client(tries=10**9, refusal=refusal), entrypoint="true")


def test_the_wait_ends_when_all_nodes_live(monkeypatch, capsys):
    found = iter([0, 1, 2])
    monkeypatch.setattr(waiting, "living_nodes", lambda address: next(found))
    monkeypatch.setattr(waiting, "POLL", 0)
    assert submit.main(["--address", "http://head:8265", "wait", "2"]) == 0
    assert capsys.readouterr().out == "2 nodes live\n"


def test_nodes_that_do_not_join_are_counted(monkeypatch, gone):
    with pytest.raises(CommandFailed, match=r"0 of 2 nodes have joined"):
        waiting.wait_for_nodes(gone, 2, seconds=-1.0)


@pytest.mark.parametrize("words", [["wait"], ["wait", "two"], ["wait", "1", "x"]])
def test_a_wait_takes_a_number(capsys, words):
    assert submit.main(["--address", "http://head:8265", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
