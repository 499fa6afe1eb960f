"""Wires that delay, lose and reorder frames, and the loop that carries them (Linux, packet sockets).

Packet sockets at the ends of veth pairs do what TAP devices would, and need no /dev/net/tun: they work
wherever network namespaces do.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from nattools.lab.scenario import Impairment

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_BUFFER = 4 << 20
_FRAME = 65600
_AT_ONCE = 64
# A frame that is to be overtaken waits this much longer than the rest, if the jitter is not more
_HELD_BACK_S = 0.005

FrameHandler = Callable[[bytes, int], None]


def packet_socket(device: str, protocol: int = _ETH_P_ALL) -> socket.socket:
    """Receives what arrives at an interface of this thread's namespace, and sends from it. Not blocking."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.bind((device, protocol))
    return sock


def transmit(sock: socket.socket, frame: bytes) -> None:
    """Send a frame, or lose it as a link does: when the interface is down or full, or the frame too long."""
    with suppress(OSError):
        sock.send(frame)


class Carrier:
    """One thread's loop over all packet sockets of a lab, and what is due later.

    Handlers get each frame and its kind (`socket.PACKET_HOST` and so on) and must not block.
    """

    def __init__(self) -> None:
        self._handlers: dict[socket.socket, FrameHandler] = {}
        self._due: list[tuple[float, int, socket.socket, bytes]] = []
        self._count = 0

    def listen(self, sock: socket.socket, handler: FrameHandler) -> None:
        """Have `handler` called for each frame that arrives at `sock`."""
        self._handlers[sock] = handler

    def close(self) -> None:
        """Close this process's copies of the sockets."""
        for sock in self._handlers:
            sock.close()

    def later(self, at_s: float, sock: socket.socket, frame: bytes) -> None:
        """Send a frame when `time.monotonic()` is `at_s`; frames of the same time keep their order."""
        self._count += 1
        heapq.heappush(self._due, (at_s, self._count, sock, frame))

    def run(self) -> None:
        """For ever."""
        sockets = list(self._handlers)
        while True:
            timeout_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            # select sleeps to the microsecond, epoll and poll only to the millisecond
            for sock in select.select(sockets, (), (), timeout_s)[0]:
                self._drain(sock)
            self._deliver()

    def _drain(self, sock: socket.socket) -> None:
        handler = self._handlers[sock]
        for _ in range(_AT_ONCE):
            try:
                frame, address = sock.recvfrom(_FRAME)
            except OSError:
                return
            handler(frame, address[2])

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, sock, frame = heapq.heappop(self._due)
            transmit(sock, frame)


class Direction:
    """One direction of a wire: frames that arrive at one end leave at `out`.

    Each is lost with the probability `loss`, else late by the delay and by up to the jitter; the order stays,
    but that with the probability `reorder` a frame is held back and those behind it overtake it.
    """

    def __init__(
        self, carrier: Carrier, out: socket.socket, impairment: Impairment, rng: random.Random
    ) -> None:
        self._carrier = carrier
        self._out = out
        self._delay_s = impairment.delay_ms / 1000
        self._jitter_s = impairment.jitter_ms / 1000
        self._loss = impairment.loss
        self._reorder = impairment.reorder
        self._rng = rng
        self._latest_s = 0.0

    def carry(self, frame: bytes, kind: int) -> None:
        """Take a frame in."""
        rng = self._rng
        if self._loss and rng.random() < self._loss:
            return
        at_s = time.monotonic() + self._delay_s
        if self._jitter_s:
            at_s += rng.uniform(0.0, self._jitter_s)
        if self._reorder and rng.random() < self._reorder:
            at_s += max(self._jitter_s, _HELD_BACK_S)
        else:
            at_s = self._latest_s = max(at_s, self._latest_s)
        self._carrier.later(at_s, self._out, frame)


def join(
    carrier: Carrier, left: socket.socket, right: socket.socket, impairment: Impairment, rng: random.Random
) -> None:
    """Carry frames between two packet sockets, both ways."""
    carrier.listen(left, Direction(carrier, right, impairment, rng).carry)
    carrier.listen(right, Direction(carrier, left, impairment, rng).carry)
