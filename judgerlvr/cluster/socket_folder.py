"""A place for folders that hold sockets, whose paths the kernel keeps short."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from judgerlvr.cluster.remains import VARIABLE

LONGEST_PATH = 107
# Letters that tempfile puts behind a prefix.
RANDOM = 8


def socket_folder(prefix: str, behind: int) -> Path:
    """A new folder named by ``prefix`` for sockets, with at most ``behind`` characters below the folder.

    The folder lies in ``/tmp`` where the wanted temporary folder is too long for a socket's path.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=base_of(prefix, behind)))


def base_of(prefix: str, behind: int) -> Path:
    """Where ``socket_folder`` makes the folder."""
    wanted = os.environ.get(VARIABLE) or tempfile.gettempdir()
    longest = LONGEST_PATH - behind - len(f"/{prefix}") - RANDOM
    return Path(wanted if len(wanted) <= longest else "/tmp")
