"""What a firewall answers to packets that it does not let in, if it answers at all."""

from __future__ import annotations

from typing import Literal

from nattools.protocols.packet import RST, Packet, answer

Refusing = Literal["drop", "reject", "prohibit"]

_PROHIBITED = ((3, 13), (1, 1))
_PORT_UNREACHABLE = ((3, 3), (1, 4))


def refusal(packet: Packet, how: Refusing, own: str) -> Packet | None:
    """The answer of the firewall at the address `own`; None: there is none. "reject" resets connections and
    says of the rest that the port is unreachable, "prohibit" says that it is administratively prohibited (RFC
    1812 5.2.7.1, RFC 4443 3.1). Errors and resets get no answer (RFC 1122 3.2.2)."""
    if how == "drop" or packet.about is not None or (packet.protocol == "tcp" and packet.flags & RST):
        return None
    if how == "reject" and packet.protocol == "tcp":
        return answer(packet)
    error = Packet("icmp", own, 0, packet.source, 0, about=packet)
    six = ":" in packet.source
    error.icmp_type, error.icmp_code = (_PROHIBITED if how == "prohibit" else _PORT_UNREACHABLE)[six]
    return error
