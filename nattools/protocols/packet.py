"""An IP packet as the NAT engine and the simulator see it."""

from __future__ import annotations

from typing import Literal

import msgspec

Protocol = Literal["udp", "tcp", "icmp"]

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10


class Packet(msgspec.Struct, gc=False):
    """Addresses in canonical text form. For "icmp", `source_port` and `destination_port` are both the
    identifier of a query (echo), or 0 for an error; an error carries the packet it is about in `about`.

    TCP: `flags`, `seq`, `ack`, `window` and raw `options`. `payload` is the transport payload.
    """

    protocol: Protocol
    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes = b""
    ttl: int = 64
    dont_fragment: bool = False
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 65535
    options: bytes = b""
    icmp_type: int = 0
    icmp_code: int = 0
    icmp_rest: int = 0
    about: Packet | None = None

    @property
    def size(self) -> int:
        """Length in bytes as an IP packet (without IP options)."""
        header = 40 if ":" in self.source else 20
        if self.about is not None:
            return header + 8 + min(self.about.size, 520)
        transport = 8 if self.protocol != "tcp" else 20 + len(self.options)
        return header + transport + len(self.payload)
