"""The filter of system calls: as a program, and as code that looks for memory beside its limits meets it."""

import errno
import platform
import struct

import pytest

from judgerlvr.evaluation.scoring import sandbox, seccomp
from judgerlvr.evaluation.scoring.limits import Limits
from judgerlvr.evaluation.scoring.sandbox import run_python

WHY = sandbox.why_unavailable()
needs_sandbox = pytest.mark.skipif(WHY is not None, reason=str(WHY))
MACHINES = {"x86_64": (0xC000003E, 56), "aarch64": (0xC00000B7, 220)}
ALLOWED, DENIED, ABSENT, KILLED = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x80000000
NAMESPACES = {
    "CLONE_NEWNS": 1 << 17,
    "CLONE_NEWCGROUP": 1 << 25,
    "CLONE_NEWUTS": 1 << 26,
    "CLONE_NEWIPC": 1 << 27,
    "CLONE_NEWUSER": 1 << 28,
    "CLONE_NEWPID": 1 << 29,
    "CLONE_NEWNET": 1 << 30,
}
UNNAMED_FILES = """
import os
held, kept = 0, []
try:
    for place in range(20):
        kept.append(os.memfd_create(str(place)))
        held += os.write(kept[-1], bytes(32 << 20))
except OSError:
    pass
print(held >> 20)
"""
SEGMENTS = """
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype, libc.shmat.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]
held = 0
for place in range(4):
    segment = libc.shmget(0, ctypes.c_size_t(128 << 20), 0o1600)
    if segment >= 0:
        address = libc.shmat(segment, None, 0)
        ctypes.memset(address, 1, 128 << 20)
        libc.shmdt(address)
        held += 128
print(held)
"""
OWN_FILE_SYSTEM = """
import ctypes, os, tempfile
libc, user, folder = ctypes.CDLL(None), os.getuid(), tempfile.gettempdir()
libc.unshare(0x10000000 | 0x20000)
for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {user} 1")):
    try:
        open(f"/proc/self/{name}", "w").write(line)
    except OSError:
        pass
libc.mount(b"none", folder.encode(), b"tmpfs", 0, b"size=1g")
held = 0
try:
    for place in range(8):
        with open(f"{folder}/{place}", "wb") as file:
            held += file.write(bytes(32 << 20))
except OSError:
    pass
print(held >> 20)
"""
CALL_ALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for name, number in {numbers}.items():
    ctypes.set_errno(0)
    if libc.syscall(number, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.EPERM:
        print(name)
"""


def outcome(program, architecture, number, argument=0):
    """What a filter returns: a plain reading of struct sock_filter, step by step."""
    data = struct.pack("=IIQQ", number, architecture, 0, argument)
    steps = list(struct.iter_unpack("=HBBI", program))
    place = loaded = 0
    while True:
        code, if_true, if_false, value = steps[place]
        place += 1
        if code == 0x06:
            return value
        if code == 0x20:
            loaded = struct.unpack_from("=I", data, value)[0]
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            place += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_denies_the_table_and_nothing_else(machine):
    architecture, _ = MACHINES[machine]
    program, denied = seccomp.filter_of(machine), set(seccomp.denied_numbers(machine).values())
    found = {number: outcome(program, architecture, number) for number in range(600)}
    assert len(denied) == len(seccomp.DENIED)
    assert {number for number, what in found.items() if what == DENIED} == denied
    assert {number for number, what in found.items() if what == ABSENT} == {435}
    assert {what for number, what in found.items() if number not in denied | {435}} == {ALLOWED}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_clone_with_a_namespace_is_denied_and_threads_are_not(machine):
    architecture, clone = MACHINES[machine]
    program = seccomp.filter_of(machine)
    for flag in NAMESPACES.values():
        assert outcome(program, architecture, clone, flag | 17) == DENIED
    for allowed in (17, 0x3D0F00, 0x1200011):  # fork, pthread_create, fork of glibc
        assert outcome(program, architecture, clone, allowed) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_table_do_not_pass(machine):
    architecture, _ = MACHINES[machine]
    program = seccomp.filter_of(machine)
    assert outcome(program, 0x40000003, 20) == KILLED  # i386
    assert outcome(program, architecture, 0x40000000 + 39) == DENIED  # x32


def test_a_machine_without_a_table_is_named_in_a_line(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert seccomp.filter_of() is None
    assert "riscv64" in sandbox.why_unavailable() and "\n" not in sandbox.why_unavailable()


@needs_sandbox
def test_every_denied_call_fails_behind_the_walls():
    text = CALL_ALL.format(numbers=seccomp.denied_numbers(platform.machine()))
    assert run_python(text, b"", Limits(seconds=2)).output == b""


@needs_sandbox
@pytest.mark.parametrize("text", [UNNAMED_FILES, SEGMENTS, OWN_FILE_SYSTEM])
def test_no_memory_is_held_beside_the_limits(text):
    limits = Limits(seconds=5)
    assert int(run_python(text, b"", limits).output) <= limits.scratch_megabytes
