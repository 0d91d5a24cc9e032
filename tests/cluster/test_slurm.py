"""The Slurm script between commands that run on this machine in Slurm's, Ray's and the product's place."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from judgerlvr.cluster.jobs import HeadLost
from judgerlvr.config.load import ROOT
from tests.helpers.forks import until

SCRIPT = ROOT / "scripts" / "cluster" / "slurm.sh"
HEAD, JOB = "10.0.0.1", "judgerlvr-experiment-1"
WORDS = ["--storage", "/shared", "experiment", "configs/tiny.yaml", "judge.stop.steps=2"]
# Each fake writes its command line. `srun` drops Slurm's options and runs the rest here.
FAKES = {
    "scontrol": """
case "$1 $2" in
  "show hostnames") printf '%s\\n' $NODES ;;
  "show job") echo "JobId=7 JobState=$STATE" ;;
  requeue*) exit "$REQUEUE_CODE" ;;
esac""",
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "hostname": 'echo "$IP"',
    # A second of the script is short here.
    "sleep": "exec /bin/sleep 0.02",
    "ray": """
echo "token ${#RAY_AUTH_TOKEN} ${RAY_AUTH_MODE} address ${RAY_ADDRESS:-none}" >> "$LOG"
case "$*" in *--head*) exec /bin/sleep "$HEAD_SECONDS" ;; *) exec /bin/sleep "$WORKER_SECONDS" ;; esac""",
    "python": f"""
case "$3" in
  wait) exit "$WAIT_CODE" ;;
  status) echo "{JOB}: RUNNING, since then" ;;
  stop) exit 0 ;;
  *) [ "$JOB_SECONDS" = 0 ] || exec /bin/sleep "$JOB_SECONDS"; exit "$JOB_CODE" ;;
esac""",
}
LIVING = {"HEAD_SECONDS": "1000", "WORKER_SECONDS": "1000", "JOB_SECONDS": "1000", "JOB_CODE": "0", "WAIT_CODE": "0"}
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_CPUS_ON_NODE": "64", "NODES": "node1 node2"}
STEP = "--ntasks-per-node=1 --cpus-per-task=64 --cpu-bind=none"
RAY = "start --block --disable-usage-stats --num-cpus=64"
START_HEAD = f"{RAY} --head --node-ip-address={HEAD} --port=6379 --dashboard-host=0.0.0.0 --dashboard-port=8265"
START_OTHERS = f"{RAY} --address={HEAD}:6379"
SUBMIT = "-m judgerlvr.submit"


class Job:
    """A run of the script. ``lines`` are the command lines of the fakes, those of `sleep` left out."""

    def __init__(self, folder, words=WORDS, **changes):
        self.log, venv, path = folder / "log", folder / "venv" / "bin", folder / "path"
        for name, body in FAKES.items():
            file = (venv if name in ("ray", "python") else path) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            shown = "" if name == "sleep" else f'echo "{name} $*" >> "$LOG"\n'
            file.write_text(f"#!/bin/bash\n{shown}{body}\n")
            file.chmod(0o755)
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "RAY", "JUDGE"))}
        given = {"PATH": f"{path}:{os.environ['PATH']}", "LOG": str(self.log), "IP": HEAD, "STATE": "RUNNING"}
        given |= {"JUDGERLVR_VENV": str(venv.parent), "SLURM_SUBMIT_DIR": str(ROOT), "REQUEUE_CODE": "0"}
        environment = outside | given | SLURM | LIVING | changes
        self.process = subprocess.Popen(
            ["bash", SCRIPT, *words],
            env={name: value for name, value in environment.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
        )

    @property
    def lines(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def submitted(self):
        """Wait for the submission."""
        until = time.monotonic() + 20
        while not any("experiment" in line for line in self.lines):
            assert time.monotonic() < until and self.process.poll() is None, self.lines
            time.sleep(0.01)
        return self

    def signal(self, number):
        self.process.send_signal(number)
        return self

    def end(self):
        """(exit code, output)."""
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output

    def has(self, start):
        return any(line.startswith(start) for line in self.lines)


def test_a_whole_run_starts_the_cluster_and_submits(tmp_path):
    job = Job(tmp_path, JOB_SECONDS="0")
    assert job.end()[0] == 0
    first = "--nodes=1 --ntasks=1 --nodelist=node1"
    others = "--nodes=1 --ntasks=1 --exclude=node1 --kill-on-bad-exit=1"
    ray = Path(tmp_path / "venv/bin/ray")
    expected = [
        "scontrol show hostnames node[1-2]",
        f"srun {STEP} {first} hostname --ip-address",
        "hostname --ip-address",
        f"srun {STEP} {first} {ray} {START_HEAD}",
        f"ray {START_HEAD}",
        f"srun {STEP} {others} {ray} {START_OTHERS}",
        f"ray {START_OTHERS}",
        f"python {SUBMIT} wait 2",
        f"python {SUBMIT} {' '.join(WORDS)}",
    ]
    assert sorted(line for line in job.lines if not line.startswith("token")) == sorted(expected)


def test_ray_gets_a_token_and_no_address_of_a_dashboard(tmp_path):
    job = Job(tmp_path, JOB_SECONDS="0")
    job.end()
    assert [line for line in job.lines if line.startswith("token")] == ["token 64 token address none"] * 2


def test_a_single_node_is_the_head_alone(tmp_path):
    job = Job(tmp_path, NODES="node1", JOB_SECONDS="0")
    assert job.end()[0] == 0 and job.has(f"python {SUBMIT} wait 1") and not job.has(f"ray {START_OTHERS}")


def test_options_for_ray_stand_last(tmp_path):
    job = Job(tmp_path, JUDGERLVR_RAY_OPTIONS="--num-cpus=16 --num-gpus=1", JOB_SECONDS="0")
    job.end()
    assert job.has(f"ray {START_HEAD} --num-cpus=16 --num-gpus=1")


def test_the_time_limit_stops_the_job_and_requeues(tmp_path):
    job = Job(tmp_path).submitted().signal(signal.SIGUSR1)
    code, output = job.end()
    assert code == 0 and "SIGUSR1 came; requeued" in output
    asked = [line for line in job.lines if line.startswith(("python", "scontrol"))][-4:]
    assert asked == [
        f"python {SUBMIT} status",
        f"python {SUBMIT} stop {JOB}",
        "scontrol show job --oneliner 7",
        "scontrol requeue 7",
    ]


def test_a_preemption_requeues_at_once(tmp_path):
    job = Job(tmp_path).submitted().signal(signal.SIGTERM)
    assert job.end()[0] == 0
    assert job.has("scontrol requeue 7") and not job.has(f"python {SUBMIT} stop")


def test_a_cancelled_job_stays_cancelled(tmp_path):
    job = Job(tmp_path, STATE="CANCELLED").submitted().signal(signal.SIGTERM)
    assert job.end()[0] == 143 and not job.has("scontrol requeue")


@pytest.mark.parametrize("part", ["HEAD_SECONDS", "WORKER_SECONDS"])
def test_a_lost_part_of_the_cluster_requeues(tmp_path, part):
    job = Job(tmp_path, **{part: "0.5"})
    assert job.end()[0] == 0 and job.has("scontrol requeue 7")


def test_a_submission_whose_cluster_is_gone_requeues(tmp_path):
    job = Job(tmp_path, JOB_SECONDS="0", JOB_CODE=str(HeadLost.code))
    assert job.end()[0] == 0 and job.has("scontrol requeue 7")


@pytest.mark.parametrize("code", [1, 2, 143])
def test_a_failed_job_of_a_whole_cluster_is_not_requeued(tmp_path, code):
    job = Job(tmp_path, JOB_SECONDS="0", JOB_CODE=str(code))
    assert job.end()[0] == code and not job.has("scontrol requeue")


def test_a_cluster_that_never_stood_is_not_requeued(tmp_path):
    job = Job(tmp_path, WAIT_CODE="1")
    code, output = job.end()
    assert code == 1 and "the cluster did not start" in output
    assert not job.has("scontrol requeue") and not job.has(f"python {SUBMIT} --storage")


def test_a_cluster_that_stood_before_gets_another_start(tmp_path):
    job = Job(tmp_path, WAIT_CODE="1", SLURM_RESTART_COUNT="2")
    assert job.end()[0] == 0 and job.has("scontrol requeue 7")


def test_requeues_are_bounded(tmp_path):
    job = Job(tmp_path, JOB_SECONDS="0", JOB_CODE=str(HeadLost.code), SLURM_RESTART_COUNT="50")
    code, output = job.end()
    assert code == 1 and "not requeued after 50 restarts" in output and not job.has("scontrol requeue")


def test_a_refused_requeue_is_told(tmp_path):
    job = Job(tmp_path, REQUEUE_CODE="1").submitted().signal(signal.SIGTERM)
    code, output = job.end()
    assert code == 2 and "Slurm does not requeue the job" in output


@pytest.mark.parametrize(
    ("changes", "words", "says"),
    [
        ({"SLURM_JOB_ID": ""}, WORDS, "this is no Slurm job"),
        ({"SLURM_SUBMIT_DIR": "/usr"}, WORDS, "no checkout in /usr"),
        ({"JUDGERLVR_VENV": "/nowhere"}, WORDS, "no Ray in /nowhere"),
        ({}, [], "nothing to submit"),
        ({"NODES": ""}, WORDS, "names no node"),
        ({"IP": "127.0.1.1"}, WORDS, "set JUDGERLVR_HEAD_IP"),
    ],
)
def test_a_wrong_set_up_is_one_line(tmp_path, changes, words, says):
    code, output = Job(tmp_path, words, **changes).end()
    assert code == 2 and says in output and output.count("\n") == 1


def test_nothing_of_the_cluster_is_left(tmp_path):
    job = Job(tmp_path).submitted().signal(signal.SIGTERM)
    job.end()

    def left():
        return [line for path in Path("/proc").glob("[0-9]*/environ") if str(job.log) in (line := text_of(path))]

    # A process that was told to end may be at work on that when the job has ended.
    assert until(lambda: not left()), left()


def text_of(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def test_the_queue_s_options_let_the_job_be_requeued():
    options = re.findall(r"^#SBATCH (\S+)$", SCRIPT.read_text(), re.M)
    assert {"--requeue", "--signal=B:USR1@300", "--open-mode=append"} <= set(options)


def test_the_exit_code_of_a_lost_head_is_the_script_s():
    assert f"head_lost={HeadLost.code}\n" in SCRIPT.read_text()
