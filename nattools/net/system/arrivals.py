"""What comes to this machine's interfaces, before any firewall of its own sees it: a packet socket
(packet(7)), which Linux has and which takes a privilege."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Final, Literal

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Family
from nattools.net.system.oserrors import RAW_ADVICE, describe
from nattools.protocols.packethead import PacketHead, read_head

_KINDS: Final[dict[Family, int]] = {4: 0x0800, 6: 0x86DD}  # ETH_P_IP, ETH_P_IPV6
_FOR_US: Final = 0  # PACKET_HOST
_HEAD: Final = 128
_AT_ONCE: Final = 64
_MOST_WAITING: Final = 4096
_REMEMBERED: Final = 4096


def open_socket(family: Family) -> socket.socket:
    """Call it inside the namespace. CannotRun: there is no such thing here, or no privilege."""
    number = getattr(socket, "AF_PACKET", None)
    if number is None:
        raise CannotRun("only Linux shows what arrives before the firewall sees it")
    try:
        sock = socket.socket(number, socket.SOCK_DGRAM, socket.htons(_KINDS[family]))
    except OSError as error:
        raise CannotRun(f"not permitted to look at what arrives: {describe(error)}", RAW_ADVICE) from error
    sock.setblocking(False)
    return sock


def missing() -> str | None:
    """Why there can be no such look; None: there can. Call it inside the namespace."""
    try:
        open_socket(6).close()
    except CannotRun as reason:
        return str(reason)
    return None


class HostArrivals:
    """`nattools.net.base.ArrivalWatch` over a packet socket. `aside`: it is closed by a thread, and nothing
    waits for that: 10 to 20 ms, for the kernel has each processor let go of it first. Not in a process that
    forks or enters namespaces."""

    def __init__(self, sock: socket.socket, *, aside: bool = False) -> None:
        self._sock = sock
        self._aside = aside
        self._loop = asyncio.get_running_loop()
        self._seen: dict[PacketHead, None] = {}
        self._closed = False
        self._loop.add_reader(sock.fileno(), self._readable)

    def saw(self, source: str, transport: Literal["udp", "tcp", "icmp"], port: int) -> bool:
        """Has such a packet come? What waits in the socket counts."""
        if not self._closed:
            self._read(_MOST_WAITING)
        return PacketHead(source, transport, port) in self._seen

    def close(self) -> None:
        """Idempotent."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock.fileno())
            if not (self._aside and _started(self._sock.close)):
                self._sock.close()

    def _readable(self) -> None:
        self._read(_AT_ONCE)

    def _read(self, most: int) -> None:
        for _ in range(most):
            try:
                data, address = self._sock.recvfrom(_HEAD)
            except OSError:
                return
            if address[2] == _FOR_US:
                self._note(data)

    def _note(self, data: bytes) -> None:
        try:
            head = read_head(data)
        except ProtocolError:
            return
        if head is None:
            return
        if len(self._seen) >= _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[head] = None


def _started(work: Callable[[], None]) -> bool:
    """Do it in a thread; False: there can be no more threads."""
    try:
        threading.Thread(target=work, name="closing", daemon=True).start()
    except RuntimeError:
        return False
    return True
