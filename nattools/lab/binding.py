"""What a NAT remembers: bindings, the doors that its filter leaves open in them, and the flows through those.

A binding is RFC 4787's mapping: an inside address and port and the outside port that stands for it. A door
is what the filter checks (RFC 4787, section 5): the binding is open to everybody, to an address, or to an
address and port. A flow is one inside endpoint and one remote endpoint; TCP's state is per flow.
"""

from __future__ import annotations

from nattools.lab.packet import ACK, FIN, RST, SYN

FlowKey = tuple[str, str, int, str, int]
"""Protocol, inside address and port, remote address and port (0 for ICMP queries)."""
Key = tuple[str | int, ...]

TCP_TRANSITORY_S = 240.0
"""RFC 5382 REQ-5: partially open and closing connections, at least 4 minutes."""
TCP_RESET_S = 10.0
"""What remains of an established connection after a RST, as in Linux: late segments still pass."""
ICMP_QUERY_S = 60.0
"""RFC 5508 REQ-2."""


class Binding:
    """`key` is what it is found by from inside: as much of the flow as the mapping behaviour says."""

    __slots__ = (
        "doors",
        "expires",
        "inside",
        "inside_port",
        "key",
        "outside",
        "outside_port",
        "protocol",
    )

    def __init__(self, key: Key, flow: FlowKey, outside: str, outside_port: int) -> None:
        self.key = key
        self.protocol, self.inside, self.inside_port = flow[:3]
        self.outside = outside
        self.outside_port = outside_port
        self.expires = 0.0
        self.doors: dict[Key, Door] = {}


class Door:
    """`key` is what a packet from outside must match: as much of it as the filtering behaviour says."""

    __slots__ = ("binding", "expires", "flows", "key")

    def __init__(self, key: Key, binding: Binding) -> None:
        self.key = key
        self.binding = binding
        self.expires = 0.0
        self.flows: dict[FlowKey, Flow] = {}

    def prolong(self, expires: float) -> None:
        """Keep door and binding at least until then."""
        if expires > self.expires:
            self.expires = expires
            if expires > self.binding.expires:
                self.binding.expires = expires

    def settle(self, now: float) -> None:
        """A flow's time was cut short: last only as long as the longest flow needs."""
        self.expires = max((flow.expires for flow in self.flows.values()), default=now)
        needed = max(door.expires for door in self.binding.doors.values())
        self.binding.expires = max(needed, now + TCP_RESET_S)


_SYN_OUT, _SYN_IN, _ESTABLISHED, _FIN_OUT, _FIN_IN, _CLOSED = 1, 2, 4, 8, 16, 32
_BOTH_SYN = _SYN_OUT | _SYN_IN
_BOTH_FIN = _FIN_OUT | _FIN_IN
_ENDING = FIN | RST


class Flow:
    """`seen` holds what of a TCP connection has passed; RFC 5382 REQ-2 demands that the two SYNs of a
    simultaneous open may come in any order."""

    __slots__ = ("door", "expires", "key", "seen")

    def __init__(self, key: FlowKey, door: Door) -> None:
        self.key = key
        self.door = door
        self.expires = 0.0
        self.seen = 0
        door.flows[key] = self

    @property
    def established(self) -> bool:
        """Both sides' SYNs and an acknowledgement have passed, and nothing closed it since."""
        return bool(self.seen & _ESTABLISHED) and not self.closed

    @property
    def closed(self) -> bool:
        """A RST or the FINs of both sides have passed: the next SYN begins a new connection."""
        return bool(self.seen & _CLOSED) or self.seen & _BOTH_FIN == _BOTH_FIN

    def track(self, flags: int, outbound: bool, now: float, established_s: float) -> None:
        """Take note of a TCP segment that passes, and set how long the flow lasts from now."""
        seen = self.seen
        if flags & SYN:
            if seen and not flags & ACK and self.closed:
                seen = 0
            seen |= _SYN_OUT if outbound else _SYN_IN
        elif flags & ACK and seen & _BOTH_SYN == _BOTH_SYN:
            seen |= _ESTABLISHED
        if seen & _CLOSED:
            return
        if flags & _ENDING:
            self._end(seen, flags, outbound, now, established_s)
            return
        self.seen = seen
        lasting = established_s if seen & _ESTABLISHED and seen & _BOTH_FIN != _BOTH_FIN else TCP_TRANSITORY_S
        self._last(now + lasting, now)

    def _end(self, seen: int, flags: int, outbound: bool, now: float, established_s: float) -> None:
        """A refused attempt leaves nothing behind, a broken connection lingers: both as Linux has it."""
        if flags & FIN:
            seen |= _FIN_OUT if outbound else _FIN_IN
        lasting = established_s if seen & _ESTABLISHED and seen & _BOTH_FIN != _BOTH_FIN else TCP_TRANSITORY_S
        if flags & RST:
            lasting = TCP_RESET_S if seen & _ESTABLISHED else 0.0
            seen |= _CLOSED
        self.seen = seen
        self._last(now + lasting, now)

    def _last(self, expires: float, now: float) -> None:
        door, shorter = self.door, expires < self.expires
        self.expires = expires
        if shorter:
            door.settle(now)
        elif expires > door.expires:
            door.prolong(expires)
