"""A trace as a packet capture in pcapng (draft-ietf-opsawg-pcapng), for Wireshark and tshark.

Addresses, ports, payloads and times are what was measured. The rest of the headers is rebuilt, as a program
without privileges does not see it: TTLs of what was received, TCP's sequence numbers and where its segments
began and ended. The capture says so in its own comment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG
from struct import pack

import msgspec
from msgspec.structs import replace

from nattools import __version__
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import IcmpError
from nattools.net.trace import Trace, TraceEvent
from nattools.protocols.icmp import ECHO_REPLY, ECHO_REQUEST
from nattools.protocols.ip import build
from nattools.protocols.packet import ACK, FIN, PSH, RST, SYN, Packet

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE = 1
_NAMES = 4
_PACKET = 6
_LINKTYPE_RAW = 101  # the packet begins with its IPv4 or IPv6 header
_INBOUND, _OUTBOUND = 1, 2
_SEGMENT = 1400  # bytes of TCP payload a packet

_COMMENT = (
    "Addresses, ports, payloads and times are as nattools measured them. Other header fields are rebuilt:"
    " TTLs of received packets, TCP sequence numbers and segment boundaries."
)


def write_pcapng(path: str | Path, trace: Trace, started: datetime) -> int:
    """Write a trace to a file and return the number of packets. `started` is the wall clock's time, with its
    zone, at `trace.began_s`. CannotRun: the file cannot be written."""
    count = 0
    try:
        with open(path, "wb") as file:
            file.write(_section())
            file.write(_names(trace.names))
            for block in packets(trace, started):
                file.write(block)
                count += 1
    except OSError as error:
        with suppress(OSError):
            if S_ISREG(Path(path).lstat().st_mode):
                Path(path).unlink()  # a part of it misleads
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error
    return count


def packets(trace: Trace, started: datetime) -> Iterator[bytes]:
    """One Enhanced Packet Block a packet, in the order of time."""
    epoch_ns = round(started.timestamp() * 1e6) * 1000
    connections: dict[int, _Connection] = {}
    for event in sorted(trace.events, key=attrgetter("at_s")):
        at_ns = epoch_ns + round((event.at_s - trace.began_s) * 1e9)
        for outgoing, packet in _rebuild(event, connections):
            yield _packet_block(build(packet), at_ns, outgoing, event.note)
        if event.kind == "packet" and not event.note:
            yield _packet_block(event.data, at_ns, True, "")


def _rebuild(event: TraceEvent, connections: dict[int, _Connection]) -> Iterator[tuple[bool, Packet]]:
    if event.kind in ("datagram", "echo"):
        if not event.note:  # with a note it never left
            yield event.outgoing, _datagram(event) if event.kind == "datagram" else _echo(event)
    elif event.kind == "icmp":
        yield False, _icmp(event)
    elif event.kind != "packet":
        fresh = _Connection(event.local, event.remote, *([event.connection << 20 & 0xFFFFFFFF] * 2))
        yield from connections.setdefault(event.connection, fresh).packets(event)


def _plain(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host.partition("%")[0], endpoint.port


def _datagram(event: TraceEvent) -> Packet:
    ends = (event.local, event.remote) if event.outgoing else (event.remote, event.local)
    ttl = 64 if event.ttl is None else event.ttl
    return Packet("udp", *_plain(ends[0]), *_plain(ends[1]), payload=event.data, ttl=ttl)


def _echo(event: TraceEvent) -> Packet:
    (own, identifier), (remote, _) = _plain(event.local), _plain(event.remote)
    ends = (own, identifier, remote, identifier) if event.outgoing else (remote, identifier, own, identifier)
    family: Family = 6 if ":" in own else 4
    return Packet(
        "icmp",
        *ends,
        payload=event.data,
        ttl=64 if event.ttl is None else event.ttl,
        icmp_type=(ECHO_REQUEST if event.outgoing else ECHO_REPLY)[family],
        icmp_rest=event.sequence or 0,
    )


def _icmp(event: TraceEvent) -> Packet:
    error = event.error
    assert error is not None
    local = _plain(event.local)
    offender = _plain(Endpoint(error.offender or event.remote.host, 0))[0]
    return Packet(
        "icmp",
        offender,
        0,
        local[0],
        0,
        icmp_type=error.icmp_type,
        icmp_code=error.icmp_code,
        icmp_rest=error.mtu or 0,
        about=_quoted(event, error),
    )


def _quoted(event: TraceEvent, error: IcmpError) -> Packet:
    if error.sequence is not None:
        return _echo(replace(event, outgoing=True, data=error.quoted, ttl=1, sequence=error.sequence))
    return Packet("udp", *_plain(event.local), *_plain(event.remote), payload=error.quoted, ttl=1)


class _Connection(msgspec.Struct):
    """A TCP connection as it is rebuilt: the next sequence number of each side. Each connection begins
    at a number of its own, or a reader would take two between the same ports for one."""

    local: Endpoint
    remote: Endpoint
    sent: int
    received: int

    def packets(self, event: TraceEvent) -> Iterator[tuple[bool, Packet]]:
        match event.kind:
            case "connect":
                yield self._segment(True, SYN)
            case "established":
                yield from self._handshake(event.outgoing)
            case "data":
                for start in range(0, len(event.data), _SEGMENT):
                    yield self._segment(event.outgoing, PSH | ACK, event.data[start : start + _SEGMENT])
            case "end":
                yield self._segment(event.outgoing, FIN | ACK)
            case _:
                yield self._segment(event.outgoing, RST | ACK)

    def _handshake(self, opened_here: bool) -> Iterator[tuple[bool, Packet]]:
        if not opened_here:  # what was sent when the connection was opened from here is an event of its own
            yield self._segment(False, SYN)
        yield self._segment(not opened_here, SYN | ACK)
        yield self._segment(opened_here, ACK)

    def _segment(self, outgoing: bool, flags: int, payload: bytes = b"") -> tuple[bool, Packet]:
        seq, ack = (self.sent, self.received) if outgoing else (self.received, self.sent)
        source, destination = (self.local, self.remote) if outgoing else (self.remote, self.local)
        length = len(payload) + bool(flags & (SYN | FIN))
        if outgoing:
            self.sent = (self.sent + length) & 0xFFFFFFFF
        else:
            self.received = (self.received + length) & 0xFFFFFFFF
        return outgoing, Packet(
            "tcp",
            *_plain(source),
            *_plain(destination),
            payload=payload,
            flags=flags,
            seq=seq,
            ack=ack if flags & ACK else 0,
        )


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return pack("<HH", code, len(value)) + _padded(value)


_END_OF_OPTIONS = bytes(4)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return pack("<II", kind, length) + body + pack("<I", length)


def _section() -> bytes:
    options = _option(1, _COMMENT.encode()) + _option(4, f"nattools {__version__}".encode())
    header = pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options + _END_OF_OPTIONS
    nanoseconds = _option(9, bytes([9]))  # if_tsresol
    interface = pack("<HHI", _LINKTYPE_RAW, 0, 0) + _option(2, b"nattools") + nanoseconds + _END_OF_OPTIONS
    return _block(_SECTION_HEADER, header) + _block(_INTERFACE, interface)


def _names(names: dict[str, tuple[str, ...]]) -> bytes:
    """A Name Resolution Block, so that the capture is shown with the names that were asked for."""
    import socket

    records = b""
    for name, addresses in names.items():
        for address in addresses:
            plain = address.partition("%")[0]
            six = ":" in plain
            number = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, plain)
            records += _option(2 if six else 1, number + name.encode() + b"\0")
    return _block(_NAMES, records + _END_OF_OPTIONS) if records else b""


def _packet_block(packet: bytes, at_ns: int, outgoing: bool, note: str) -> bytes:
    direction = "sent" if outgoing else "received"
    options = (
        _option(1, (f"{direction}: {note}" if note else direction).encode())
        + _option(2, pack("<I", _OUTBOUND if outgoing else _INBOUND))
        + _END_OF_OPTIONS
    )
    size = len(packet)
    header = pack("<IIIII", 0, at_ns >> 32, at_ns & 0xFFFFFFFF, size, size)
    return _block(_PACKET, header + _padded(packet) + options)
