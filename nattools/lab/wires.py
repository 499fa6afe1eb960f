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

ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_BUFFER = 4 << 20
_FRAME = 65600
_AT_ONCE = 64
# A frame that is to be overtaken waits this much longer than the rest, if the jitter is not more
_HELD_BACK_S = 0.005

FrameHandler = Callable[[bytes, int], None]
Send = Callable[[bytes], None]


def packet_socket(protocol: int = ETH_P_ALL) -> socket.socket:
    """Receives what arrives at any interface of this thread's namespace. Not blocking.

    One for a whole namespace: to close one takes the kernel ten milliseconds and more.
    """
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    sock = socket.socket(socket.AF_PACKET, kind, socket.htons(protocol))
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return sock


def sender(sock: socket.socket, device: str) -> Send:
    """Sends frames from an interface, or loses them as a link does: when the interface is down or full, or
    the frame is too long."""

    def send(frame: bytes) -> None:
        with suppress(OSError):
            sock.sendto(frame, (device, 0))

    return send


class Carrier:
    """One thread's loop over all packet sockets of a lab, and what is due later.

    Handlers get each frame and its kind (`socket.PACKET_HOST` and so on) and must not block.
    """

    def __init__(self) -> None:
        self._handlers: dict[socket.socket, dict[str, FrameHandler]] = {}
        self._due: list[tuple[float, int, Send, bytes]] = []
        self._count = 0

    def listen(self, sock: socket.socket, device: str, handler: FrameHandler) -> None:
        """Have `handler` called for each frame that arrives at this interface."""
        self._handlers.setdefault(sock, {})[device] = handler

    def close(self) -> None:
        """Close this process's copies of the sockets."""
        for sock in self._handlers:
            sock.close()

    def later(self, at_s: float, send: Send, frame: bytes) -> None:
        """Send a frame when `time.monotonic()` is `at_s`; frames of the same time keep their order."""
        self._count += 1
        heapq.heappush(self._due, (at_s, self._count, send, frame))

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
        handlers = self._handlers[sock]
        for _ in range(_AT_ONCE):
            try:
                frame, address = sock.recvfrom(_FRAME)
            except OSError:
                return
            handler = handlers.get(address[0])
            if handler is not None:
                handler(frame, address[2])

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, send, frame = heapq.heappop(self._due)
            send(frame)


class Direction:
    """One direction of a wire: frames that arrive at one end leave through `out`.

    Each is lost with the probability `loss`, else late by the delay and by up to the jitter; the order stays,
    but that with the probability `reorder` a frame is held back and those behind it overtake it.
    """

    def __init__(self, carrier: Carrier, out: Send, impairment: Impairment, rng: random.Random) -> None:
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
    carrier: Carrier, sock: socket.socket, left: str, right: str, impairment: Impairment, rng: random.Random
) -> None:
    """Carry frames between two interfaces of the packet socket's namespace, both ways."""
    carrier.listen(sock, left, Direction(carrier, sender(sock, right), impairment, rng).carry)
    carrier.listen(sock, right, Direction(carrier, sender(sock, left), impairment, rng).carry)
