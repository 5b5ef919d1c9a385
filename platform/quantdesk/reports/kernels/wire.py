"""Messages between processes of one account: a length, JSON, and descriptors beside it. An edge module."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["LARGEST", "Closed", "credentials", "receive", "send"]

LARGEST = 8 << 20
"""Bytes of a message; the environment of a process may have about two million."""
_LENGTH = struct.Struct("!I")
_MOST_DESCRIPTORS = 16


class Closed(Exception):
    """The other side is gone, or does not speak this language."""


def send(connection: socket.socket, message: Any, descriptors: Sequence[int] = ()) -> None:
    """Send one message.

    Raises
    ------
    OSError
        The other side is gone, or does not read in time.
    """
    data = json.dumps(message).encode("utf-8", "surrogateescape")
    data = _LENGTH.pack(len(data)) + data
    sent = socket.send_fds(connection, [data], list(descriptors)) if descriptors else 0
    if sent < len(data):  # to send nothing to somebody who has read it all, and gone on, would be an error
        connection.sendall(data[sent:])


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """Receive one message with its descriptors, which are not inherited.

    Raises
    ------
    Closed
        The connection ended first, or what came is no message.
    OSError
        It did not come in time.
    """
    descriptors: list[int] = []
    try:
        (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, descriptors))
        if length > LARGEST:
            raise Closed(f"a message of {length} bytes")
        return json.loads(_exactly(connection, length, descriptors).decode("utf-8", "surrogateescape")), descriptors
    except (Closed, OSError, ValueError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise error if isinstance(error, Closed | OSError) else Closed(str(error)) from error


def _exactly(connection: socket.socket, size: int, descriptors: list[int]) -> bytes:
    data = b""
    while len(data) < size:
        chunk, came, _, _ = socket.recv_fds(connection, size - len(data), _MOST_DESCRIPTORS)
        descriptors += came
        for descriptor in came:
            os.set_inheritable(descriptor, False)
        if not chunk:
            raise Closed("the other side closed the connection")
        data += chunk
    return data


def credentials(connection: socket.socket) -> tuple[int, int]:
    """Process and account of the other side, as the kernel of the system knows them, at the time it connected."""
    if sys.platform != "linux":
        raise Closed("only Linux tells who is on the other side")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", told)
    return pid, uid
