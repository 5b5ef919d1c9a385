"""Whether kernels can talk by sockets in a private directory, or have to by TCP. Pure, and nothing heavy."""

from __future__ import annotations

__all__ = ["LONGEST_SOCKET", "kernel_transport"]

LONGEST_SOCKET = 107
"""Bytes that Linux allows for the path of a socket."""
_KERNEL_SOCKET = len("/kernel-01234567-89ab-cdef-0123-456789abcdef-ipc-5")


def kernel_transport(runtime: str) -> str:
    """How kernels talk to their clients: by sockets in the private runtime directory, where its path is short enough.

    TCP is the fallback. Its messages are signed, yet every account of the machine could listen to a kernel's output.
    """
    return "ipc" if len(runtime.encode()) + _KERNEL_SOCKET <= LONGEST_SOCKET else "tcp"
