"""Nothing leaves the machine that runs the tests: neither a packet nor a question for a name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest
from guard import Guard, Refused

from nattools.model.endpoint import Endpoint
from nattools.net.system.hostnetwork import HostNetwork

OUTSIDE = ("192.0.2.1", 9)
HERE = ("127.0.0.1", 0)
"""Where every socket here is bound: from loopback Linux routes nothing outside, should the guard fail."""


@pytest.fixture
def refused(guard: Guard) -> Iterator[list[str]]:
    """What the guard did not let through; the test says itself what that should be."""
    yield guard.refused
    guard.refused.clear()


def socket_of(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(HERE)
    return sock


WAYS: dict[str, tuple[socket.SocketKind, Callable[[socket.socket], object]]] = {
    "sendto": (socket.SOCK_DGRAM, lambda sock: sock.sendto(b"?", OUTSIDE)),
    "sendto with flags": (socket.SOCK_DGRAM, lambda sock: sock.sendto(b"?", 0, OUTSIDE)),
    "sendmsg": (socket.SOCK_DGRAM, lambda sock: sock.sendmsg([b"?"], [], 0, OUTSIDE)),
    "connect": (socket.SOCK_STREAM, lambda sock: sock.connect(OUTSIDE)),
    "connect_ex": (socket.SOCK_STREAM, lambda sock: sock.connect_ex(OUTSIDE)),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_sent_to_others(way: str, refused: list[str]) -> None:
    kind, send = WAYS[way]
    with socket_of(kind) as sock, pytest.raises(Refused):
        send(sock)
    assert len(refused) == 1


def test_nothing_is_sent_on_connected_sockets(refused: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", lambda sock: OUTSIDE)
    with socket_of(socket.SOCK_DGRAM) as sock, pytest.raises(Refused):
        sock.send(b"?")
    assert len(refused) == 1


def test_the_host_network_is_guarded(refused: list[str]) -> None:
    async def main() -> None:
        sock = await HostNetwork().open_udp(family=4, host=HERE[0])
        try:
            assert sock.send(b"?", Endpoint(*OUTSIDE)) is not None
        finally:
            sock.close()

    asyncio.run(main())
    assert refused


def test_nobody_is_asked_for_a_name(refused: list[str]) -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("stun.example.org", 3478)
    assert len(refused) == 1


def test_loopback_is_free(refused: list[str]) -> None:
    with socket_of(socket.SOCK_DGRAM) as one, socket_of(socket.SOCK_DGRAM) as other:
        other.sendto(b"?", socket.getaddrinfo("localhost", one.getsockname()[1], socket.AF_INET)[0][4])
        assert one.recv(9) == b"?"
    assert refused == []
