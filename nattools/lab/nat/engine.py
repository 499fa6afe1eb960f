"""The NAT engine: packets in, packets out, `now` given. The simulator routes through it, and so does the
lab's TUN router wherever the kernel's own NAT lacks a behaviour.

RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP) name the axes. Where `allocation` is left out the engine
does as Linux does: it keeps the source port until two flows would collide, shares one outside port among
inside hosts that talk to different remote endpoints (against REQ-3 of RFC 4787, but that is what most home
routers do), and lets an early packet that its own INPUT accepted take a port away from a later flow.
"""

from __future__ import annotations

import random
from typing import Literal

from msgspec.structs import replace

from nattools.lab.nat.bindings import (
    ICMP_QUERY_S,
    EarlyConntrack,
    FilterEntry,
    FlowKey,
    Forwards,
    Key,
    NatBinding,
    NatFlow,
    NatTables,
)
from nattools.lab.nat.icmperrors import IcmpErrors
from nattools.lab.nat.pool import AddressPool, outside_addresses
from nattools.lab.nat.portallocation import PortAllocator, destination, is_kernel_like
from nattools.lab.scenario import FirewallSpec, NatSpec
from nattools.model.endpoint import Endpoint
from nattools.protocols.packet import ACK, ECHO_REPLIES, ECHO_REQUESTS, RST, SYN, Packet, answer, readdressed

Side = Literal["inside", "outside"]
Emitted = list[tuple[Side, Packet]]

TCP_ESTABLISHED_S = 7440.0
"""RFC 5382 REQ-5: at least 2 hours and 4 minutes."""
_SWEEP_EVERY = 512
_DEPTH = {"endpoint-independent": 0, "address-dependent": 1, "address-and-port-dependent": 2}


class NatEngine:
    """A router's NAT, or its firewall when the spec is a FirewallSpec (no translation).

    Hand it every packet that the router forwards, after the TTL was decremented (expired ones never come
    here), and every packet for the router's own outside address. It returns the packets to send and the side
    on which they leave; the packet handed in is never changed. No answer means dropped.

    `inside` is the inside network in prefix notation, `now` in seconds on any clock that never goes back.
    """

    def __init__(
        self,
        spec: NatSpec | FirewallSpec,
        *,
        inside: str,
        outside_address: str,
        inside_address: str,
        rng: random.Random,
    ) -> None:
        self.spec = spec
        self.inside = inside
        self.outside_addresses = outside_addresses(spec, outside_address)
        self.inside_address = inside_address
        self.forwards = Forwards()
        nat = spec if isinstance(spec, NatSpec) else None
        self.translates = nat is not None
        self._mapping_depth = _DEPTH[nat.mapping] if nat else 0
        self._filter_depth = _DEPTH[spec.filtering]
        self._allocator = PortAllocator(nat, rng) if nat else None
        rewrites = nat is not None and nat.echo_ids == "rewritten"
        self._ids = PortAllocator(replace(nat, allocation="random"), rng) if nat and rewrites else None
        several = nat is not None and len(self.outside_addresses) > 1
        self._pool = AddressPool(nat, self.outside_addresses, rng) if nat is not None and several else None
        self._kernel = nat is not None and not several and is_kernel_like(nat)
        self._overloads = self._kernel and self._filter_depth == 2
        self._hairpinning = nat is not None and nat.hairpinning
        self._input_open = nat is not None and nat.input == "open"
        self._limit = nat.session_limit if nat else None
        self._udp_s = spec.lifetime_s
        self._tcp_s = nat.tcp_lifetime_s if nat else TCP_ESTABLISHED_S
        self._inbound_refreshes = nat is None or nat.refreshed_by == "both"
        self._udp_blocked = spec.udp == "blocked"
        self._allowed = None if spec.open_ports is None else frozenset(map(destination, spec.open_ports))
        self._restricted = self._udp_blocked or self._allowed is not None
        tables = self._tables = NatTables()
        self._bindings, self._ports = tables.bindings, tables.ports
        self._entries, self._flows = tables.entries, tables.flows
        self._errors = IcmpErrors(
            spec, tables, self.outside_addresses[0], self.translates, self._mapping_depth, self._filter_depth
        )
        self._early = EarlyConntrack()
        self._created = 0

    def from_inside(self, packet: Packet, now: float) -> Emitted:
        """A packet that came in from the inside network."""
        if packet.destination in self.outside_addresses:
            return self._hairpin(packet, now) if self._hairpinning else _on("inside", answer(packet))
        leaving = self.leave(packet, now)
        return [] if leaving is None else [("outside", leaving)]

    def from_outside(self, packet: Packet, now: float) -> Emitted:
        """A packet that came in from the outside network."""
        entering = self.enter(packet, now)
        if entering is not None:
            return [("inside", entering)]
        return self.unsolicited(packet, now)

    def bindings(self, now: float) -> list[NatBinding]:
        """The live bindings."""
        return [binding for binding in self._bindings.values() if binding.expires > now]

    def sessions(self, now: float) -> list[NatFlow]:
        """The flows that would still pass."""
        return [flow for flow in self._flows.values() if flow.entry.expires > now]

    def forget(self) -> None:
        """Lose all bindings and flows, as a router does that restarts."""
        self._tables.clear()
        self._early.clear()

    def next_address(self) -> None:
        """Have the next of the outside addresses, and lose all that was known of the one before."""
        if self._pool is not None:
            self._pool.next()
        self.forget()

    def follow(self, before: NatEngine) -> None:
        """Take the place of another one: its forwardings stay, and its outside address."""
        self.forwards = before.forwards
        if self._pool is not None and before._pool is not None:
            self._pool.turn = before._pool.turn

    # --- out

    def leave(self, packet: Packet, now: float) -> Packet | None:
        """A packet from inside as it goes on outside; None: it does not. Not for the router's own address."""
        protocol = packet.protocol
        if protocol == "icmp":
            return self._icmp_leave(packet, now)
        key = (protocol, packet.source, packet.source_port, packet.destination, packet.destination_port)
        flow = self._flows.get(key)
        if flow is None or flow.entry.expires <= now:
            if protocol == "tcp" and packet.flags & (SYN | ACK | RST) != SYN:
                return None
            flow = self._open(key, now)
            if flow is None:
                return None
        entry = flow.entry
        if protocol == "tcp":
            flow.track(packet.flags, True, now, self._tcp_s)
        else:
            entry.prolong(now + self._udp_s)
        if not self.translates:
            return packet
        binding = entry.binding
        return readdressed(
            packet, binding.outside, binding.outside_port, packet.destination, packet.destination_port
        )

    def _open(self, key: FlowKey, now: float) -> NatFlow | None:
        """A new flow from inside, by the binding it already has or a new one. None: it is blocked."""
        if self._restricted and not self._lets_out(key):
            return None
        binding = self._binding_for(key, now)
        if binding is None:
            return None
        whole: Key = (key[0], binding.outside, binding.outside_port, key[3], key[4])
        entry_key = whole[: 3 + self._filter_depth]
        entry = self._entries.get(entry_key)
        if entry is None or entry.binding is not binding:
            entry = self._entries[entry_key] = binding.entries[entry_key] = FilterEntry(entry_key, binding)
        flow = self._flows[key] = NatFlow(key, entry)
        return flow

    def _lets_out(self, key: FlowKey) -> bool:
        if self._udp_blocked and key[0] == "udp":
            return False
        return self._allowed is None or key[0] == "icmp" or (key[0], key[4]) in self._allowed

    def _binding_for(self, key: FlowKey, now: float) -> NatBinding | None:
        """The binding that this flow uses, made if need be; None when the NAT has no room for it."""
        if self._kernel and key in self._bindings:
            moved = self._tables.live(key, now)
            if moved is not None:
                return moved
        mapping_key: Key = key[: 3 + self._mapping_depth]
        if self._pool is not None and self._pool.by_destination:
            mapping_key = (*mapping_key, self._pool.choose(key[1], key[3]))
        binding = self._tables.live(mapping_key, now) if mapping_key in self._bindings else None
        if self._ids is not None and key[0] == "icmp":
            return binding or self._bind(mapping_key, key, now)
        if binding is not None:
            taken = self._kernel and not self._passable(binding, key, now)
            return self._bind(key, key, now) if taken else binding
        if not self._kernel or self._allocator is None or not self._allocator.keeps(key[2]):
            return self._bind(mapping_key, key, now)
        if not self._overloads:
            return self._bind(key if self._early.holds(key, key[2], now) else mapping_key, key, now)
        # Linux gives another port to this flow alone if its own port is taken towards this remote
        free = self._free(key, self.outside_addresses[0], key[2], now)
        return self._bind(mapping_key, key, now, key[2]) if free else self._bind(key, key, now)

    def _passable(self, binding: NatBinding, key: FlowKey, now: float) -> bool:
        """Towards this remote, is the binding's port its own?"""
        if self._early.holds(key, binding.outside_port, now):
            return False
        if not self._overloads:
            return True
        entry = self._entries.get(
            self._entry_key(key[0], binding.outside, binding.outside_port, key[3], key[4])
        )
        return entry is None or entry.binding is binding or entry.expires <= now

    def _bind(
        self, binding_key: Key, flow: FlowKey, now: float, chosen: int | None = None
    ) -> NatBinding | None:
        """A new binding, with the outside port `chosen` if that is known to be free."""
        if not self._room(now):
            return None
        protocol, inside, port = flow[:3]
        outside = inside
        if self._allocator is None:
            chosen = port
        else:
            outside = self.outside_addresses[0]
            if self._pool is not None:
                outside = self._pool.choose(inside, flow[3])
            if chosen is None:
                allocator = self._ids if protocol == "icmp" and self._ids is not None else self._allocator
                chosen = allocator.choose(protocol, inside, port, lambda p: self._free(flow, outside, p, now))
            if chosen is None:
                return None
        binding = self._bindings[binding_key] = NatBinding(binding_key, flow, outside, chosen)
        if not self._overloads:
            previous = self._ports.get((protocol, outside, chosen))
            if previous is not None:
                self._tables.remove(previous)
            self._ports[(protocol, outside, chosen)] = binding
        return binding

    def _free(self, key: FlowKey, outside: str, port: int, now: float) -> bool:
        """May a new binding for this flow have the outside address and port?"""
        if self._early.holds(key, port, now):
            return False
        if self._overloads:
            entry = self._entries.get(self._entry_key(key[0], outside, port, key[3], key[4]))
            return entry is None or entry.expires <= now
        binding = self._ports.get((key[0], outside, port))
        return binding is None or binding.expires <= now

    def _room(self, now: float) -> bool:
        """Is there room for one more binding? Removes expired ones now and then."""
        self._created += 1
        full = self._limit is not None and len(self._bindings) >= self._limit
        if full or self._created % _SWEEP_EVERY == 0:
            self._tables.sweep(now)
            self._early.sweep(now)
        return self._limit is None or len(self._bindings) < self._limit

    # --- in

    def enter(self, packet: Packet, now: float) -> Packet | None:
        """The packet as it goes on inside, or None when no filter entry lets it in."""
        protocol = packet.protocol
        if protocol == "icmp":
            return self._icmp_enter(packet, now)
        if self.forwards.targets:
            target = self.forwards.target((protocol, packet.destination, packet.destination_port), now)
            if target is not None:
                self._forward(packet, target, now)
        outside, port = packet.destination, packet.destination_port
        # what `_entry_key` gives where it matters how soon, with the usual filter
        entry_key: Key = (protocol, outside, port, packet.source, packet.source_port)
        if self._filter_depth != 2:
            entry_key = self._entry_key(protocol, outside, port, packet.source, packet.source_port)
        entry = self._entries.get(entry_key)
        if entry is None or entry.expires <= now:
            rest = self.forwards.everything
            if rest is None:
                return None
            entry = self._forward(packet, Endpoint(rest, packet.destination_port), now)
            if entry is None:
                return None
        binding = entry.binding
        if protocol == "tcp":
            if not self._tcp_enters(packet, entry, now):
                return None
        elif self._inbound_refreshes:
            entry.prolong(now + self._udp_s)
        if not self.translates:
            return packet
        return readdressed(packet, packet.source, packet.source_port, binding.inside, binding.inside_port)

    def _forward(self, packet: Packet, target: Endpoint, now: float) -> FilterEntry | None:
        """Add a filter entry for this remote, as if the inside had sent first; None: it has."""
        protocol, outside, port = packet.protocol, packet.destination, packet.destination_port
        key = (protocol, target.host, target.port, packet.source, packet.source_port)
        flow = self._flows.get(key)
        if flow is not None and flow.entry.expires > now:
            return None
        binding = self._bindings[key] = NatBinding(key, key, outside, port)
        entry_key = self._entry_key(protocol, outside, port, packet.source, packet.source_port)
        entry = self._entries[entry_key] = binding.entries[entry_key] = FilterEntry(entry_key, binding)
        self._flows[key] = NatFlow(key, entry)
        entry.prolong(now + self._udp_s)
        return entry

    def _entry_key(self, protocol: str, outside: str, port: int, remote: str, remote_port: int) -> Key:
        depth = self._filter_depth
        if depth == 2:
            return (protocol, outside, port, remote, remote_port)
        return (protocol, outside, port, remote) if depth else (protocol, outside, port)

    def _tcp_enters(self, packet: Packet, entry: FilterEntry, now: float) -> bool:
        """RFC 5382, section 4.3: a filter weaker than address-and-port-dependent lets new connections in."""
        binding = entry.binding
        key = (binding.protocol, binding.inside, binding.inside_port, packet.source, packet.source_port)
        flow = self._flows.get(key)
        opening = packet.flags & (SYN | ACK | RST) == SYN
        if flow is None or (opening and flow.closed):
            if not opening or self._filter_depth == 2:
                return False
            flow = flow or NatFlow(key, entry)
            self._flows[key] = flow
        flow.track(packet.flags, False, now, self._tcp_s)
        return True

    def unsolicited(self, packet: Packet, now: float) -> Emitted:
        """A packet that `enter` does not let in: the router itself takes it if its INPUT is open. Linux
        remembers it for the lifetime of an unanswered UDP flow; a refused SYN leaves no entry behind, since
        the RST removes it again."""
        if not self._input_open or packet.destination not in self.outside_addresses:
            return []
        if packet.protocol == "udp" and self._kernel:
            self._early.note(packet, now + self._udp_s)
        return _on("outside", answer(packet))

    def _hairpin(self, packet: Packet, now: float) -> Emitted:
        """RFC 4787, section 6: out and in again, with the external source address (REQ-9). The filter treats
        it like any other packet from outside."""
        if packet.protocol == "icmp" and packet.about is None:
            return _on("inside", answer(packet))
        leaving = self.leave(packet, now)
        entering = None if leaving is None else self.enter(leaving, now)
        return [] if entering is None else [("inside", entering)]

    # --- ICMP (RFC 5508)

    def _icmp_leave(self, packet: Packet, now: float) -> Packet | None:
        if packet.about is not None:
            return self._errors.leaves(packet, packet.about, now)
        key = ("icmp", packet.source, packet.source_port, packet.destination, 0)
        flow = self._flows.get(key)
        if flow is None or flow.entry.expires <= now:
            flow = self._open(key, now) if packet.icmp_type in ECHO_REQUESTS else None
            if flow is None:
                return None
        flow.entry.prolong(now + ICMP_QUERY_S)
        if not self.translates:
            return packet
        binding = flow.entry.binding
        port = binding.outside_port
        return readdressed(packet, binding.outside, port, packet.destination, port)

    def _icmp_enter(self, packet: Packet, now: float) -> Packet | None:
        if packet.about is not None:
            return self._errors.enters(packet, packet.about, now)
        if packet.icmp_type not in ECHO_REPLIES:
            return None
        key = self._entry_key("icmp", packet.destination, packet.source_port, packet.source, 0)
        entry = self._entries.get(key)
        if entry is None or entry.expires <= now:
            return None
        if not self.translates:
            return packet
        port = entry.binding.inside_port
        return readdressed(packet, packet.source, port, entry.binding.inside, port)


def _on(side: Side, packet: Packet | None) -> Emitted:
    return [] if packet is None else [(side, packet)]
