"""UDP sockets of the operating system on the event loop.

Reading drains up to 64 datagrams a wakeup into one buffer: asyncio's own datagram transport allocates
256 KiB for each and takes one a wakeup, which makes it several times slower.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.model.packetform import PacketForm
from nattools.net.base import BatchHandler, DatagramHandler, IcmpError, SendFailure
from nattools.net.system import formedsending, linux, sockets, watchedsocket
from nattools.net.system.oserrors import send_failure
from nattools.net.system.sockets import Zones, bound_socket, default_source
from nattools.net.system.watchedsocket import BATCH, WatchedSocket

# Options for IPv4 and IPv6 that Python's socket module leaves out: netinet/in.h, ws2ipdef.h
DONT_FRAGMENT_OPTIONS = {"darwin": (28, 62), "win32": (14, 14)}
_MANY = range(48)
_ONE = range(1)
_LARGE = 16_384
_QUEUE = 64  # datagrams that wait when the kernel's send buffer is full
_RECEIVE_BUFFER = 1 << 20  # asked for, since a fast sender overruns the default; the system gives what it may

# One for all sockets of a loop: each datagram is copied out before its handler runs
_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = WeakKeyDictionary()


def open_socket(
    zones: Zones,
    *,
    family: Family,
    host: str | None = None,
    port: int = 0,
    interface: str | None = None,
    dont_fragment: bool = False,
    group: str | None = None,
    broadcast: bool = False,
) -> tuple[socket.socket, Endpoint]:
    """A bound UDP socket and its address as `Network.open_udp` promises it. Call it inside the namespace."""
    # a socket with an address of its own does not get what is sent to a group
    bound_to = host if group is None else None
    sock = bound_socket(
        socket.SOCK_DGRAM,
        zones,
        family=family,
        host=bound_to,
        port=port,
        interface=interface,
        shared=group is not None,
    )
    try:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        set_fragmentation(sock, dont_fragment)
        local = zones.endpoint(sock.getsockname())
        if bound_to is None:
            local = Endpoint(host or default_source(zones, family, interface), local.port)
        if broadcast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if host is not None:
            sockets.send_by(sock, host)
        if group is not None:
            sockets.join(sock, zones, group, local.host, interface)
        return sock, local
    except BaseException:
        sock.close()
        raise


def set_fragmentation(sock: socket.socket, dont_fragment: bool) -> None:
    """May routers fragment what this socket sends? CannotRun: they may, and the system cannot forbid it."""
    try:
        if linux.AVAILABLE:
            linux.set_fragmentation(sock, dont_fragment)
        elif dont_fragment:
            six = sock.family == socket.AF_INET6
            level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
            sock.setsockopt(level, DONT_FRAGMENT_OPTIONS[sys.platform][six], 1)
    except (KeyError, OSError) as error:
        if not dont_fragment:
            return
        raise CannotRun("this system cannot set the don't-fragment bit") from error


# Endpoint's own constructor takes twice as long
_endpoint4: Callable[[Any], Endpoint] = partial(tuple.__new__, Endpoint)


class HostUdpSocket(WatchedSocket):
    """`nattools.net.base.UdpSocket` over a socket of the system.

    A datagram that finds the kernel's send buffer full waits, with up to 63 others and in order; beyond that
    it is dropped and `send` says "error". ICMP errors are asked of the kernel once `on_icmp` is set, so that
    a server, which has no use for them, does not pay for them.
    """

    __slots__ = (
        "_buffer",
        "_busy",
        "_direct",
        "_endpoint",
        "_ipv6",
        "_on_batch",
        "_reader",
        "_receive",
        "_segments",
        "_sendto",
        "_turn",
        "_waiting",
        "_zones",
        "local",
        "on_datagram",
    )

    def __init__(self, sock: socket.socket, local: Endpoint, zones: Zones) -> None:
        super().__init__(sock)
        self.local = local
        self.on_datagram: DatagramHandler | None = None
        self._on_batch: BatchHandler | None = None
        self._segments = linux.AVAILABLE  # as far as is known
        self._buffer = _buffers.setdefault(self._loop, memoryview(bytearray(65536)))
        self._sendto = sock.sendto
        self._receive = sock.recvfrom_into
        self._zones = zones
        self._ipv6 = sock.family == socket.AF_INET6
        self._endpoint = zones.endpoint if self._ipv6 else _endpoint4
        self._direct = True  # nothing waits
        self._turn = 0  # in which it was read last
        self._busy = False
        self._waiting: deque[tuple[bytes, Endpoint, int | None]] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._watch()

    def _watch(self) -> None:
        try:
            super()._watch()
        except NotImplementedError:  # Windows: its default loop has completions instead of readiness
            self._reader = self._loop.create_task(self._read_completions())

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        """Send now; None when the datagram left (or waits for the send buffer, see the class)."""
        if ttl is None and self._direct and "%" not in to[0]:
            try:
                self._sendto(data, to)
                return None
            except BlockingIOError:
                return self._wait(data, to, ttl)
            except OSError:
                pass
        return self._send_slowly(data, to, ttl)

    def send_formed(self, data: bytes, to: Endpoint, form: PacketForm) -> SendFailure | None:
        """See `MachineSocket.send_formed`."""
        if self._closed or not linux.AVAILABLE:
            return "error"
        try:
            # an ICMP error about an earlier datagram would fail this one; it stays in the error queue
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            with self._zones.within():
                formedsending.send(self._sock, data, self._zones.address(to), form)
        except PermissionError:
            return "error" if form == "destination-options" else "prohibited"
        except OSError as error:
            return send_failure(error)
        return None

    @property
    def on_batch(self) -> BatchHandler | None:
        """Called in place of `on_datagram`; setting it makes the kernel collect datagrams."""
        return self._on_batch

    @on_batch.setter
    def on_batch(self, handler: BatchHandler | None) -> None:
        can = handler is not None and linux.AVAILABLE and not self._closed
        self._on_batch = handler if can and linux.collect_segments(self._sock) else None

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        """Send them in order, many with one call where the kernel can."""
        if len(datagrams) == 1:
            return self.send(datagrams[0], to)
        failure: SendFailure | None = None
        for run in _runs(datagrams):
            if len(run) == 1 or not self._send_segmented(run, to):
                for data in run:
                    failure = self.send(data, to) or failure
        return failure

    def _send_segmented(self, run: list[bytes], to: Endpoint) -> bool:
        if not self._segments or not self._direct or "%" in to[0]:
            return False
        try:
            self._sock.sendmsg(run, linux.segmented(len(run[0])), 0, to)
        except BlockingIOError:
            return False
        except OSError as error:  # an ICMP error about an earlier one, or a device or size that it cannot do
            if error.errno in (errno.EIO, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOPROTOOPT):
                self._segments = False
            return False
        return True

    def _send_slowly(self, data: bytes, to: Endpoint, ttl: int | None) -> SendFailure | None:
        if self._closed:
            return "error"
        if self._waiting:
            return self._wait(data, to, ttl)
        # An ICMP error about an earlier datagram makes the next send fail: take it from the queue, try again
        try:
            self._deliver_later(self._pending_errors())
            self._transmit(data, to, ttl)
        except BlockingIOError:
            return self._wait(data, to, ttl)
        except OSError as error:
            self._deliver_later(self._pending_errors())
            return send_failure(error)
        return None

    def _transmit(self, data: bytes, to: Endpoint, ttl: int | None) -> None:
        address = self._zones.address(to)
        if ttl is None:
            self._sendto(data, address)
        elif linux.AVAILABLE:
            self._sock.sendmsg([data], linux.ttl_ancillary(self._sock.family, ttl), 0, address)
        else:
            self._transmit_with_option(data, address, ttl)

    def _transmit_with_option(self, data: bytes, address: tuple[Any, ...], ttl: int) -> None:
        level, option = (
            (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
            if self._ipv6
            else (socket.IPPROTO_IP, socket.IP_TTL)
        )
        usual = self._sock.getsockopt(level, option)
        self._sock.setsockopt(level, option, ttl)
        try:
            self._sendto(data, address)
        finally:
            self._sock.setsockopt(level, option, usual)

    def _wait(self, data: bytes, to: Endpoint, ttl: int | None) -> SendFailure | None:
        if len(self._waiting) >= _QUEUE or self._reader is not None:
            return "error"
        if not self._waiting:
            self._direct = False
            self._loop.add_writer(self._sock.fileno(), self._writable)
        self._waiting.append((data, to, ttl))
        return None

    def _writable(self) -> None:
        while self._waiting:
            try:
                self._transmit(*self._waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self._deliver_later(self._pending_errors())
            self._waiting.popleft()
        self._direct = True
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        if self._on_batch is not None:
            self._read_batches()
            return
        receive, buffer, endpoint = self._receive, self._buffer, self._endpoint
        for number in BATCH if self._expects_more() else _ONE:
            try:
                size, address = receive(buffer)
            except BlockingIOError as error:
                self._busy = number > 1
                if number == 0:  # woken by the error queue alone
                    self._receive_failed(error)
                return
            except OSError as error:  # an ICMP error came, or the handler has just closed the socket
                self._receive_failed(error)
                return
            self._failures = 0
            if self.on_datagram is not None:
                self.on_datagram(bytes(buffer[:size]), endpoint(address))

    def _expects_more(self) -> bool:
        """Have several datagrams come in this turn of the loop, or when it was read last? Else the first is
        passed on before others are asked for, which would take as long as to pass it on."""
        watch = self._watched_by
        if watch is None or self._busy:
            return True
        before, self._turn = self._turn, watch.turn
        return before == self._turn

    def _read_batches(self) -> None:
        """What the kernel has not put together is put together here: each call further up costs much more."""
        batch: list[bytes] = []
        segment, source = 0, None
        for number in _MANY if self._expects_more() else _ONE:
            try:
                size, ancillary, _, address = self._sock.recvmsg_into([self._buffer], 64)
            except BlockingIOError as error:
                self._busy = number > 1
                if number == 0:
                    self._receive_failed(error)
                break
            except OSError as error:
                self._receive_failed(error)
                break
            self._failures = 0
            each = linux.segment_size(ancillary) or size
            fits = each == segment or (each < segment and size == each)  # a shorter one can only be the last
            if batch and (address != source or not fits or not segment or len(batch[-1]) % segment):
                self._pass_on(batch, segment, source)
                batch = []
            if not batch:
                segment, source = each, address
            batch.append(bytes(self._buffer[:size]))
            if size > _LARGE:
                break
        if batch:
            self._pass_on(batch, segment, source)

    def _pass_on(self, batch: list[bytes], segment: int, source: Any) -> None:
        if self._on_batch is not None:
            self._on_batch(batch[0] if len(batch) == 1 else b"".join(batch), segment, self._endpoint(source))

    async def _read_completions(self) -> None:
        while not self._closed:
            try:
                data, address = await self._loop.sock_recvfrom(self._sock, 65536)
            except OSError as error:  # Windows reports an ICMP error about an earlier datagram here
                self._failures += 1
                if self._must_pause(error):
                    await asyncio.sleep(watchedsocket.PAUSE_S)
                continue
            self._failures = 0
            if self.on_datagram is not None:
                self.on_datagram(data, self._zones.endpoint(address))

    def _deliver_later(self, errors: list[IcmpError]) -> None:
        # the caller of send() does not expect its own handler to run before send() returns
        if errors:
            self._loop.call_soon(self._deliver, errors)

    def _unwatch(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        else:
            super()._unwatch()

    def close(self) -> None:
        """Idempotent."""
        if self._waiting:
            self._loop.remove_writer(self._sock.fileno())
            self._waiting.clear()
        super().close()


def _runs(datagrams: list[bytes]) -> Iterator[list[bytes]]:
    """Those that can leave at once: all of one size, but the last one, which may be shorter."""
    start = 0
    while start < len(datagrams):
        size = len(datagrams[start])
        most = start + max(1, min(linux.MOST_SEGMENTS, linux.MOST_SEGMENTED // max(1, size)))
        end = start + 1
        while end < min(most, len(datagrams)) and len(datagrams[end]) == size:
            end += 1
        if end < min(most, len(datagrams)) and len(datagrams[end]) < size:
            end += 1
        yield datagrams[start:end]
        start = end
