"""Our own sockets and candidates, those of the peer that may be checked, and the checks that ICE makes of
them from the first moment of an attempt on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from nattools.engine.measurement import MeasurementRun
from nattools.engine.punch.localside import LocalSide
from nattools.engine.punch.planning import keeps_ports
from nattools.engine.punch.signaling import Signaling
from nattools.engine.punch.signals import MAX_CANDIDATES, Introduction
from nattools.engine.punch.timeline import Timeline
from nattools.engine.serverlookup import CONNECT_IT
from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint, Family, Transport, family_of, parse_address
from nattools.model.nat import Nat, NatByTransport
from nattools.model.statement import Statement, statement
from nattools.net.addresses import carries_ipv4_over_ipv6, leaves_link
from nattools.net.base import Network, TcpStream, UdpSocket
from nattools.protocols import ice
from nattools.traversal.budget import Budget
from nattools.traversal.icedriver import IceDriver, open_path_socket
from nattools.traversal.plan.side import moving, side_of
from nattools.traversal.plan.stepbuilding import hold_s, opening_ttl
from nattools.traversal.plan.steps import Plan
from nattools.traversal.serverreflexive import server_reflexive_of_each, server_reflexive_over_tcp

MOST_ASKED: Final = 3
MAX_ADDRESSES = 4
"""Own addresses of a family that are tried; a machine with more has them for other purposes."""


@dataclass(frozen=True, slots=True)
class Base:
    """An own socket. `seen`: where servers see it, one place for each outside address. `preference`: RFC
    8421's."""

    socket: UdpSocket
    seen: tuple[Endpoint, ...]
    preference: int

    def candidates(self) -> list[ice.Candidate]:
        """Its host candidate, and the server-reflexive ones where these are others."""
        local, preference = self.socket.local, self.preference
        return [
            ice.local_candidate("host", local, local_preference=preference),
            *(
                ice.local_candidate("srflx", each, base=local, local_preference=preference)
                for each in self.seen
                if each != local
            ),
        ]


def server_of(run: MeasurementRun, transport: Transport, family: Family) -> Endpoint | None:
    """The server to ask where a socket is seen: the quickest that answered over that transport."""
    return next(iter(_servers_of(run, transport, family)), None)


async def seen_over_tcp(run: MeasurementRun, family: Family) -> tuple[TcpStream, Endpoint] | None:
    """A connection to the server that answered the quickest over TCP, and where that sees it."""
    server = server_of(run, "tcp", family)
    if server is None:
        return None
    return await server_reflexive_over_tcp(run.network, server, tls=run.path(family).estimate.tls.get(server))


def _servers_of(run: MeasurementRun, transport: Transport, family: Family) -> list[Endpoint]:
    """The servers that answered over that transport, the quickest first."""
    targets = [each for each in run.reached if (each.transport, each.family) == (transport, family)]
    return [each.endpoint for each in sorted(targets, key=lambda each: each.rtt_s)]


def own_addresses(run: MeasurementRun, families: Iterable[Family]) -> list[str]:
    """Those that a peer may be able to write to: first the one that leads to the servers, then others of the
    same machine, which may be on the peer's network."""
    found: dict[str, None] = {}
    for family in families:
        source = run.source(family)
        if source is not None:
            found[source] = None
    named = run.options.interface
    for interface in run.network.interfaces():
        if interface.up and interface.kind != "loopback" and named in (None, interface.name):
            found |= {host: None for host in interface.addresses if family_of(host) in families}
    hosts = [host for host in found if leaves_link(host)]
    return [
        host
        for family in (6, 4)
        for host in [each for each in hosts if family_of(each) == family][:MAX_ADDRESSES]
    ]


async def gather(run: MeasurementRun, families: Iterable[Family], nat: NatByTransport) -> list[Base]:
    """A socket for each own address, and where servers see it. CannotRun: no socket can be had."""
    hosts = own_addresses(run, families)
    preferences = ice.local_preferences(hosts)
    with contextlib.ExitStack() as closing:
        sockets = await _open_all(run.network, hosts, run.options.interface, closing)
        asked = [(socket, _whom_to_ask(run, socket.local.family)) for socket in sockets]
        seen = await server_reflexive_of_each(asked)
        closing.pop_all()
    return [
        Base(socket, _also_dealt(places, nat.udp4), preferences[socket.local.host])
        for socket, places in zip(sockets, seen, strict=True)
    ]


def _also_dealt(places: tuple[Endpoint, ...], nat: Nat | None) -> tuple[Endpoint, ...]:
    """And where it may be seen besides, if each peer sees it at any of several addresses."""
    if nat is None or nat.pooling != "arbitrary" or not moving(nat) or not places or places[0].family == 6:
        return places
    others = [host for host in nat.external if host not in {place.host for place in places}]
    return *places, *(Endpoint(host, places[0].port) for host in others[:MAX_ADDRESSES])


async def _open_all(
    network: Network, hosts: list[str], interface: str | None, closing: contextlib.ExitStack
) -> list[UdpSocket]:
    opened: list[UdpSocket] = []
    failure: CannotRun | None = None
    for host in hosts:
        try:
            socket = await open_path_socket(network, family=family_of(host), host=host, interface=interface)
        except CannotRun as error:
            failure = error
            continue
        closing.callback(socket.close)
        opened.append(socket)
    if not opened:
        raise failure or CannotRun("this machine has no address that a peer could send to", CONNECT_IT)
    return opened


def _whom_to_ask(run: MeasurementRun, family: Family) -> list[Endpoint]:
    """Some servers, the quickest first, and one at its other address: a NAT with several outside addresses
    may choose one for each destination (RFC 4787 4.1)."""
    found = _servers_of(run, "udp", family)[:MOST_ASKED]
    others = [each.other for each in run.reached if each.endpoint in found and each.other is not None]
    return [*found, *(each for each in others[:1] if each.family == family)]


def why_not_a_destination(network: Network, place: Endpoint, own: Endpoint | None) -> Statement | None:
    """Why no packets of a step may go to where the peer says that a server sees it; None if they may. `own`:
    where a server sees us: if that is on the internet, a peer's place within somebody's network is none."""
    reason = ice.why_not_a_target(place)
    if reason is None and parse_address(place.host).is_loopback:
        reason = "a loopback address"
    if reason is None and own is not None and network.is_public(own.host):
        reason = None if network.is_public(place.host) else "an address within a private network"
    if reason is None:
        return None
    return statement("peer-address-refused", endpoint=str(place), reason=reason)


class CandidateFilter:
    """Which of the peer's candidates may lead anywhere, as seen from our own sockets. `told`: what it told of
    at first."""

    def __init__(self, network: Network, bases: list[Base], told: Sequence[str]) -> None:
        self._network = network
        self._networks = {_network_of(base.socket.local.host) for base in bases}
        self._outside = {place.host for base in bases for place in base.seen}
        found = [each for each in map(_parsed, told) if each is not None]
        ours = [(str(base.socket.local), place) for base in bases for place in base.seen]
        theirs = [(str(each.related), each.endpoint) for each in found if each.kind == "srflx"]
        self._pooled = _several_addresses(ours) or _several_addresses(theirs)
        self._same_nat = any(each.kind == "srflx" and each.endpoint.host in self._outside for each in found)

    def of_use(self, text: str, *, wide: bool) -> bool:
        """`wide`: also ports that our NAT would open a new one to. So it is always where one of the NATs has
        several outside addresses, since nobody knows which of them it takes."""
        candidate = _parsed(text)
        if candidate is None:
            return False
        host = candidate.endpoint.host
        if carries_ipv4_over_ipv6(host):
            return False  # many machines have that very address, and this one may
        if candidate.kind == "relay":
            return True
        if candidate.kind != "host" and self._is_elsewhere(host):
            return False
        if candidate.family == 6 or candidate.mapped or wide or self._pooled:
            return True
        return candidate.kind == "host" and (self._network.is_public(host) or self._is_near(host))

    def _is_elsewhere(self, host: str) -> bool:
        """A server on the internet cannot see anybody at a private address."""
        return not self._network.is_public(host) and any(map(self._network.is_public, self._outside))

    def _is_near(self, host: str) -> bool:
        """May a private address of the peer be on a network of ours? So if it looks like one of our own
        addresses, or if both are seen behind the same outside address."""
        return self._same_nat or _network_of(host) in self._networks


def _several_addresses(seen: Sequence[tuple[str, Endpoint]]) -> bool:
    """Has one socket several outside addresses over IPv4?"""
    by_socket: dict[str, set[str]] = {}
    for socket, place in seen:
        if place.family == 4:
            by_socket.setdefault(socket, set()).add(place.host)
    return any(len(hosts) > 1 for hosts in by_socket.values())


def _parsed(text: str) -> ice.Candidate | None:
    try:
        return ice.parse(text)
    except ProtocolError:
        return None


def _network_of(host: str) -> str:
    return host.rpartition(".")[0] or host


MOST: Final = 32


class EarlyDatagrams:
    """Keeps what comes to an attempt's sockets until there is somebody to read it (RFC 8445 7.3): a side
    that introduces itself second begins at once, and its first check may be the only one that comes in."""

    def __init__(self, bases: Sequence[Base]) -> None:
        self._kept: list[tuple[ice.PairKey, bytes]] = []
        for base in bases:
            self._listen(base)

    def _listen(self, base: Base) -> None:
        def arrived(data: bytes, source: Endpoint) -> None:
            if len(self._kept) < MOST:
                self._kept.append((("udp", base.socket.local, source), data))

        base.socket.on_datagram = arrived

    def hand_to(self, driver: IceDriver) -> None:
        """What has come so far; from now on the driver listens itself."""
        for path, data in self._kept:
            driver.arrived(path, data)
        self._kept.clear()


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """`number`: which attempt it is; `leads`: the part of this side; `known_at`: the loop's time at which
    both sides' candidates were known; `relays`: may a relay be used?"""

    own: LocalSide
    partner: Signaling
    number: int
    timeline: Timeline
    plan: Plan
    leads: bool
    known_at: float
    budget: Budget
    relays: bool = False


MARGIN_S = 0.02
SETTLED_S = 0.01
"""A peer whose introduction was the second one has begun when we hear of it; this is for its slowness."""
EARLY_S = 0.01
"""Between checks that may come too early."""


def begin_checks(
    context: AttemptContext, introduction: Introduction, peer: Introduction, bases: list[Base]
) -> IceDriver:
    """Checks between our bases and the peer's candidates, those included that it tells of later."""
    nat, partner, number = context.own.nat, context.partner, context.number
    rtts = [each.rtt_ms for each in (nat.udp4, nat.udp6) if each and each.rtt_ms is not None]
    agent = ice.Agent(
        "controlling" if context.leads else "controlled",
        ufrag=introduction.ufrag,
        password=introduction.password,
        expected_rtt_s=min(rtts) / 1000 if rtts else None,
        patience_s=3600.0,
    )
    driver = IceDriver(agent, context.budget)
    for base in bases:
        driver.add_socket(base.socket, local_preference=base.preference)
        for candidate in base.candidates()[1:]:
            driver.offer(candidate)
    driver.on_candidate = lambda found: partner.tell_candidate(
        number, ice.encode(found), driver.relay_named(found)
    )
    _take_candidates(context, driver, peer, bases, direct=introduction.udp and peer.udp)
    try:
        driver.set_peer(peer.ufrag, peer.password)
    except ProtocolError as error:
        invalid = statement("peer-credentials-invalid", problem=str(error))
        context.timeline.note("attempt", invalid, ok=False)
    return driver


def _take_candidates(
    context: AttemptContext, driver: IceDriver, peer: Introduction, bases: list[Base], *, direct: bool
) -> None:
    """Those of the peer's that can lead anywhere: a check that cannot would only spend a port of a NAT that
    counts them. Not `direct`: those of relays alone, and these only where a relay may be used."""
    wide = keeps_ports(context.plan)
    useful = CandidateFilter(context.own.run.network, bases, peer.candidates)
    opener = _opener(context.own.nat, peer)

    def wanted(text: str) -> bool:
        return (context.relays if " typ relay" in text else direct) and useful.of_use(text, wide=wide)

    for text in peer.candidates:
        if wanted(text):
            if opener is not None and " typ srflx" in text and ":" not in text.split()[4]:
                driver.agent.set_opener(opener, ice.parse(text).endpoint)
            driver.add_peer_candidate(text)
    late = 0

    def add(text: str, relay: str) -> None:
        nonlocal late
        late += 1
        if late <= MAX_CANDIDATES and wanted(text):
            driver.add_peer_candidate(text, relay)

    context.partner.on_candidate(context.number, add)


def _opener(nat: NatByTransport, peer: Introduction) -> ice.OpeningChecks | None:
    """Where a check that comes too early may do harm at the peer's router, the first one goes no further than
    our own. A router that looks at addresses alone keeps no sessions that could be in the way, as Linux does
    (it could not filter so), so there one of several early checks may get in at once."""
    own = side_of(nat.udp4)
    theirs = side_of(peer.nat.udp4)
    if own is None or theirs is None or theirs.open or own.open:
        return None
    gap_s = SETTLED_S if peer.second else hold_s(own, theirs, MARGIN_S)
    if theirs.accepts != "address":
        return ice.OpeningChecks(ttl=opening_ttl(own), gap_s=gap_s)
    count = math.ceil(gap_s / EARLY_S)
    return ice.OpeningChecks(ttl=None, count=count, gap_s=gap_s / count)
