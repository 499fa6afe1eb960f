"""A network that remembers what passed through it, and its sockets.

It sits between the probes and any other network, so it needs no privileges and works in the simulator too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nattools.model.endpoint import Endpoint, Family
from nattools.model.host import Gateway, Interface
from nattools.model.report import Substrate
from nattools.net.base import (
    Capability,
    DatagramHandler,
    IcmpError,
    IcmpHandler,
    Network,
    Opener,
    SendFailure,
    StreamHandler,
    TcpFailure,
    TcpListener,
    TcpStream,
    UdpSocket,
)
from nattools.net.trace import Event, EventKind, Trace


def _now() -> float:
    return asyncio.get_running_loop().time()


class TracedUdpSocket:
    """A `UdpSocket` that records every datagram and ICMP error, also those that no handler wants."""

    def __init__(self, inner: UdpSocket, trace: Trace) -> None:
        self.local = inner.local
        self.on_datagram: DatagramHandler | None = None
        self.on_icmp: IcmpHandler | None = None
        self._inner = inner
        self._trace = trace
        inner.on_datagram = self._datagram
        inner.on_icmp = self._icmp

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        self._trace.add(Event(_now(), "datagram", False, self.local, source, data))
        if self.on_datagram is not None:
            self.on_datagram(data, source)

    def _icmp(self, error: IcmpError) -> None:
        self._trace.add(Event(_now(), "icmp", False, self.local, error.destination, error=error))
        if self.on_icmp is not None:
            self.on_icmp(error)

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        """See `UdpSocket.send`."""
        failure = self._inner.send(data, to, ttl=ttl)
        event = Event(_now(), "datagram", True, self.local, to, bytes(data), ttl, note=failure or "")
        self._trace.add(event)
        return failure

    def close(self) -> None:
        """Idempotent."""
        self._inner.close()


class TracedStream:
    """A `TcpStream` that records its bytes: those written at once, those received when they are read.
    A reset by the other side is recorded as the end that `read` reports."""

    def __init__(self, inner: TcpStream, trace: Trace, connection: int) -> None:
        self.local = inner.local
        self.remote = inner.remote
        self._inner = inner
        self._trace = trace
        self._connection = connection
        self._sent_end = False
        self._received_end = False

    def _record(self, kind: EventKind, outgoing: bool, data: bytes = b"") -> None:
        event = Event(_now(), kind, outgoing, self.local, self.remote, data, connection=self._connection)
        self._trace.add(event)

    async def read(self, limit: int = 65536) -> bytes:
        """See `TcpStream.read`."""
        data = await self._inner.read(limit)
        if data:
            self._record("data", False, data)
        elif not self._received_end:
            self._received_end = True
            if not self._sent_end:
                self._record("end", False)
        return data

    def write(self, data: bytes) -> None:
        """See `TcpStream.write`."""
        if data and not self._sent_end:
            self._record("data", True, bytes(data))
        self._inner.write(data)

    async def drain(self) -> None:
        """See `TcpStream.drain`."""
        await self._inner.drain()

    @property
    def over(self) -> bool:
        """See `TcpStream.over`."""
        return self._inner.over

    def end(self) -> None:
        """See `TcpStream.end`."""
        self._end("end")
        self._inner.end()

    def close(self) -> None:
        """See `TcpStream.close`."""
        self._end("end")
        self._inner.close()

    def abort(self) -> None:
        """See `TcpStream.abort`."""
        self._end("abort")
        self._inner.abort()

    def _end(self, kind: EventKind) -> None:
        if not self._sent_end:
            self._sent_end = True
            self._record(kind, True)


class TracedNetwork:
    """A `Network` that records what passes between its users and `inner` in `trace`."""

    def __init__(self, inner: Network, trace: Trace) -> None:
        self.substrate: Substrate = inner.substrate
        self.trace = trace
        self._inner = inner

    def interfaces(self) -> tuple[Interface, ...]:
        """See `Network.interfaces`."""
        return self._inner.interfaces()

    def gateways(self) -> tuple[Gateway, ...]:
        """See `Network.gateways`."""
        return self._inner.gateways()

    def route(self, destination: str) -> tuple[str | None, str] | None:
        """See `Network.route`."""
        return self._inner.route(destination)

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        """See `Network.resolve`."""
        answer = await self._inner.resolve(name, family)
        if not isinstance(answer, str) and answer != (name,):
            known = self.trace.names.get(name, ())
            self.trace.names[name] = tuple(dict.fromkeys(known + answer))
        return answer

    async def open_udp(
        self,
        *,
        family: Family,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        dont_fragment: bool = False,
        group: str | None = None,
    ) -> UdpSocket:
        """See `Network.open_udp`."""
        inner = await self._inner.open_udp(
            family=family, host=host, port=port, interface=interface, dont_fragment=dont_fragment, group=group
        )
        return TracedUdpSocket(inner, self.trace)

    async def connect_tcp(
        self,
        remote: Endpoint,
        *,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        timeout_s: float,
        opener: Opener | None = None,
    ) -> TcpStream | TcpFailure:
        """See `Network.connect_tcp`."""
        connection, began = self.trace.new_connection(), _now()
        result = await self._inner.connect_tcp(
            remote, host=host, port=port, interface=interface, timeout_s=timeout_s, opener=opener
        )
        if isinstance(result, TcpFailure):
            local = Endpoint(host or self._source(remote), port)
            note = f"{result.outcome}: {result.detail}" if result.detail else result.outcome
            self.trace.add(Event(began, "connect", True, local, remote, connection=connection, note=note))
            if result.outcome in ("refused", "reset"):
                self.trace.add(Event(_now(), "abort", False, local, remote, connection=connection))
            return result
        self.trace.add(Event(began, "connect", True, result.local, remote, connection=connection))
        self.trace.add(Event(_now(), "established", True, result.local, remote, connection=connection))
        return TracedStream(result, self.trace, connection)

    def _source(self, remote: Endpoint) -> str:
        found = self._inner.route(remote.host)
        return ("::" if remote.family == 6 else "0.0.0.0") if found is None else found[1]

    async def listen_tcp(
        self,
        *,
        family: Family,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        on_stream: StreamHandler,
    ) -> TcpListener:
        """See `Network.listen_tcp`."""
        return await self._inner.listen_tcp(
            family=family, host=host, port=port, interface=interface, on_stream=self._accepting(on_stream)
        )

    def _accepting(self, on_stream: StreamHandler) -> Callable[[TcpStream], None]:
        def accepted(stream: TcpStream) -> None:
            number = self.trace.new_connection()
            event = Event(_now(), "established", False, stream.local, stream.remote, connection=number)
            self.trace.add(event)
            on_stream(TracedStream(stream, self.trace, number))

        return accepted

    def is_public(self, address: str) -> bool:
        """See `Network.is_public`."""
        return self._inner.is_public(address)

    def missing(self, capability: Capability) -> str | None:
        """See `Network.missing`."""
        return self._inner.missing(capability)
