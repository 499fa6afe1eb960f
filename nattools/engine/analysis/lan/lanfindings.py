"""What the local network lets through between its machines, and for which programs that is enough."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.lan.lanservices import AnnouncedServices
from nattools.model.endpoint import family_of
from nattools.model.host import PHYSICAL
from nattools.model.lan import Lan, LanMdns, LanNeighbour, LanReadiness
from nattools.model.lanseen import (
    BeaconPeer,
    BeaconsSent,
    LanEcho,
    LanLink,
    MdnsTrial,
    YggdrasilHeard,
)
from nattools.model.networkleft import NetworkLeft
from nattools.model.observed import Observation
from nattools.model.statement import Reason, Statement, statement

ENOUGH = 4
"""Beacons sent by a way: if none of them came, and others did, that way does not pass."""
BATMAN_MTU = 1532
"""batman-adv adds 32 bytes, or fragments."""
LONG_S = 300.0
"""So long it takes to see whether groups are forgotten."""
_FRESH_S, _STALE_S = 5.0, 20.0
_MOST_NEIGHBOURS = 100
Seen = TypeVar("Seen", bound=Observation)


class _Evidence:
    """The observations, by their kinds."""

    def __init__(self, findings: Findings) -> None:
        self._all = findings.measurement.observations
        self.link = next(iter(self.of(LanLink)), None)
        self.glance = self.link is not None and self.link.glance
        self.peers = self.of(BeaconPeer)
        self.echoes = self.of(LanEcho)
        self.mdns = self.of(MdnsTrial)
        self.sent = next(iter(self.of(BeaconsSent)), BeaconsSent())
        self.yggdrasil = self.of(YggdrasilHeard)
        self.left = bool(self.of(NetworkLeft))
        """Then nobody knows which silence is the network's."""
        self.gateways = () if self.link is None else self.link.gateways
        services = (each for one in self.mdns for each in one.services)
        own = {each.source for each in services if any(at in self.gateways for at in each.addresses)}
        known = {one.address for one in self.echoes if one.router}
        self.routers = {*self.gateways, *own, *known}
        """By all the addresses from which they announce themselves."""

        self.announced = AnnouncedServices((each for one in self.mdns for each in one.services), self.near)

    def near(self, address: str) -> bool:
        """On this network, as far as 24 bits tell."""
        own = () if self.link is None else self.link.addresses
        network = address.rpartition(".")[0]
        return any(each.rpartition(".")[0] == network for each in own if family_of(each) == 4)

    def of(self, kind: type[Seen]) -> list[Seen]:
        return [one for one in self._all if isinstance(one, kind)]

    def alive(self, *roles: str) -> list[str]:
        """Who answered an echo request, or refused a connection."""
        return [one.address for one in self.echoes if one.role in roles and (one.received or one.refused)]

    @property
    def others(self) -> list[str]:
        """Machines that answered and are no routers."""
        return [each for each in self.alive("neighbour", "named") if each not in self.routers]

    @property
    def gone(self) -> list[str]:
        """Machines that the user says are there, and from which nothing came in any way."""
        if self.left:
            return []
        heard = {*self.routers, *self.multicasters(), *(peer.address for peer in self.peers)}
        named = [one for one in self.echoes if one.role == "named" and one.sent and not one.beyond]
        silent = [one.address for one in named if not one.received and not one.refused]
        return [address for address in silent if address not in heard]

    @property
    def beyond(self) -> list[LanEcho]:
        """Echoes to machines that the user named and that are on another network."""
        return [one for one in self.echoes if one.role == "named" and one.beyond]

    def passes(self, way: str) -> bool | None:
        """Did beacons pass by a way, in either direction? None came and none arrived: that says something
        only of a machine that has this way too, and not of one without IPv6."""
        if any(way in (*peer.came, *peer.arrived) for peer in self.peers):
            return True
        able = way == "unicast" or any(way in peer.sends for peer in self.peers)
        if self.peers and able and not self.left and self.sent.sent.get(way, 0) >= ENOUGH:
            return False
        return None

    @property
    def lasts(self) -> bool | None:
        """Does multicast go on after minutes? A switch that has heard of a group forgets it after 260 s (RFC
        3376 8.4) where no querier asks again, some after less; what is sent to one machine goes on."""
        found = None
        for peer in self.peers:
            times = [at for way, at in peer.last_s.items() if way.startswith("multicast")]
            others = [at for way, at in peer.last_s.items() if not way.startswith("multicast")]
            if not times or max(others, default=0.0) < self.sent.listened_s - _FRESH_S:
                continue
            if max(times) < self.sent.listened_s - _STALE_S:
                return None if self.left else False
            found = True if self.sent.listened_s >= LONG_S else None
        return found

    def multicasters(self, family: int | None = None) -> list[str]:
        """Who was heard by multicast DNS, answering or asking, and is no router."""
        trials = [one for one in self.mdns if family in (None, one.family)]
        heard = dict.fromkeys(each for one in trials for each in (*one.responders, *one.askers))
        return [each for each in heard if each not in self.routers]

    def responders(self) -> list[str]:
        """Who answered multicast DNS, routers among them."""
        return list(dict.fromkeys(each for one in self.mdns for each in one.responders))


def lan(findings: Findings) -> Lan | None:
    """None: nobody looked at the local network."""
    seen = _Evidence(findings)
    if seen.link is None:
        return None
    unicast, isolated = _unicast(seen)
    four, six = _multicast(seen, 4), _multicast(seen, 6)
    multicast = True if True in (four, six) else False if False in (four, six) else None
    found = Lan(
        interface=seen.link.interface,
        address=seen.link.addresses[0] if seen.link.addresses else "",
        unicast=unicast,
        broadcast=False if isolated else seen.passes("broadcast"),
        multicast=False if isolated else multicast,
        multicast4=False if isolated else four,
        multicast6=False if isolated else six,
        isolated=isolated,
        proven=any(peer.arrived for peer in seen.peers),
        multicast_lasts=seen.lasts,
        mdns=LanMdns(responders=tuple(seen.responders()), works=_mdns(seen, isolated)),
        neighbours=_neighbours(seen),
        evidence=tuple(one.id for one in (seen.link, *seen.peers, *seen.echoes, *seen.mdns))[:40],
    )
    return _with_programs(found, seen)


def _unicast(seen: _Evidence) -> tuple[bool | None, bool | None]:
    """Does it pass between machines, and are they kept apart? A router that answers shows that this machine
    is on the network at all."""
    if seen.passes("unicast") or seen.others:
        return True, False
    if seen.gone and seen.alive("gateway"):
        return False, True
    if seen.peers and seen.passes("unicast") is False:
        return False, None
    return None, None


def _multicast(seen: _Evidence, family: int) -> bool | None:
    if seen.multicasters(family):
        return True
    return seen.passes(f"multicast{family}")


def _mdns(seen: _Evidence, isolated: bool | None) -> bool | None:
    if seen.multicasters():
        return True
    return False if isolated or _multicast(seen, 4) is False else None


def _neighbours(seen: _Evidence) -> tuple[LanNeighbour, ...]:
    """The routers first."""
    addresses = [*seen.gateways, *(peer.address for peer in seen.peers), *seen.responders()]
    addresses += seen.alive("neighbour", "named", "gateway")
    return tuple(
        _neighbour(address, seen)
        for address in list(dict.fromkeys((*addresses, *seen.announced.places)))[:_MOST_NEIGHBOURS]
    )


def _neighbour(address: str, seen: _Evidence) -> LanNeighbour:
    own = seen.announced.of(address)
    return LanNeighbour(
        address=address,
        name=next((each.host for each in own if each.host), ""),
        services=tuple(dict.fromkeys(each.service for each in own))[:20],
        gateway=address in seen.gateways,
        nattools=any(peer.address == address for peer in seen.peers),
        elsewhere=seen.announced.elsewhere(address),
    )


def _with_programs(found: Lan, seen: _Evidence) -> Lan:
    return replace(
        found,
        yggdrasil=_yggdrasil(found, seen),
        batman=_batman(found, seen),
        qaul=_by_mdns(found, "lan-qaul"),
        syncthing=_syncthing(found),
        casting=_by_mdns(found, "lan-casting"),
        reason=(
            *_reason(found, seen),
            *_repeated(seen),
            *map(_about_beyond, seen.beyond[:2]),
        ),
        actions=_actions(found, seen),
    )


def _repeated(seen: _Evidence) -> Reason:
    """Somebody says here again what a machine here says."""
    found = seen.announced.repeated
    return () if found is None else (statement("lan-repeated", by=found[0], address=found[1]),)


def _about_beyond(seen: LanEcho) -> Statement:
    """A machine behind a router: is it reached through that?"""
    return statement("lan-beyond-reached" if seen.through else "lan-beyond-silent", address=seen.address)


def _readiness(ready: bool | None, *reason: Statement) -> LanReadiness:
    return LanReadiness(ready=ready, reason=reason)


def _yggdrasil(found: Lan, seen: _Evidence) -> LanReadiness:
    heard = [each for one in seen.yggdrasil for each in one.sources]
    if heard:
        return _readiness(True, statement("lan-yggdrasil-heard", address=heard[0]))
    if seen.link is not None and not any(":" in each for each in seen.link.addresses):
        return _readiness(False, statement("lan-no-ipv6", interface=found.interface))
    return _readiness(found.multicast6, _told(found.multicast6, "lan-yggdrasil"))


def _batman(found: Lan, seen: _Evidence) -> LanReadiness:
    """Raw Ethernet frames (0x4305), which no program may send without privilege."""
    link = seen.link
    if link is None or link.type not in PHYSICAL:
        return _readiness(False, statement("lan-batman-no-ethernet", interface=found.interface))
    if found.isolated:
        return _readiness(False, statement("lan-apart"))
    small = link.mtu is not None and link.mtu < BATMAN_MTU
    told = statement("lan-batman-small" if small else "lan-batman", interface=found.interface, mtu=link.mtu)
    return _readiness(None, told)


def _by_mdns(found: Lan, code: str) -> LanReadiness:
    """What is found by multicast DNS over IPv4 and then reached by unicast."""
    if found.isolated:
        return _readiness(False, statement("lan-apart"))
    parts = (found.mdns.works, found.unicast)
    ready = False if False in parts else True if parts == (True, True) else None
    return _readiness(ready, _told(ready, code))


def _syncthing(found: Lan) -> LanReadiness:
    """Found by broadcast over IPv4, or by multicast over IPv6."""
    if found.isolated:
        return _readiness(False, statement("lan-apart"))
    ways = (found.broadcast, found.multicast6)
    seen = True if True in ways else False if ways == (False, False) else None
    parts = (seen, found.unicast)
    ready = False if False in parts else True if parts == (True, True) else None
    return _readiness(ready, _told(ready, "lan-syncthing"))


def _told(ready: bool | None, code: str) -> Statement:
    return statement({True: f"{code}-ready", False: f"{code}-not", None: f"{code}-unknown"}[ready])


def _reason(found: Lan, seen: _Evidence) -> Reason:
    if found.isolated:
        return (statement("lan-isolated", address=seen.gone[0]),)
    if found.proven:
        ways = {
            "unicast": found.unicast,
            "broadcast": found.broadcast,
            "multicast over IPv4": found.multicast4,
            "multicast over IPv6": found.multicast6,
        }
        passed = tuple(name for name, value in ways.items() if value)
        lost = tuple(name for name, value in ways.items() if value is False)
        told = [statement("lan-proven", address=seen.peers[0].address, ways=passed)]
        told += [statement("lan-lost", ways=lost)] if lost else []
        if found.multicast_lasts is not None:
            told.append(statement("lan-multicast-lasts" if found.multicast_lasts else "lan-multicast-dies"))
        return tuple(told)
    if found.unicast:
        known = [*seen.others, *(peer.address for peer in seen.peers)]
        return (statement("lan-somebody", address=known[0]),)
    if found.mdns.works:
        return (statement("lan-only-heard" if seen.glance else "lan-only-multicast"),)
    silent = sum(one.role == "neighbour" and not one.router for one in seen.echoes)
    if seen.alive("gateway") and silent:
        return (statement("lan-known-silent", count=silent),)
    if seen.alive("gateway"):
        return (statement("lan-router-alone"),)
    return (statement("lan-nobody", interface=found.interface),)


def _actions(found: Lan, seen: _Evidence) -> Reason:
    if found.isolated:
        return (statement("lan-allow-clients"),)
    if seen.glance:
        return () if found.unicast else (statement("settle-lan"),)
    wanted: list[Statement] = []
    if any(one.through for one in seen.beyond):
        wanted.append(statement("lan-name-address"))
    if found.multicast is False or found.multicast4 is False:
        wanted.append(statement("lan-allow-multicast"))
    if found.multicast_lasts is False:
        wanted.append(statement("lan-set-querier"))
    if seen.announced.repeated is not None:
        wanted.append(statement("lan-reflect-elsewhere"))
    if not found.proven:
        wanted.append(statement("lan-run-on-both"))
    return tuple(wanted)
