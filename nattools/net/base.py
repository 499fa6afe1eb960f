"""What every probe, client and server may ask of a network. Nothing above knows which substrate it is on.

Time is the running event loop's: nothing reads another clock or sleeps outside the loop.
A network failure is data: the calls here return it; they raise only CannotRun, when the question itself
could not be put (no such interface, no privilege).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, Required, TypedDict, Unpack

import msgspec

from nattools.model.endpoint import Endpoint, Family
from nattools.model.host import Environment, Gateway, Interface, Ipv6Setup, LinkNeighbour, Way
from nattools.model.packetform import PacketForm
from nattools.model.report import Substrate
from nattools.protocols.icmp import ErrorKind
from nattools.protocols.nat64 import Nat64Prefix

Capability = Literal[
    "icmp-errors",
    "ttl",
    "dont-fragment",
    "shared-ports",
    "icmp",
    "raw-packets",
    "arrivals",
    "fragments",
    "extension-headers",
]


class IcmpError(msgspec.Struct, frozen=True):
    """An ICMP or ICMPv6 error about a datagram that a UDP socket sent, or about an echo request.

    `kind` is the version-independent meaning; `offender` the sender of the error (None if not known),
    `destination` where the packet was going (port 0 for an echo request), `quoted` what the error quotes of
    its payload, with what its sender appended. `sequence`: the echo request's.
    """

    kind: ErrorKind
    icmp_type: int
    icmp_code: int
    offender: str | None
    destination: Endpoint
    quoted: bytes = b""
    mtu: int | None = None
    sequence: int | None = None


class QuotedError(msgspec.Struct, frozen=True):
    """An ICMP or ICMPv6 error that has reached this machine, whatever it is about. `quote`: the packet that
    it quotes, from its IP header on, as it stands there."""

    kind: ErrorKind
    offender: str
    quote: bytes


class EchoReply(msgspec.Struct, frozen=True):
    """An answer to an echo request (RFC 792, RFC 4443 4.2). `ttl`: what was left of it on arrival, None if
    the system does not tell."""

    source: str
    sequence: int
    payload: bytes
    ttl: int | None = None


SendFailure = Literal["unreachable", "prohibited", "too-big", "refused", "error"]
DatagramHandler = Callable[[bytes, Endpoint], None]
BatchHandler = Callable[[bytes, int, Endpoint], None]
"""(data, size, source): datagrams one behind the other, each of `size` bytes, the last perhaps shorter."""
IcmpHandler = Callable[[IcmpError], None]


class UdpSocket(Protocol):
    """A bound UDP socket. Set the handlers right after opening; they are called from the event loop,
    one call a datagram, and must not raise. Without a handler what arrives is dropped. With `on_batch` set a
    socket may pass it, in place of `on_datagram`, many datagrams of one source at once."""

    local: Endpoint
    on_datagram: DatagramHandler | None
    on_batch: BatchHandler | None
    on_icmp: IcmpHandler | None

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        """Send now; None when the datagram left. `ttl` is for this datagram alone."""

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        """Send them in order; the last failure, if any."""

    def close(self) -> None:
        """Idempotent."""


def send_each(socket: UdpSocket, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
    """`UdpSocket.send_many`, with a call for each."""
    failures = [socket.send(data, to) for data in datagrams]
    return next((each for each in reversed(failures) if each is not None), None)


class MachineSocket(UdpSocket, Protocol):
    """A UDP socket of this machine's own, and no relayed one."""

    def send_formed(self, data: bytes, to: Endpoint, form: PacketForm) -> SendFailure | None:
        """Send now, in such packets; None when the datagram left. "error" where the system does not do it
        (see `missing("fragments")`, `missing("extension-headers")`), and where a datagram that is to be
        fragmented is not larger than the path's MTU."""


EchoHandler = Callable[[EchoReply], None]
QuoteHandler = Callable[[QuotedError], None]


class IcmpSocket(Protocol):
    """Sends echo requests of one family; their replies, and the ICMP errors about them, come back here alone.
    Set the handlers right after opening; they are called from the event loop and must not raise.

    `local`: the address that it is bound to, or that the default route would use. `identifier`: that of its
    requests, before any NAT. `on_quote`, of a raw socket alone, gets every error that reaches the machine."""

    local: str
    identifier: int
    on_reply: EchoHandler | None
    on_icmp: IcmpHandler | None
    on_quote: QuoteHandler | None

    def send_echo(
        self, to: str, sequence: int, payload: bytes = b"", *, ttl: int | None = None
    ) -> SendFailure | None:
        """Send now; None when the request left. `sequence` has 16 bits, `ttl` is for this request alone."""

    def close(self) -> None:
        """Idempotent."""


class ArrivalWatch(Protocol):
    """Looks at what comes to this machine's interfaces, before any firewall of its own. Close it."""

    def saw(self, source: str, transport: Literal["udp", "tcp", "icmp"], port: int) -> bool:
        """Has a packet from this address come, for this port (of "icmp", an echo request; `port` is 0)?"""

    def close(self) -> None:
        """Idempotent."""


class TcpFailure(msgspec.Struct, frozen=True):
    """Why a TCP connection did not come about."""

    outcome: Literal["refused", "timeout", "unreachable", "prohibited", "reset", "error"]
    detail: str = ""


class LowTtlSyn(msgspec.Struct, frozen=True):
    """How a connection attempt begins that is to open the own NAT alone: for `seconds` SYNs leave with the
    TTL `ttl`, afterwards with the ordinary one. ICMP errors about them do not end the attempt, and segments
    that arrive with a TTL below 8 are dropped while they would (IP_MINTTL, ip(7); RFC 5082)."""

    ttl: int
    seconds: float


class TcpStream(Protocol):
    """A connected TCP stream."""

    local: Endpoint
    remote: Endpoint

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes; b"" at the end of the stream, also after a reset."""

    def write(self, data: bytes) -> None:
        """Queue bytes; never raises for a network failure."""

    async def drain(self) -> None:
        """Wait until the queue is short again; never raises for a network failure."""

    @property
    def over(self) -> bool:
        """Can nothing that is written arrive any more, since the connection was reset or closed?"""

    def end(self) -> None:
        """Send what is queued, then FIN, and go on reading (RFC 9293 3.6). Idempotent."""

    def close(self) -> None:
        """Send what is queued, then FIN; what arrives is discarded. Idempotent."""

    def abort(self) -> None:
        """Reset the connection. Idempotent."""


class TcpListener(Protocol):
    """A listening TCP socket."""

    local: Endpoint

    def close(self) -> None:
        """Idempotent; accepted streams live on."""


StreamHandler = Callable[[TcpStream], object]


class LocalEnd(TypedDict, total=False):
    """Where a socket is bound: to the address `host` (None, as if left out: any), to `port` (0: one that the
    system chooses), and to one `interface` by name. TCP sockets with a chosen port share it (SO_REUSEADDR and
    SO_REUSEPORT), so that one port can listen and connect at once."""

    host: str | None
    port: int
    interface: str | None


class UdpOptions(LocalEnd, total=False):
    """`group`: a multicast group to join, see `Network.open_udp`. `broadcast`: it may send to all on its
    link."""

    family: Required[Family]
    dont_fragment: bool
    group: str | None
    broadcast: bool


class ConnectOptions(LocalEnd, total=False):
    """How long an attempt to connect may take, and how it begins."""

    timeout_s: Required[float]
    opener: LowTtlSyn | None


class ListenOptions(LocalEnd, total=False):
    """`on_stream` is called from the event loop for each accepted connection."""

    family: Required[Family]
    on_stream: Required[StreamHandler]


class IcmpOptions(TypedDict, total=False):
    """`host`: as of `LocalEnd`. `identifier`: of the echo requests, where the system must not choose it. With
    `raw` it is a raw socket, which hears every error that reaches the machine."""

    family: Required[Family]
    host: str | None
    identifier: int | None
    raw: bool


class Network(Protocol):
    """A machine's view of its network."""

    substrate: Substrate

    def interfaces(self) -> tuple[Interface, ...]:
        """All interfaces with their addresses, loopback included."""

    def gateways(self) -> tuple[Gateway, ...]:
        """Default routes, the preferred one first."""

    def route(self, destination: str) -> tuple[str | None, str] | None:
        """(interface name or None if not known, source address) that the system would use; None: no route."""

    def way(self, destination: str, *, source: str | None = None, interface: str | None = None) -> Way | None:
        """The whole route that a packet would take, sent from an own address or out of an interface; None:
        there is none, or the system does not tell."""

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        """Addresses of a name in order of preference, or a text that says why there are none.

        An address in text form resolves to itself."""

    async def resolve_texts(self, name: str) -> tuple[str, ...] | str:
        """The texts (TXT records) of a name, whatever they are, or a text that says why there are none. Takes
        at most 5 s. They are what anybody may have written there."""

    async def advertised_nat64(self) -> tuple[Nat64Prefix, ...] | None:
        """The prefixes of a NAT64 that routers on this machine's links advertise (RFC 8781); within a second,
        or three where no router is heard. None: the system does not let us ask."""

    async def open_udp(self, **options: Unpack[UdpOptions]) -> MachineSocket:
        """A bound UDP socket; `local.host` is the address that the default route would use if `host` is None.

        What it sends to a multicast group leaves by the interface that has `host`. With `group` it joins
        that multicast group there, gets what is sent to the group, and shares its port with other programs
        that do the same.

        CannotRun: no such address or interface, the port is taken, or no privilege for it."""

    async def connect_tcp(
        self, remote: Endpoint, **options: Unpack[ConnectOptions]
    ) -> TcpStream | TcpFailure:
        """Connect; never takes longer than `timeout_s` seconds. CannotRun: the local end cannot be had, or
        the system cannot do what `opener` asks for (see `missing("ttl")`)."""

    async def listen_tcp(self, **options: Unpack[ListenOptions]) -> TcpListener:
        """Listen. CannotRun as in `open_udp`, or because another socket listens there."""

    async def open_icmp(self, **options: Unpack[IcmpOptions]) -> IcmpSocket:
        """A socket for echo requests, without privileges where the system has that (ping sockets). With an
        `identifier` of the caller's choice, or `raw`, it takes the privilege for raw sockets.

        CannotRun: no such address, no privilege (see `missing("icmp")`), or the identifier is in use."""

    def send_packet(self, packet: bytes) -> SendFailure | None:
        """Send one whole IP packet as it is, with any source address and any content; None when it left.

        CannotRun: no privilege (see `missing("raw-packets")`)."""

    def watch_arrivals(self, family: Family) -> ArrivalWatch:
        """See what arrives from now on. Only on a running event loop.

        CannotRun: no privilege (see `missing("arrivals")`)."""

    def ipv6_setup(self) -> Ipv6Setup:
        """This machine's IPv6 addresses and default routers, as its system has them."""

    def link_neighbours(self) -> tuple[LinkNeighbour, ...]:
        """The machines on its links that this machine has exchanged packets with, as far as its system
        tells. Sends nothing."""

    def runs_in(self) -> Environment | None:
        """What this system runs in, as far as it says, and that may stand between it and its network."""

    def is_public(self, address: str) -> bool:
        """Can everybody on the internet route to this address?"""

    def missing(self, capability: Capability) -> str | None:
        """None when the substrate can do it, else why not, as a sentence for the user."""
