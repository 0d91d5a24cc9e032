"""Messages between the grading pool, its nursery process and the workers: pickles with a length in front.

Both ends are processes of one user and one program; nothing a policy writes is ever unpickled, it only travels
as a string inside a message.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 16


def send(sock: socket.socket, message: Any) -> None:
    """Write one message; raises OSError when the other end is gone."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    sock.sendall(_LENGTH.pack(len(body)) + body)


class Inbox:
    """Collects bytes of one socket and gives back whole messages."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._bytes = bytearray()

    def read(self) -> list[Any] | None:
        """Messages complete after one ``recv`` (perhaps none); None at the end of the stream."""
        try:
            chunk = self._sock.recv(_CHUNK)
        except (ConnectionResetError, BrokenPipeError):
            return None
        if not chunk:
            return None
        self._bytes += chunk
        return list(self._take())

    def wait(self) -> list[Any] | None:
        """Block until at least one message is there; None at the end of the stream."""
        while (messages := self.read()) == []:
            pass
        return messages

    def _take(self) -> Any:
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                return
            yield pickle.loads(bytes(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
