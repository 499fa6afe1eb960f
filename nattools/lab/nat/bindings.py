"""The state of a NAT: bindings, the filter entries of each, the flows through those, and port forwardings.

A binding is RFC 4787's mapping: an inside address and port and the outside port that stands for it. A filter
entry says from where packets may come in through it (RFC 4787, section 5): from everywhere, from an address,
or from an address and port. A flow is one inside endpoint and one remote endpoint; TCP's state is per flow.
"""

from __future__ import annotations

from math import inf

from nattools.model.endpoint import Endpoint
from nattools.protocols.packet import ACK, FIN, RST, SYN, Packet

FlowKey = tuple[str, str, int, str, int]
"""Protocol, inside address and port, remote address and port (0 for ICMP queries)."""
Key = tuple[str | int, ...]

TCP_TRANSITORY_S = 240.0
"""RFC 5382 REQ-5: partially open and closing connections, at least 4 minutes."""
TCP_RESET_S = 10.0
"""What remains of an established connection after a RST, as in Linux: late segments still pass."""
ICMP_QUERY_S = 60.0
"""RFC 5508 REQ-2."""


class NatBinding:
    """`key` is what it is found by from inside: as much of the flow as the mapping behaviour says."""

    __slots__ = (
        "entries",
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
        self.entries: dict[Key, FilterEntry] = {}


class FilterEntry:
    """`key` is what a packet from outside must match: as much of it as the filtering behaviour says."""

    __slots__ = ("binding", "expires", "flows", "key")

    def __init__(self, key: Key, binding: NatBinding) -> None:
        self.key = key
        self.binding = binding
        self.expires = 0.0
        self.flows: dict[FlowKey, NatFlow] = {}

    def prolong(self, expires: float) -> None:
        """Keep the entry and its binding at least until then."""
        if expires > self.expires:
            self.expires = expires
            if expires > self.binding.expires:
                self.binding.expires = expires

    def settle(self, now: float) -> None:
        """A flow ends sooner than before: keep the entry only as long as its longest flow needs."""
        self.expires = max((flow.expires for flow in self.flows.values()), default=now)
        needed = max(entry.expires for entry in self.binding.entries.values())
        self.binding.expires = max(needed, now + TCP_RESET_S)


_SYN_OUT, _SYN_IN, _ESTABLISHED, _FIN_OUT, _FIN_IN, _CLOSED = 1, 2, 4, 8, 16, 32
_BOTH_SYN = _SYN_OUT | _SYN_IN
_BOTH_FIN = _FIN_OUT | _FIN_IN
_ENDING = FIN | RST


class NatFlow:
    """`seen` holds what of a TCP connection has passed; RFC 5382 REQ-2 demands that the two SYNs of a
    simultaneous open may come in any order."""

    __slots__ = ("entry", "expires", "key", "seen")

    def __init__(self, key: FlowKey, entry: FilterEntry) -> None:
        self.key = key
        self.entry = entry
        self.expires = 0.0
        self.seen = 0
        entry.flows[key] = self

    @property
    def established(self) -> bool:
        """Both sides' SYNs and an acknowledgement have passed, and nothing closed it since."""
        return bool(self.seen & _ESTABLISHED) and not self.closed

    @property
    def closed(self) -> bool:
        """A RST or the FINs of both sides have passed: the next SYN begins a new connection."""
        return bool(self.seen & _CLOSED) or self.seen & _BOTH_FIN == _BOTH_FIN

    def track(self, flags: int, outbound: bool, now: float, established_s: float) -> None:
        """Track a TCP segment that passes, and set how long the flow lasts from now."""
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
        expires, entry = now + lasting, self.entry
        if expires < self.expires:
            self._last(expires, now)
            return
        self.expires = expires
        if expires > entry.expires:
            entry.prolong(expires)

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
        entry, shorter = self.entry, expires < self.expires
        self.expires = expires
        if shorter:
            entry.settle(now)
        elif expires > entry.expires:
            entry.prolong(expires)


class EarlyConntrack:
    """Flows that packets from outside began at the router's own INPUT. Linux keeps an entry for each, and a
    later flow from inside to the same remote gets another port."""

    def __init__(self) -> None:
        self._expires: dict[Key, float] = {}

    def note(self, packet: Packet, expires: float) -> None:
        """The router itself took a packet from outside."""
        key = (packet.protocol, packet.destination_port, packet.source, packet.source_port)
        self._expires[key] = expires

    def holds(self, key: FlowKey, port: int, now: float) -> bool:
        """Is the outside port taken towards this flow's remote?"""
        return bool(self._expires) and self._expires.get((key[0], port, key[3], key[4]), now) > now

    def sweep(self, now: float) -> None:
        """Drop what has expired."""
        self._expires = {key: expires for key, expires in self._expires.items() if expires > now}

    def clear(self) -> None:
        """Forget everything."""
        self._expires.clear()


class NatTables:
    """All that a NAT remembers: bindings by what they are found by from inside, by outside port, filter
    entries, and flows."""

    def __init__(self) -> None:
        self.bindings: dict[Key, NatBinding] = {}
        self.ports: dict[Key, NatBinding] = {}
        self.entries: dict[Key, FilterEntry] = {}
        self.flows: dict[FlowKey, NatFlow] = {}

    def live(self, key: Key, now: float) -> NatBinding | None:
        """The binding with this key; one that has expired is removed."""
        binding = self.bindings.get(key)
        if binding is None or binding.expires > now:
            return binding
        self.remove(binding)
        return None

    def sweep(self, now: float) -> None:
        """Remove what has expired."""
        for binding in [each for each in self.bindings.values() if each.expires <= now]:
            self.remove(binding)
        for entry in [each for each in self.entries.values() if each.expires <= now]:
            self._close(entry)

    def remove(self, binding: NatBinding) -> None:
        """Remove a binding with its filter entries and flows."""
        for entry in list(binding.entries.values()):
            self._close(entry)
        _forget(self.bindings, binding.key, binding)
        _forget(self.ports, (binding.protocol, binding.outside, binding.outside_port), binding)

    def clear(self) -> None:
        """Forget everything. What is forgotten holds nothing: bindings, entries and flows know each other."""
        for entry in self.entries.values():
            entry.flows.clear()
            entry.binding.entries.clear()
        for table in (self.bindings, self.ports, self.entries, self.flows):
            table.clear()

    def _close(self, entry: FilterEntry) -> None:
        for flow in entry.flows.values():
            if self.flows.get(flow.key) is flow:
                del self.flows[flow.key]
        entry.flows.clear()
        entry.binding.entries.pop(entry.key, None)
        if self.entries.get(entry.key) is entry:
            del self.entries[entry.key]


def _forget(table: dict[Key, NatBinding], key: Key, binding: NatBinding) -> None:
    if table.get(key) is binding:
        del table[key]


ForwardKey = tuple[str, str, int]
"""Protocol, and the destination address and port that packets from outside have."""


class Forwards:
    """Where packets from outside go although nobody inside has sent anything before. `everything`: the host
    that gets what would go nowhere, at the port that it came to."""

    def __init__(self) -> None:
        self.targets: dict[ForwardKey, tuple[Endpoint, float]] = {}
        self.everything: str | None = None

    def open(self, protocol: str, outside: Endpoint, inside: Endpoint, expires: float = inf) -> None:
        """Forward until `expires`, on the engine's clock. A pinhole's `outside` and `inside` are the same."""
        self.targets[protocol, outside.host, outside.port] = (inside, expires)

    def close(self, protocol: str, outside: Endpoint) -> None:
        """Forward no new flows. Idempotent."""
        self.targets.pop((protocol, outside.host, outside.port), None)

    def clear(self) -> None:
        """Forget all of them, as a router does that restarts."""
        self.targets.clear()

    def target(self, key: ForwardKey, now: float) -> Endpoint | None:
        """Where it leads; None: nowhere."""
        found = self.targets.get(key)
        return found[0] if found is not None and found[1] > now else None
