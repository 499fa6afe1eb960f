"""ICMP of the operating system: ping sockets without privileges, raw ones with them, and crafted packets.

Linux gives ping sockets (icmp(7), ping_group_range) to the groups that the administrator names; they see the
replies to their own requests, and errors in the error queue. A raw socket sees all ICMP that arrives at the
machine, of which the own is picked out here.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
import sys
from typing import Final

from msgspec.structs import replace

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import ANY, Endpoint, Family
from nattools.net.base import (
    EchoHandler,
    EchoReply,
    IcmpError,
    QuotedError,
    QuoteHandler,
    SendFailure,
)
from nattools.net.system import linux
from nattools.net.system.oserrors import RAW_ADVICE, describe, send_failure
from nattools.net.system.sockets import ADDRESS_FAMILIES, Zones, default_source
from nattools.net.system.watchedsocket import BATCH, WatchedSocket
from nattools.protocols import icmp

logger = logging.getLogger(__name__)

_PROTOCOLS: Final[dict[Family, int]] = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_KINDS: Final = (socket.SOCK_DGRAM, socket.SOCK_RAW)
_IP_RECVTTL, _IP_TTL = 12, 2
_IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 51, 52
ADVICE: Final = (
    "Run as root (or with CAP_NET_RAW), or allow ping sockets:"
    ' sysctl -w net.ipv4.ping_group_range="0 2147483647".'
)


def open_socket(
    zones: Zones, family: Family, host: str | None, *, raw: bool = False
) -> tuple[socket.socket, str]:
    """A bound ICMP socket (a ping socket, else or with `raw` a raw one) and its address as
    `Network.open_icmp` promises it.

    Call it inside the namespace. CannotRun: no such address, or no privilege."""
    sock = _first_allowed(family, (socket.SOCK_RAW,) if raw else _KINDS)
    try:
        sock.setblocking(False)
        sock.bind(zones.address(Endpoint(host or ANY[family], 0)))
        level, option = (
            (socket.IPPROTO_IP, _IP_RECVTTL) if family == 4 else (socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT)
        )
        sock.setsockopt(level, option, 1)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise CannotRun(f"this machine has no address {host}") from error
        raise CannotRun(f"cannot open an ICMP socket: {describe(error)}") from error
    return sock, host or default_source(zones, family, None)


def missing(*, raw_packets: bool = False) -> str | None:
    """Why there can be no ICMP socket, or no crafted packet; None: there can. Call it in the namespace."""
    try:
        (_raw_socket(4) if raw_packets else _first_allowed(4)).close()
    except CannotRun as reason:
        return str(reason)
    return None


def _first_allowed(family: Family, kinds: tuple[socket.SocketKind, ...] = _KINDS) -> socket.socket:
    if not linux.AVAILABLE:
        raise CannotRun(f"nattools cannot use ICMP on {sys.platform}: it needs Linux")
    refusal: OSError | None = None
    for kind in kinds:
        try:
            return socket.socket(ADDRESS_FAMILIES[family], kind, _PROTOCOLS[family])
        except OSError as error:
            refusal = error
            logger.debug("no %s socket for ICMP: %s", kind.name, error)
    assert refusal is not None
    raise CannotRun(f"not permitted to open ICMP sockets: {describe(refusal)}", ADVICE) from refusal


def send_packet(packet: bytes) -> SendFailure | None:
    """Send a whole IP packet (raw(7), IPPROTO_RAW). Call it inside the namespace. CannotRun: no privilege."""
    family: Family = 6 if packet[:1] and packet[0] >> 4 == 6 else 4
    if len(packet) < (40 if family == 6 else 20):
        return "error"
    with _raw_socket(family) as sock:
        offset, size = (24, 16) if family == 6 else (16, 4)
        destination = socket.inet_ntop(ADDRESS_FAMILIES[family], packet[offset : offset + size])
        try:
            sock.sendto(packet, (destination, 0))
        except OSError as error:
            return send_failure(error)
    return None


def _raw_socket(family: Family) -> socket.socket:
    if not linux.AVAILABLE:
        raise CannotRun(f"nattools cannot send crafted packets on {sys.platform}: it needs Linux")
    try:
        return socket.socket(ADDRESS_FAMILIES[family], socket.SOCK_RAW, socket.IPPROTO_RAW)
    except OSError as error:
        raise CannotRun(f"not permitted to send crafted packets: {describe(error)}", RAW_ADVICE) from error


class HostIcmpSocket(WatchedSocket):
    """`nattools.net.base.IcmpSocket` over a ping socket or a raw one."""

    def __init__(self, sock: socket.socket, local: str, zones: Zones, identifier: int | None = None) -> None:
        super().__init__(sock)
        self.local = local
        self.on_reply: EchoHandler | None = None
        self.on_quote: QuoteHandler | None = None
        self._zones = zones
        self._family: Family = 6 if sock.family == socket.AF_INET6 else 4
        self._raw = sock.type == socket.SOCK_RAW
        # a ping socket's "port" is its identifier; a raw one draws its own
        drawn = int.from_bytes(os.urandom(2), "big") if self._raw else sock.getsockname()[1]
        self.identifier: int = drawn if identifier is None else identifier
        self._watch()

    def send_echo(
        self, to: str, sequence: int, payload: bytes = b"", *, ttl: int | None = None
    ) -> SendFailure | None:
        """See `IcmpSocket.send_echo`."""
        if self._closed:
            return "error"
        request = icmp.encode_echo(self._family, icmp.Echo(False, self.identifier, sequence, payload))
        ancillary = [] if ttl is None else linux.ttl_ancillary(self._sock.family, ttl)
        try:
            address = self._zones.address(Endpoint(to, 0))
            # an error about an earlier request would fail this one; it stays in the error queue all the same
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._sock.sendmsg([request], ancillary, 0, address)
        except OSError as error:
            return send_failure(error)
        return None

    def _readable(self) -> None:
        for number in BATCH:
            try:
                data, ancillary, _, address = self._sock.recvmsg(65536, 512)
            except OSError as error:
                if number == 0 or not isinstance(error, BlockingIOError):
                    self._receive_failed(error)
                return
            self._failures = 0
            self._received(data, ancillary, self._zones.endpoint(address).host)
            if self._closed:
                return

    def _received(self, data: bytes, ancillary: list[tuple[int, int, bytes]], source: str) -> None:
        if self._raw and self._family == 4:
            data = data[(data[0] & 15) * 4 :] if data else data
        try:
            message = icmp.decode(self._family, data)
        except ProtocolError as problem:
            logger.debug("ICMP from %s: %s", source, problem)
            return
        if isinstance(message, icmp.Echo):
            ours = message.reply and message.identifier == self.identifier
            if ours and self.on_reply is not None:
                self.on_reply(EchoReply(source, message.sequence, message.payload, _ttl(ancillary)))
        elif message is not None:
            self._error(message, source)
            if self.on_quote is not None and not self._closed:
                self.on_quote(QuotedError(message.kind, source, data[icmp.HEADER_SIZE :]))

    def _error(self, error: icmp.Error, offender: str) -> None:
        """An error that a raw socket sees: it may be about anything that this machine sent."""
        request = icmp.quoted_echo(error.about)
        if request is None or request.identifier != self.identifier:
            return
        told = IcmpError(
            kind=error.kind,
            icmp_type=error.icmp_type,
            icmp_code=error.icmp_code,
            offender=offender,
            destination=Endpoint(error.about.destination, 0),
            quoted=request.payload,
            mtu=error.mtu,
            sequence=request.sequence,
        )
        super()._deliver([told])

    def _deliver(self, errors: list[IcmpError]) -> None:
        super()._deliver([_about_request(error) for error in errors])


def _about_request(error: IcmpError) -> IcmpError:
    """The kernel quotes from the ICMP header on."""
    quoted = error.quoted
    sequence = int.from_bytes(quoted[6:8], "big") if len(quoted) >= 8 else None
    return replace(error, quoted=quoted[8:], sequence=sequence)


def _ttl(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, value in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, _IP_TTL), (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT)):
            return int(struct.unpack("=i", value[:4])[0])
    return None
