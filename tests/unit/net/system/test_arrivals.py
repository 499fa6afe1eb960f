"""What came to the interface, of which some still waits in the socket."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from ipaddress import IPv6Address
from typing import cast

import pytest

from nattools.net.system.arrivals import HostArrivals

OUR_OWN, FOR_US = 4, 0  # PACKET_OUTGOING, PACKET_HOST


class Waiting:
    """A packet socket with what waits in it."""

    def __init__(self, fd: int, packets: list[tuple[bytes, int]]) -> None:
        self.fd = fd
        self.packets = packets

    def fileno(self) -> int:
        return self.fd

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int, int]]:
        if not self.packets:
            raise BlockingIOError
        data, kind = self.packets.pop(0)
        return data[:size], ("eth0", 0x86DD, kind)

    def close(self) -> None:
        os.close(self.fd)


def udp(source: str, port: int) -> bytes:
    """The head of a datagram from there to a port of this machine."""
    head = bytes((0x60, 0, 0, 0, 0, 8, 17, 64)) + IPv6Address(source).packed + bytes(16)
    return head + bytes(2) + port.to_bytes(2, "big") + bytes(4)


def test_what_waits_behind_many_others_counts() -> None:
    async def look() -> tuple[bool, bool, bool]:
        reading, writing = os.pipe()
        others = [(udp("2a10::1", 1000 + number), FOR_US) for number in range(300)]
        last = [(udp("2a10::9", 7000), FOR_US), (udp("2a10::9", 8000), OUR_OWN), (b"", FOR_US)]
        watch = HostArrivals(cast(socket.socket, Waiting(reading, others + last)))
        seen = [watch.saw("2a10::9", "udp", port) for port in (7000, 8000)]
        watch.close()
        watch.close()
        os.close(writing)
        return seen[0], seen[1], watch.saw("2a10::1", "udp", 1000)

    assert asyncio.run(look()) == (True, False, True)


class Lingering(Waiting):
    """One whose closing goes on until it may end, as the kernel's does."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, [])
        self.may_end, self.closed = threading.Event(), threading.Event()

    def close(self) -> None:
        if self.may_end.wait(30):
            super().close()
            self.closed.set()


def test_nothing_waits_until_one_is_closed_aside() -> None:
    async def look() -> bool:
        reading, writing = os.pipe()
        sock = Lingering(reading)
        watch = HostArrivals(cast(socket.socket, sock), aside=True)
        watch.close()
        watch.close()
        sock.may_end.set()
        os.close(writing)
        return sock.closed.wait(30)

    assert asyncio.run(look())


@pytest.mark.parametrize("aside", [False, True])
def test_one_is_closed_at_once_where_there_is_no_thread_for_it(
    monkeypatch: pytest.MonkeyPatch, *, aside: bool
) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def look() -> bool:
        reading, writing = os.pipe()
        sock = Lingering(reading)
        watch = HostArrivals(cast(socket.socket, sock), aside=aside)
        monkeypatch.setattr(threading.Thread, "start", refused)
        sock.may_end.set()
        watch.close()
        os.close(writing)
        return sock.closed.is_set()

    assert asyncio.run(look())
