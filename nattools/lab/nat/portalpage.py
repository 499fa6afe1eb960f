"""A captive portal: nothing gets out, or no TCP, and whatever is asked over TCP, the portal itself answers,
in the name of who was asked."""

from __future__ import annotations

from typing import Any, Final

from nattools.errors import ProtocolError
from nattools.lab.nat.engine import Emitted, NatEngine
from nattools.lab.scenario import FirewallSpec, NatSpec
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.packet import ACK, FIN, PSH, RST, SYN, Packet

LOGIN: Final = "http://login.portal.test/"
_FIRST = 4096
_GET = f"HTTP/1.1 302 Found\r\nLocation: {LOGIN}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
_OTHER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PortalEngine(NatEngine):
    """`NatEngine`'s interface. It keeps nothing: each segment says what is to be answered."""

    def leave(self, packet: Packet, now: float) -> Packet | None:
        """Nothing does, or all but TCP."""
        return super().leave(packet, now) if self._passes(packet) else None

    def from_inside(self, packet: Packet, now: float) -> Emitted:
        """The answers, inside."""
        if packet.protocol == "udp" and isinstance(self.spec, NatSpec) and self.spec.portal == "stun":
            seen = _stun_answer(packet)
            return [] if seen is None else [("inside", seen)]
        if self._passes(packet):
            return super().from_inside(packet, now)
        return [("inside", _answer(packet))] if packet.protocol == "tcp" and _asks(packet) else []

    def _passes(self, packet: Packet) -> bool:
        lets_out = isinstance(self.spec, NatSpec) and self.spec.portal == "tcp"
        return lets_out and packet.protocol != "tcp"


def _stun_answer(packet: Packet) -> Packet | None:
    """Where it sees the client, which is on its own network: at the client's own address."""
    try:
        asked = stun.decode(packet.payload)
    except ProtocolError:
        return None
    if (asked.method, asked.kind) != (stun.BINDING, "request"):
        return None
    reply = Packet("udp", packet.destination, packet.destination_port, packet.source, packet.source_port)
    reply.payload = stun.binding_success(asked.transaction_id, Endpoint(packet.source, packet.source_port))
    return reply


def _asks(packet: Packet) -> bool:
    """Is there anything to say to this segment? Not to a mere acknowledgement."""
    return not packet.flags & RST and bool(packet.payload or packet.flags & (SYN | FIN))


def _answer(packet: Packet) -> Packet:
    taken = len(packet.payload) + bool(packet.flags & SYN) + bool(packet.flags & FIN)
    reply = Packet("tcp", packet.destination, packet.destination_port, packet.source, packet.source_port)
    reply.ack = (packet.seq + taken) & 0xFFFFFFFF
    if packet.flags & SYN:
        reply.seq, reply.flags = _FIRST, SYN | ACK
    elif packet.payload:
        reply.seq, reply.flags = packet.ack, ACK | PSH | FIN
        reply.payload = _GET if packet.payload.startswith(b"GET ") else _OTHER
    else:
        reply.seq, reply.flags = packet.ack, ACK
    return reply


def engine_of(spec: NatSpec | FirewallSpec, **more: Any) -> NatEngine:
    """The engine that does what the spec says; `more` is what `NatEngine` takes."""
    portal = isinstance(spec, NatSpec) and spec.portal is not None
    return PortalEngine(spec, **more) if portal else NatEngine(spec, **more)
