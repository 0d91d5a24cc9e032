"""Watching and stopping of jobs: one line and an exit code for each state, with a client in the cluster's place."""

from types import SimpleNamespace

import pytest

from judgerlvr import submit
from judgerlvr.cluster import jobs
from rewards.errors import BAD_INPUT

JOB = f"{jobs.PREFIX}judge-20260101-000000-1"


class Client:
    """A cluster with one job. A stop takes effect after ``slow`` further looks."""

    def __init__(self, status, code=None, slow=0):
        self.status, self.code, self.slow, self.asked = status, code, slow, False

    def get_job_info(self, job):
        if job != JOB:
            raise RuntimeError(f"Request failed with status code 404: Job {job} does not exist")
        if self.asked and self.slow:
            self.slow -= 1
        elif self.asked:
            self.status, self.code = "STOPPED", -15
        return SimpleNamespace(
            status=self.status, driver_exit_code=self.code, start_time=1_000, end_time=None, message="the end\nof it"
        )

    def list_jobs(self):
        foreign = SimpleNamespace(submission_id="raysubmit_1", start_time=5)
        return [foreign, SimpleNamespace(submission_id=JOB, start_time=1)]

    def get_job_logs(self, job):
        return "step 1\n"

    def stop_job(self, job):
        self.asked = True

    async def tail_job_logs(self, job):
        yield "step 1\n"
        yield "step 2\n"


def given(monkeypatch, client, *words):
    monkeypatch.setattr(jobs, "connect", lambda address: client)
    monkeypatch.setattr(jobs, "POLL", 0)
    return submit.main(list(words))


@pytest.mark.parametrize(
    ("status", "code", "returned"),
    [
        ("PENDING", None, 0),
        ("RUNNING", None, 0),
        ("SUCCEEDED", 0, 0),
        ("FAILED", 2, 2),
        ("FAILED", -9, 137),
        ("FAILED", None, 1),
        ("STOPPED", -15, 143),
        ("STOPPED", None, 1),
    ],
)
def test_status_is_a_line_and_the_job_s_exit_code(monkeypatch, capsys, status, code, returned):
    assert given(monkeypatch, Client(status, code), "status", JOB) == returned
    out = capsys.readouterr().out
    assert out.startswith(f"{JOB}: {status}, since 1970-01-01 00:00:01 UTC") and out.count("\n") == 1


def test_status_without_a_job_lists_the_product_s_jobs(monkeypatch, capsys):
    assert given(monkeypatch, Client("FAILED", 1), "status") == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [JOB]


def test_an_unknown_job_is_one_line_that_names_the_known(monkeypatch, capsys):
    assert given(monkeypatch, Client("RUNNING"), "status", "nosuch") == BAD_INPUT
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and JOB in line and "no job 'nosuch'" in line


@pytest.mark.parametrize("slow", [0, 3])
def test_stop_waits_for_the_end(monkeypatch, capsys, slow):
    assert given(monkeypatch, Client("RUNNING", slow=slow), "stop", JOB) == 0
    assert capsys.readouterr().out == f"{JOB}: STOPPED; the same submission goes on from the last checkpoint\n"


def test_a_stop_that_takes_too_long_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(jobs, "STOP_LIMIT", 0.0)
    assert given(monkeypatch, Client("RUNNING", slow=10**9), "stop", JOB) == 1
    assert "still RUNNING" in capsys.readouterr().err


def test_a_job_that_has_ended_is_not_stopped(monkeypatch, capsys):
    client = Client("SUCCEEDED", 0)
    assert given(monkeypatch, client, "stop", JOB) == 0
    assert not client.asked and "SUCCEEDED before" in capsys.readouterr().out


@pytest.mark.parametrize(("more", "printed"), [([], "step 1\n"), (["--follow"], "step 1\nstep 2\n")])
def test_logs(monkeypatch, capsys, more, printed):
    assert given(monkeypatch, Client("SUCCEEDED", 0), "logs", JOB, *more) == 0
    assert capsys.readouterr().out == printed


def test_followed_logs_end_with_the_job_s_exit_code(monkeypatch):
    assert given(monkeypatch, Client("FAILED", 3), "logs", JOB, "--follow") == 3


@pytest.mark.parametrize("action", ["logs", "stop"])
def test_a_job_is_needed(monkeypatch, capsys, action):
    assert given(monkeypatch, Client("RUNNING"), action) == BAD_INPUT
    assert "takes one job, 0 given" in capsys.readouterr().err
