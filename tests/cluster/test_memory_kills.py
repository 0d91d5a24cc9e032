"""The kernel's counters of processes killed for want of memory, in both versions of control groups."""

import pytest

from judgerlvr.cluster.memory_kills import GIB, Kills, read_kills


def system(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


OLDER = {
    "proc/self/cgroup": "4:memory:/jobs/7\n1:cpu:/\n0::/\n",
    "sys/fs/cgroup/memory/jobs/7/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes": f"{2 * GIB}\n",
    "sys/fs/cgroup/memory/jobs/7/memory.max_usage_in_bytes": f"{GIB}\n",
}
NEWER = {
    "proc/self/cgroup": "0::/jobs/7\n",
    "sys/fs/cgroup/jobs/7/memory.events": "low 0\noom 3\noom_kill 2\n",
    "sys/fs/cgroup/jobs/7/memory.max": f"{2 * GIB}\n",
    "sys/fs/cgroup/jobs/7/memory.peak": f"{GIB}\n",
}
NAMESPACE = {name.replace("jobs/7/", ""): text for name, text in NEWER.items()}


@pytest.mark.parametrize("files", [OLDER, NEWER, NAMESPACE], ids=["version 1", "version 2", "inside a container"])
def test_counters_of_the_group(tmp_path, files):
    assert read_kills(system(tmp_path, files)) == Kills(2, 0, 2 * GIB, GIB)


def test_without_a_limit_the_machine_counts(tmp_path):
    files = NEWER | {
        "sys/fs/cgroup/jobs/7/memory.max": "max\n",
        "proc/vmstat": "pgfault 9\noom_kill 5\n",
        "proc/meminfo": f"MemTotal:       {4 * 2**20} kB\n",
    }
    found = read_kills(system(tmp_path, files))
    assert (found.machine, found.limit) == (5, 4 * GIB)


def test_a_system_without_counters(tmp_path):
    assert read_kills(tmp_path).since(Kills()) is None


def test_the_groups_limit_and_use_are_named():
    found = Kills(group=3, machine=9, limit=2 * GIB, peak=2 * GIB).since(Kills(group=1, machine=1))
    says = "the kernel killed 2 process(es) at the control group's limit of 2.0 GiB, 2.0 GiB were used at most"
    assert found == f"out of memory: {says}"


def test_kills_elsewhere_on_the_machine_are_told_as_such():
    found = Kills(group=1, machine=2, limit=24 * GIB).since(Kills(group=1, machine=1))
    assert found == "out of memory: the kernel killed 1 process(es) of this machine of 24.0 GiB"


def test_nothing_was_killed():
    assert Kills(1, 2).since(Kills(1, 2)) is None
