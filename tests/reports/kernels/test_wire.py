"""Messages with descriptors."""

from __future__ import annotations

import os
import socket

import pytest

from quantdesk.reports.kernels import wire


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def test_a_message_and_its_descriptors_arrive(ends, tmp_path) -> None:
    here, there = ends
    with (tmp_path / "file").open("wb") as file:
        wire.send(here, {"name": "é\udcff", "long": "x" * 1000}, [file.fileno()])
    message, (handle,) = wire.receive(there)
    assert message == {"name": "é\udcff", "long": "x" * 1000}
    assert not os.get_inheritable(handle)
    os.write(handle, b"through")
    os.close(handle)
    assert (tmp_path / "file").read_bytes() == b"through"


def test_nothing_is_sent_after_the_last_byte(ends) -> None:
    """The other side may have read all and gone on before the first call returns."""
    _, there = ends

    class Whole(socket.socket):
        def sendmsg(self, *given, **named) -> int:
            sent = super().sendmsg(*given, **named)
            there.close()
            return sent

    with Whole(fileno=ends[0].detach()) as here:
        wire.send(here, {}, [0])


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\5[1", b"\xff\xff\xff\xff", b"\0\0\0\1x"])
def test_what_is_no_message_is_said_to_be_none(ends, sent: bytes) -> None:
    here, there = ends
    here.sendall(sent)
    here.shutdown(socket.SHUT_WR)
    with pytest.raises(wire.Closed):
        wire.receive(there)
