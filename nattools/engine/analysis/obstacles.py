"""What keeps others from connecting over IPv4, and whose help against it there is: nobody is sent to a router
that is not on the path, is not theirs to set, or could not help alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Literal

from nattools.engine.analysis.findings import Findings, worked_out_once
from nattools.engine.analysis.verdicts.portmappings import ADDRESS_MISMATCH
from nattools.model.endpoint import Transport
from nattools.model.portmapping import PortMapping
from nattools.model.report import NOT_REACHED
from nattools.model.statement import Reason, Statement, statement
from nattools.net.addresses import carries_ipv4_over_ipv6, is_shared

Obstacle = Literal[
    "none",
    "vpn",
    "container",
    "wsl",
    "ipv6 network",
    "closed network",
    "cloud",
    "phone",
    "windows",
    "provider",
    "second router",
    "router",
]

# a saved report may have any text as an address
_PHONE = frozenset(
    (*map(str, ip_network("172.20.10.0/28")), *(f"192.168.{of}" for of in ("43.1", "42.129", "44.1")))
)
"""Where an iPhone is that shares its connection, and where an Android phone was until version 10."""
_WINDOWS = "192.168.137.1"
"""Where a Windows machine is that shares its connection."""
_BRIDGES = ("10.88.", "10.0.2.", *(f"172.{second}." for second in range(16, 32)))
"""What Docker, WSL, Podman and slirp4netns give to those within."""
_MODEM = re.compile(r"(wwan|wwp|wws|wwx|rmnet|ccmni|pdp_ip)[\w.-]*")
"""What Linux, Android and Apple's systems call the interface of a cellular modem, or of a stick with one."""
_HOMES = "192.168."
"""Addresses that no provider gives: a stick that gives one of these is a router, with settings of its own."""
_NO_ADDRESS = {("upnp-igd", 501), ("nat-pmp", 3)}
"""What routers say that have no public address to map."""
_NO_ROOM = ("pcp", 8)
"""They say this too, and so does a router that has no room: something else must tell then."""


@worked_out_once
def obstacle(findings: Findings) -> Obstacle:
    """The first that would have to go; "router": nothing but an ordinary router is known to be in the way."""
    nat, tcp = findings.nat("udp", 4), findings.nat("tcp", 4)
    if any(findings.forwarded(4).values()):
        return "none"
    if open_mappings(findings):
        return "router"
    if findings.tunnel(4) is not None:
        return "vpn"
    if nat is None or nat.present is None:
        nat = tcp if tcp is not None and tcp.present is not None else nat
    if nat is not None and nat.present is False:
        return "none"
    within = findings.measurement.host.runs_in
    if within in ("container", "wsl") and _is_bridged(findings):
        return within
    if any(map(carries_ipv4_over_ipv6, findings.own_addresses(4)[:1])):
        return "ipv6 network"
    if _is_closed(findings):
        return "closed network"
    if within == "cloud":
        return "cloud"
    router = router_address(findings)
    if router in _PHONE:
        return "phone"
    if router == _WINDOWS:
        return "windows"
    if (nat is not None and nat.cgnat) or any(map(_is_providers, findings.routers.claimed_addresses)):
        return "provider"
    if _is_without_router(findings):
        return "provider"
    if (nat is not None and nat.double_nat) or nat_beyond(findings) is not None:
        return "second router"
    return "router"


def _is_without_router(findings: Findings) -> bool:
    """Does a modem of this machine lead to the provider itself? Then the NAT is the provider's, whatever
    addresses it has within. Its interface has a modem's name, or is no network card and its route names no
    router. Where something answers as a router does, there may be one with settings."""
    way, host = findings.way(4), findings.measurement.host
    if (
        way is None
        or way.interface is None
        or any(each.outcome == "answered" for each in findings.routers.offers)
    ):
        return False
    if _MODEM.fullmatch(way.interface) and not (way.source or "").startswith(_HOMES):
        return True
    unnamed = any(
        each.family == 4 and each.interface == way.interface and each.address is None
        for each in host.gateways
    )
    return unnamed and way.gateway is None and host.kind(way.interface) == "unknown"


def _is_bridged(findings: Findings) -> bool:
    """Has it an address of a network within its own machine, and not of that machine's?"""
    return any(own.startswith(_BRIDGES) for own in findings.own_addresses(4)[:1])


def _is_closed(findings: Findings) -> bool:
    """Does somebody choose what may leave this network? Then what may come in is theirs to choose too."""
    if findings.portal is not None:
        return True
    nats = [nat for nat in (findings.nat("udp", 4), findings.nat("tcp", 4)) if nat is not None]
    return any(nat.reachable is False or nat.blocked_ports for nat in nats)


def _is_providers(address: str) -> bool:
    return is_shared(address) or carries_ipv4_over_ipv6(address)


def true_mappings(findings: Findings) -> dict[Transport, PortMapping]:
    """An IPv4 mapping for each transport by which packets from outside came, and answers leave."""
    return _by_transport(findings, lambda each: bool(each.verified_inbound))


def open_mappings(findings: Findings) -> dict[Transport, PortMapping]:
    """The same, with those that lead to another own port than the one asked for: everybody can come in by
    them, to a program that listens there."""
    return _by_transport(findings, lambda each: bool(each.verified_inbound or each.arrives_at))


def _by_transport(findings: Findings, counts: Callable[[PortMapping], bool]) -> dict[Transport, PortMapping]:
    found: dict[Transport, PortMapping] = {}
    for each in findings.routers.mappings:
        if each.family == 4 and counts(each):
            found.setdefault(each.transport, each)
    return found


def remedies(findings: Findings) -> Reason:
    """What the user can do about the obstacle; nothing if an ordinary router is all that is in the way, which
    may have a port to open."""
    match obstacle(findings):
        case "vpn":
            return (statement("ask-vpn", interface=findings.tunnel(4)),)
        case "ipv6 network":
            return (statement("use-ipv6"),)
        case "provider":
            return (statement("ask-for-own-address"),)
        case "second router" if nat_beyond(findings) is not None:
            return (statement("bridge-or-forward-twice"),)
        case "second router":
            return statement("bridge-one-router"), statement("enable-mappings-then")
        case "container":
            return (statement("publish-port"),)
        case "wsl":
            return (statement("mirror-networking", router=router_address(findings)),)
        case "cloud":
            return (statement("open-security-group"),)
        case "phone":
            return (statement("phone-forwards-nothing"),)
        case "windows":
            return (statement("windows-shares", router=router_address(findings)),)
        case _:
            return ()


def router_address(findings: Findings) -> str | None:
    """Where the settings of the router on the path are, as far as that can be guessed."""
    if findings.tunnel(4) is not None:
        return None
    way, gateways = findings.way(4), findings.measurement.host.gateways
    if way is not None:
        return way.gateway
    return next((g.address for g in gateways if g.family == 4 and g.address), None)


def nat_beyond(findings: Findings) -> Statement | None:
    """Why a mapping on the router here cannot be reached from outside: a NAT beyond it. None: no sign of
    one."""
    nat = findings.nat("udp", 4)
    outside = nat.external if nat is not None else ()
    # where one has been seen outside, another one is what came after it: another address, or another network
    seen = not set(outside).isdisjoint(findings.routers.claimed_addresses)
    for claimed in findings.routers.claimed_addresses:
        if not findings.is_public(claimed):
            code = "second-nat-of-provider" if _is_providers(claimed) else "second-nat"
            return statement(code, address=claimed)
        if outside and not seen:
            return statement("router-address-differs", address=claimed, external=outside[0])
    said = findings.routers.refusals
    if ADDRESS_MISMATCH in said:
        return statement("nat-before-pcp-router")
    if open_mappings(findings):
        return None
    if not findings.routers.claimed_addresses and _lacks_address(findings):
        return statement("router-without-public-address")
    if nat is not None and nat.double_nat and findings.routers.attempts:
        return statement("second-nat-on-path")
    return None


def _lacks_address(findings: Findings) -> bool:
    """Does the router behave as those do that have no public address?"""
    said = findings.routers.refusals
    offers = findings.routers.offers_of("upnp-igd") + findings.routers.offers_of("nat-pmp")
    unaddressed = any(each.outcome == "answered" and each.family == 4 for each in offers)
    return not _NO_ADDRESS.isdisjoint(said) or (_NO_ROOM in said and unaddressed)


def gateways_off_path(findings: Findings) -> tuple[str, ...]:
    """Who answers as a gateway from another address than the router's, and is not seen outside as what it
    claims: else it may be the same one, as where two routers share an address."""
    nat = findings.nat("udp", 4)
    outside = nat.external if nat is not None else ()
    return tuple(
        host for host, claimed in findings.routers.others.items() if outside and claimed not in outside
    )


def router_notices(findings: Findings) -> list[Statement]:
    """What a reader should know about the routers that were asked for mappings."""
    beyond = nat_beyond(findings)
    found = [] if beyond is None else [beyond]
    if beyond is not None and not open_mappings(findings):
        found.append(statement(NOT_REACHED))
    elsewhere = gateways_off_path(findings)
    if elsewhere and not open_mappings(findings):
        found.append(statement("gateway-off-path", hosts=elsewhere))
    taken = sorted(set(findings.routers.astray.values()))
    return found + [statement("router-off-path", interface=name) for name in taken]
