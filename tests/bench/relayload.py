"""A bounded load of ChannelData between two clients of one relay, and what its process pays for it."""

from __future__ import annotations

import select
import socket
import statistics
import time
from typing import Final, NamedTuple

from bench.load import cpu_seconds

from nattools.model.endpoint import Endpoint
from nattools.net.system.namespace import entered
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import LongTermAuthentication
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn import turnconstants as t

CHANNEL: Final = 0x4000
_WINDOW: Final = 64
_PATIENCE_S: Final = 1.0


class RelayedLoad(NamedTuple):
    """`arrived` of `sent` datagrams; each passes the relay twice, since the receiver is its client too."""

    sent: int
    arrived: int
    cpu_s: float

    @property
    def per_cpu_second(self) -> float:
        """Datagrams relayed a second of one core: in by one allocation, or out by the other."""
        return 2 * self.arrived / self.cpu_s


class BenchClient:
    """An allocation over UDP, without timers: it answers a challenge, and asks once. `inside`: the namespace
    that it is in."""

    def __init__(
        self,
        server: tuple[str, int],
        user: str,
        password: str,
        local: tuple[str, int] | None = None,
        inside: str | None = None,
    ) -> None:
        with entered(inside):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(local or (server[0] if inside is None else "", 0))
        self.socket.connect(server)
        self.socket.settimeout(5)
        self._login = LongTermAuthentication(user, password)
        self._number = 0
        self.relayed = self._ask(c.ALLOCATE, (c.REQUESTED_TRANSPORT, turn.pack_transport(t.UDP))).relayed[0]

    def _ask(self, method: int, *attributes: Attribute) -> stun.Message:
        for _ in range(3):
            self._number += 1
            request = stun.Message(method, "request", self._number.to_bytes(12, "big"), attributes)
            self.socket.send(self._login.sign(request))
            answer = stun.decode(self.socket.recv(2048))
            if answer.error is None:
                return answer
            assert answer.error[0] in (401, 438), answer.error
            assert self._login.renew(answer) is None
        raise AssertionError("challenged without end")

    def bind(self, peer: Endpoint) -> None:
        """A channel for a peer."""
        number = (self._number + 1).to_bytes(12, "big")
        self._ask(
            c.CHANNEL_BIND,
            (c.CHANNEL_NUMBER, turn.pack_channel(CHANNEL)),
            (c.XOR_PEER_ADDRESS, stun.pack_xor_address(peer, number)),
        )

    def close(self) -> None:
        self.socket.close()


def pair(
    server: tuple[str, int], user: str, password: str, inside: tuple[str | None, str | None] = (None, None)
) -> tuple[BenchClient, BenchClient]:
    """Two clients with channels for each other, each in a namespace if they are named."""
    first, second = (BenchClient(server, user, password, inside=each) for each in inside)
    first.bind(second.relayed)
    second.bind(first.relayed)
    return first, second


def put(clients: tuple[BenchClient, BenchClient], pid: int, total: int, size: int) -> RelayedLoad:
    """Send so many datagrams from the first to the second, a window after the other."""
    first, second = clients
    first.socket.setblocking(False)
    second.socket.setblocking(False)
    message = turn.encode_channel_data(CHANNEL, bytes(size))
    sent = arrived = 0
    cpu = cpu_seconds(pid)
    while sent < total:
        for _ in range(_WINDOW):
            first.socket.send(message)
        sent += _WINDOW
        arrived += _collect(second.socket, sent - arrived if sent - arrived <= _WINDOW else _WINDOW)
    return RelayedLoad(sent, arrived, cpu_seconds(pid) - cpu)


def _collect(receiver: socket.socket, count: int) -> int:
    got = 0
    while got < count and select.select([receiver], [], [], _PATIENCE_S)[0]:
        try:
            while got < count:
                receiver.recv(2048)
                got += 1
        except BlockingIOError:
            pass
    return got


def round_trips_us(clients: tuple[BenchClient, BenchClient], count: int) -> tuple[float, float]:
    """p50 and p99 of a datagram's way through the relay to the other client and back."""
    first, second = (each.socket for each in clients)
    return _trips_us(first, second, turn.encode_channel_data(CHANNEL, bytes(160)), count)


def direct_us(
    count: int,
    hosts: tuple[str, str] = ("127.0.0.1", "127.0.0.1"),
    inside: tuple[str | None, str | None] = (None, None),
) -> tuple[float, float]:
    """The same between two sockets without a relay, on loopback or in two namespaces."""
    found = []
    for namespace in inside:
        with entered(namespace):
            found.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    first, second = found
    with first, second:
        for each, host in zip(found, hosts, strict=True):
            each.bind((host, 0))
        first.connect(second.getsockname())
        second.connect(first.getsockname())
        return _trips_us(first, second, bytes(164), count)


def _trips_us(first: socket.socket, second: socket.socket, message: bytes, count: int) -> tuple[float, float]:
    taken = []
    for each in (first, second):
        each.settimeout(5)
    for _ in range(count):
        began = time.perf_counter()
        first.send(message)
        second.recv(2048)
        second.send(message)
        first.recv(2048)
        taken.append((time.perf_counter() - began) * 1e6)
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49], cuts[98]
