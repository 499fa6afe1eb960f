"""A router with a NAT or a firewall, simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nattools.lab.nat.bindings import Forwards
from nattools.lab.nat.engine import Emitted, NatEngine, Side
from nattools.lab.nat.packetttl import ttl_beyond
from nattools.lab.nat.portalpage import engine_of
from nattools.lab.scenario import NatSpec, Passage, RouterSpec, outside_network6, routers
from nattools.lab.sim.nodes import TIME_EXCEEDED, TOO_BIG, Entry, Node, too_big
from nattools.lab.sim.topology import NextHop, NodePlan
from nattools.model.endpoint import Family
from nattools.model.packetform import PacketForm
from nattools.protocols.nat64 import parse_prefix
from nattools.protocols.packet import Packet

if TYPE_CHECKING:
    from nattools.lab.nat.ipv6engines import Ipv6Engine
    from nattools.lab.nat.nat64translation import Translator
    from nattools.lab.sim.simnet import SimNet

# so much payload fits every link: RFC 1122 3.3.3
ALWAYS_FITS = 500


def forms_dropped(spec: RouterSpec) -> tuple[PacketForm, ...]:
    """The forms of packets that a router does not pass on."""
    treated: dict[PacketForm, Passage] = {
        "fragments": spec.fragments,
        "destination-options": spec.extension_headers,
    }
    return tuple(form for form, passage in treated.items() if passage == "dropped")


class NatRouter(Node):
    """A router with a NAT or a firewall; of IPv6, only the addresses of a NAT64 are translated."""

    __slots__ = (
        "_answers_ttl",
        "_engine4",
        "_engine6",
        "_inside",
        "_odd",
        "_outside",
        "_says_too_big",
        "_sides",
        "_translator",
        "_ttl",
        "spec",
    )

    def __init__(self, net: SimNet, plan: NodePlan) -> None:
        super().__init__(net, plan)
        spec = routers(net.topology.scenario)[plan.name]
        self._outside = next(i for i, port in enumerate(plan.ports) if port.layout.uplink)
        self._inside = 1 - self._outside
        inside, outside = plan.ports[self._inside], plan.ports[self._outside]
        self._sides = inside.prefixes[4], outside.address(4) or "", inside.address(4) or ""
        self._take_on(spec)
        nat = spec if isinstance(spec, NatSpec) else NatSpec()
        self._translator: Translator | None = None
        if nat.nat64 is not None:
            from nattools.lab.nat.nat64translation import Translator

            self._translator = Translator(parse_prefix(nat.nat64.prefix))
        self._engine4 = self._engine(spec)
        topology = net.topology
        self._engine4.forwards.everything = topology.layout.dmz_address(topology.scenario, plan.name)
        self._engine6: Ipv6Engine | None = None
        if spec.ipv6 is not None and 6 in inside.prefixes:
            self._engine6 = self._of_ipv6(spec, None)

    def _take_on(self, spec: RouterSpec) -> None:
        """What it does itself, beside its engines."""
        nat = spec if isinstance(spec, NatSpec) else NatSpec()
        self.spec = spec
        self._answers_ttl, self._ttl, self._says_too_big = nat.answers_ttl, nat.ttl, spec.says_too_big
        self._odd = nat.ttl != "lowered" or nat.portal is not None

    def _of_ipv6(self, spec: RouterSpec, forwards: Forwards | None) -> Ipv6Engine:
        from nattools.lab.nat.ipv6engines import ipv6_engine

        inside, outside = self.plan.ports[self._inside], self.plan.ports[self._outside]
        return ipv6_engine(
            spec,
            inside=inside.prefixes[6],
            outside_address=outside.address(6) or "",
            inside_address=inside.address(6) or "",
            outside=outside_network6(self.net.topology.scenario, self.plan.name),
            forwards=forwards,
            rng=self.net.rng,
        )

    def forget(self) -> None:
        """Restart: all bindings and flows are lost. Forwardings stay."""
        self._engine4.forget()
        if self._engine6 is not None:
            self._engine6.forget()

    def close(self) -> None:
        """As a node's, and it forgets all."""
        super().close()
        self.forget()

    def _engine(self, spec: RouterSpec) -> NatEngine:
        inside, outside_address, inside_address = self._sides
        return engine_of(
            spec,
            inside=inside,
            outside_address=outside_address,
            inside_address=inside_address,
            rng=self.net.rng,
        )

    def next_address(self) -> None:
        """The provider gives it the next of its outside addresses."""
        self._engine4.next_address()

    def behave(self, spec: RouterSpec) -> None:
        """From now on translate and filter like this; all bindings and flows are lost, forwardings stay."""
        self._take_on(spec)
        if self._engine6 is not None:
            self._engine6 = self._of_ipv6(spec, self._engine6.forwards)
        before, self._engine4 = self._engine4, self._engine(spec)
        self._engine4.follow(before)

    def forwards(self, family: Family) -> Forwards | None:
        """The forwardings of its NAT or firewall; None where nothing is filtered."""
        engine = self._engine6 if family == 6 else self._engine4
        return None if engine is None else engine.forwards

    def entry(self, port: int) -> Entry:
        enters = self._from_inside if port == self._inside else self._from_outside
        dropped = forms_dropped(self.spec)
        if not dropped:
            return enters

        def enters_in_form(packet: Packet) -> None:
            if packet.form not in dropped:
                enters(packet)

        return enters_in_form

    def _from_inside(self, packet: Packet) -> None:
        destination = packet.destination
        hop = self.table.get(destination) or self.plan.hop(destination)
        wire = hop.wire
        if (
            wire is None
            or hop.port != self._outside
            or packet.ttl <= 1
            or self._odd
            or len(packet.payload) > wire.room
            or ":" in destination
            or destination in self.owns
        ):
            self._from_inside_unusually(packet, hop)
            return
        packet.ttl -= 1
        out = self._engine4.leave(packet, self.net.loop.now)
        if out is not None:
            self.net.depart(hop, out)

    def _from_inside_unusually(self, packet: Packet, hop: NextHop) -> None:
        """IPv6, what is for the router itself or for another inside host, what is too big or expires here."""
        destination, wire = packet.destination, hop.wire
        if self._translator is not None and self._translator.inner(destination) is not None:
            self._through_nat64(packet, self._translator)
            return
        engine = self._engine6 if ":" in destination else self._engine4
        if engine is None:
            return
        if destination in self.owns and destination not in engine.outside_addresses:
            self.net.loop.queue.append((self.input, packet))
            return
        mine = destination in engine.outside_addresses  # which does not expire here: RFC 1812 5.3.1
        if packet.ttl <= 1 and self._ttl != "kept" and not mine:
            self._expired(packet, self._inside)
            return
        packet.ttl = ttl_beyond(self._ttl, packet.ttl)
        if wire is not None and too_big(packet, wire):
            self._refuse_size(packet, self._inside, wire.mtu)
        elif hop.port == self._inside:
            self.send(packet)
        else:
            for side, out in engine.from_inside(packet, self.net.loop.now):
                if out.ttl > 0:
                    self._emit(side, out)
                else:  # it was turned back inside
                    self._expired(packet, self._inside)

    def _through_nat64(self, packet: Packet, translator: Translator) -> None:
        from nattools.lab.nat.nat64translation import IPV6_HEADER_MORE

        if packet.ttl <= 1:
            self._expired(packet, self._inside)
            return
        translated = translator.to_ipv4(packet)
        translated.ttl -= 1
        wire = self.hop(translated.destination).wire
        if wire is not None and too_big(translated, wire):
            self._refuse_size(packet, self._inside, wire.mtu + IPV6_HEADER_MORE)
            return
        for side, out in self._engine4.from_inside(translated, self.net.loop.now):
            self._emit(side, out)

    def _from_outside(self, packet: Packet) -> None:
        if packet.destination not in self._engine4.outside_addresses or packet.ttl <= 1:
            self._from_outside_unusually(packet)
            return
        now = self.net.loop.now
        out = self._engine4.enter(packet, now)
        if out is None:
            for side, reply in self._engine4.unsolicited(packet, now):
                self._emit(side, reply)
            return
        out.ttl = packet.ttl - 1
        if len(out.payload) <= ALWAYS_FITS or not self._too_big_inside(packet, out):
            self._emit("inside", out)

    def _from_outside_unusually(self, packet: Packet) -> None:
        """IPv6, what is for hosts behind a firewall, what expires here."""
        destination = packet.destination
        engine = self._engine6 if ":" in destination else self._engine4
        if engine is None or (destination in self.owns and destination not in engine.outside_addresses):
            return
        emitted = engine.from_outside(packet, self.net.loop.now)
        if packet.ttl <= 1:
            self._last_hop(packet, emitted)
            return
        for side, out in emitted:
            if side == "inside":
                out.ttl = packet.ttl - 1
                if self._too_big_inside(packet, out):
                    continue
            self._emit(side, out)

    def _last_hop(self, packet: Packet, emitted: Emitted) -> None:
        """The TTL ends here. What is for the router itself still arrives, and what the filter drops gets no
        answer, so that a filter cannot be told from its silence."""
        for side, out in emitted:
            if side == "outside":
                self._emit(side, out)
            else:
                self._expired(packet, self._outside)

    def _too_big_inside(self, packet: Packet, translated: Packet) -> bool:
        wire = self.hop(translated.destination).wire
        if wire is None or not too_big(translated, wire):
            return False
        self._refuse_size(packet, self._outside, wire.mtu)
        return True

    def _refuse_size(self, packet: Packet, port: int, mtu: int) -> None:
        if self._says_too_big:
            self._complain(packet, port, TOO_BIG, mtu)

    def _expired(self, packet: Packet, port: int) -> None:
        if self._answers_ttl:
            self._complain(packet, port, TIME_EXCEEDED)

    def _emit(self, side: Side, packet: Packet) -> None:
        if self._translator is not None and side == "inside" and ":" not in packet.source:
            packet = self._translator.to_ipv6(packet)
        hop = self.table.get(packet.destination) or self.plan.hop(packet.destination)
        wanted = self._inside if side == "inside" else self._outside
        if hop.wire is not None and hop.port == wanted:
            self.net.depart(hop, packet)
