"""A filter of system calls behind the walls: memory that no limit counts, and rights that lift the walls.

A limit on the address space counts mapped memory alone. An unnamed file, a segment of System V and a file system of
the code's own hold memory beside the limit. A user namespace of the code's own makes the code root in it.
"""

from __future__ import annotations

import platform
import struct
from errno import ENOSYS, EPERM

# Numbers of system calls in the tables of Linux: x86_64, and the table that aarch64 takes from asm-generic/unistd.h.
DENIED = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "mount": (165, 40),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "pivot_root": (155, 41),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
}
# AUDIT_ARCH of linux/audit.h, and the number of clone.
_MACHINES = {"x86_64": (0xC000003E, 56), "aarch64": (0xC00000B7, 220)}
_CLONE3 = 435
# The first number of the x32 calls. Lower numbers are x86_64 calls.
_X32 = 0x40000000
# Every CLONE_NEW flag of linux/sched.h that clone takes.
_NAMESPACES = 0x7E020000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16


def denied_numbers(machine: str) -> dict[str, int]:
    """Denied system calls by name, with their numbers on a machine."""
    place = list(_MACHINES).index(machine)
    return {name: numbers[place] for name, numbers in DENIED.items()}


def filter_of(machine: str | None = None) -> bytes | None:
    """The program for ``bwrap --seccomp``, as ``sock_filter`` structs. None for a machine without a table.

    Denied calls fail with EPERM. ``clone3`` fails with ENOSYS, and a libc then takes ``clone``, whose flags can be
    read.
    """
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        return None
    architecture, clone = _MACHINES[machine]
    deny = _step(_RETURN, _ERROR | EPERM)
    steps = [
        *(_step(_LOAD, _ARCHITECTURE_AT), _step(_EQUAL, architecture, 1, 0), _step(_RETURN, _KILL)),
        *(_step(_LOAD, _NUMBER_AT), _step(_AT_LEAST, _X32, 0, 1), deny),
        *(_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ERROR | ENOSYS)),
        *(step for number in denied_numbers(machine).values() for step in (_step(_EQUAL, number, 0, 1), deny)),
        *(_step(_EQUAL, clone, 0, 3), _step(_LOAD, _FIRST_ARGUMENT_AT), _step(_ANY_BIT, _NAMESPACES, 0, 1), deny),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
