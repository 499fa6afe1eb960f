"""IPv4 on a machine that has IPv6 alone, through its network's NAT64: what a CLAT does for a whole machine
(RFC 6877 6.3), done in the socket.

While no prefix is known, or IPv4 has a route of its own, everything is the inner network's. Else a socket of
IPv4 is one of IPv6 that writes to the addresses within the prefix, and whoever holds it sees IPv4 alone.
"""

from __future__ import annotations

from typing import Final, Unpack

from nattools.model.endpoint import Endpoint, Family
from nattools.model.host import Way
from nattools.model.packetform import PacketForm
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import (
    BatchHandler,
    ConnectOptions,
    DatagramHandler,
    EchoHandler,
    EchoReply,
    IcmpError,
    IcmpHandler,
    IcmpOptions,
    IcmpSocket,
    LocalEnd,
    MachineSocket,
    Network,
    QuoteHandler,
    SendFailure,
    StreamHandler,
    TcpFailure,
    TcpListener,
    TcpStream,
    UdpOptions,
    UdpSocket,
)
from nattools.net.wrappednetwork import WrappedNetwork
from nattools.protocols.nat64 import Nat64Prefix

OWN: Final = "192.0.0.2"
"""The own IPv4 address, as a CLAT has it (RFC 7335): nobody else ever sees it."""
SOMEBODY: Final = "192.0.0.8"
"""A router that has no IPv4 address (RFC 7600 4.8)."""
_KEPT = 4096


class TranslatedNetwork(WrappedNetwork):
    """`inner`, and IPv4 by `prefix` once that is set. `named`: prefixes that a name server makes addresses
    with, rightly or not."""

    def __init__(self, inner: Network) -> None:
        super().__init__(inner)
        self.prefix: Nat64Prefix | None = None
        self.named: tuple[Nat64Prefix, ...] = ()

    def _used(self) -> Nat64Prefix | None:
        """The prefix, if IPv4 goes by it now: the machine may have come into another network since."""
        return None if self.prefix is None or self.inner.route(FAR_AWAY[4]) is not None else self.prefix

    def _towards(self, host: str) -> Nat64Prefix | None:
        """The prefix by which an address is reached; None: as it is. Private ones nobody translates (RFC 6052
        3.1)."""
        return self._used() if ":" not in host and self.inner.is_public(host) else None

    def _for(self, family: Family, host: str | None) -> Nat64Prefix | None:
        """The prefix of a socket that is bound to `host`."""
        return self._used() if family == 4 and host in (None, OWN) else None

    def route(self, destination: str) -> tuple[str | None, str] | None:
        prefix = self._towards(destination)
        if prefix is None:
            return self.inner.route(destination)
        found = self.inner.route(prefix.embed(destination))
        return found and (found[0], OWN)

    def way(self, destination: str, *, source: str | None = None, interface: str | None = None) -> Way | None:
        prefix = self._towards(destination) if source in (None, OWN) else None
        if prefix is None:
            return self.inner.way(destination, source=source, interface=interface)
        found = self.inner.way(prefix.embed(destination), interface=interface)
        return found and Way(family=4, interface=found.interface, source=OWN)

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        """Addresses that a DNS64 made (RFC 6147) are the IPv4 ones that it made them of."""
        prefix = self._used()
        if prefix is None:
            return await self.inner.resolve(name, family)
        found = await self.inner.resolve(name)
        if isinstance(found, str):
            return found
        known = (prefix, *self.named)
        plain = dict.fromkeys(
            next((inner for each in known if (inner := each.extract(address))), address) for address in found
        )
        wanted = tuple(each for each in plain if family in (None, 6 if ":" in each else 4))
        return wanted or f"{name} has no IPv{family} address"

    async def open_udp(self, **options: Unpack[UdpOptions]) -> MachineSocket:
        prefix = None if options.get("group") else self._for(options["family"], options.get("host"))
        if prefix is None:
            return await self.inner.open_udp(**options)
        six: UdpOptions = {**options, "family": 6, "host": self._own6(prefix, options.get("interface"))}
        return _UdpThrough(await self.inner.open_udp(**six), prefix)

    def _own6(self, prefix: Nat64Prefix, interface: str | None) -> str | None:
        """The address that packets to the NAT64 leave from; of a named interface, the system chooses."""
        found = None if interface is not None else self.inner.route(prefix.embed(FAR_AWAY[4]))
        return None if found is None else found[1]

    async def connect_tcp(
        self, remote: Endpoint, **options: Unpack[ConnectOptions]
    ) -> TcpStream | TcpFailure:
        prefix = self._towards(remote.host)
        if prefix is None:
            return await self.inner.connect_tcp(remote, **options)
        six: ConnectOptions = {**options, "host": self._own6(prefix, options.get("interface"))}
        found = await self.inner.connect_tcp(Endpoint(prefix.embed(remote.host), remote.port), **six)
        return found if isinstance(found, TcpFailure) else _StreamThrough(found, remote)

    async def listen_tcp(
        self, *, family: Family, on_stream: StreamHandler, **end: Unpack[LocalEnd]
    ) -> TcpListener:
        prefix = self._for(family, end.get("host"))
        if prefix is None:
            return await self.inner.listen_tcp(family=family, on_stream=on_stream, **end)

        def accepted(stream: TcpStream) -> None:
            """What comes over IPv6 itself is nothing that this socket waits for."""
            inside = prefix.extract(stream.remote.host)
            if inside is None:
                stream.abort()
            else:
                on_stream(_StreamThrough(stream, Endpoint(inside, stream.remote.port)))

        six: LocalEnd = {**end, "host": self._own6(prefix, end.get("interface"))}
        return _ListenerThrough(await self.inner.listen_tcp(family=6, on_stream=accepted, **six))

    async def open_icmp(self, **options: Unpack[IcmpOptions]) -> IcmpSocket:
        prefix = None if options.get("raw") else self._for(options["family"], options.get("host"))
        if prefix is None:
            return await self.inner.open_icmp(**options)
        six: IcmpOptions = {"family": 6, "identifier": options.get("identifier")}
        return _IcmpThrough(await self.inner.open_icmp(**six), prefix)


class _Through:
    """What the sockets share: addresses on both sides of the translation, kept since each packet asks."""

    def __init__(self, inner: UdpSocket | IcmpSocket, prefix: Nat64Prefix) -> None:
        self.on_icmp: IcmpHandler | None = None
        self.close = inner.close
        self._prefix = prefix
        self._out: dict[str, str] = {}
        self._in: dict[str, str | None] = {}
        inner.on_icmp = self._icmp

    def _outer(self, host: str) -> str:
        found = self._out.get(host)
        if found is None:
            if len(self._out) >= _KEPT:
                self._out.clear()
            found = self._out[host] = self._prefix.embed(host)
        return found

    def _inner_of(self, host: str) -> str | None:
        if host not in self._in:
            if len(self._in) >= _KEPT:
                self._in.clear()
            self._in[host] = self._prefix.extract(host)
        return self._in[host]

    def _icmp(self, error: IcmpError) -> None:
        """The error of a router within the IPv6 network comes from nobody whom IPv4 knows."""
        to = self._inner_of(error.destination.host)
        if to is None or self.on_icmp is None:
            return
        by = error.offender and (self._inner_of(error.offender) or SOMEBODY)
        mtu = error.mtu and max(0, error.mtu - 20)
        self.on_icmp(
            IcmpError(
                kind=error.kind,
                icmp_type=error.icmp_type,
                icmp_code=error.icmp_code,
                offender=by,
                destination=Endpoint(to, error.destination.port),
                quoted=error.quoted,
                mtu=mtu,
                sequence=error.sequence,
            )
        )


class _UdpThrough(_Through):
    """A UDP socket of IPv4. What comes from elsewhere than the NAT64 is dropped."""

    def __init__(self, inner: MachineSocket, prefix: Nat64Prefix) -> None:
        super().__init__(inner, prefix)
        self.local = Endpoint(OWN, inner.local.port)
        self.on_datagram: DatagramHandler | None = None
        self._socket = inner
        self._on_batch: BatchHandler | None = None
        inner.on_datagram = self._datagram

    @property
    def on_batch(self) -> BatchHandler | None:
        return self._on_batch

    @on_batch.setter
    def on_batch(self, handler: BatchHandler | None) -> None:
        self._on_batch = handler
        self._socket.on_batch = None if handler is None else self._batch

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        host = self._inner_of(source.host)
        if host is not None and self.on_datagram is not None:
            self.on_datagram(data, Endpoint(host, source.port))

    def _batch(self, data: bytes, size: int, source: Endpoint) -> None:
        host = self._inner_of(source.host)
        if host is not None and self._on_batch is not None:
            self._on_batch(data, size, Endpoint(host, source.port))

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        return self._socket.send(data, Endpoint(self._outer(to.host), to.port), ttl=ttl)

    def send_formed(self, data: bytes, to: Endpoint, form: PacketForm) -> SendFailure | None:
        return self._socket.send_formed(data, Endpoint(self._outer(to.host), to.port), form)

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        return self._socket.send_many(datagrams, Endpoint(self._outer(to.host), to.port))


class _IcmpThrough(_Through):
    """Echo requests over IPv4."""

    def __init__(self, inner: IcmpSocket, prefix: Nat64Prefix) -> None:
        super().__init__(inner, prefix)
        self.local = OWN
        self.identifier = inner.identifier
        self.on_reply: EchoHandler | None = None
        self.on_quote: QuoteHandler | None = None  # of raw sockets, which are never translated
        self._socket = inner
        inner.on_reply = self._reply

    def _reply(self, reply: EchoReply) -> None:
        host = self._inner_of(reply.source)
        if host is not None and self.on_reply is not None:
            self.on_reply(EchoReply(host, reply.sequence, reply.payload, reply.ttl))

    def send_echo(
        self, to: str, sequence: int, payload: bytes = b"", *, ttl: int | None = None
    ) -> SendFailure | None:
        return self._socket.send_echo(self._outer(to), sequence, payload, ttl=ttl)


class _StreamThrough:
    """A stream with its ends as IPv4 knows them."""

    def __init__(self, inner: TcpStream, remote: Endpoint) -> None:
        self.local = Endpoint(OWN, inner.local.port)
        self.remote = remote
        self.read = inner.read
        self.write = inner.write
        self.drain = inner.drain
        self.end = inner.end
        self.close = inner.close
        self.abort = inner.abort
        self._inner = inner

    @property
    def over(self) -> bool:
        return self._inner.over


class _ListenerThrough:
    """A listener with its end as IPv4 knows it."""

    def __init__(self, inner: TcpListener) -> None:
        self.local = Endpoint(OWN, inner.local.port)
        self.close = inner.close
