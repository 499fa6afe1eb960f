"""IPv6 as a report has it: is there any, does it work, can others get in, and what stands in the way."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from nattools.model.droppedat import DroppedAt
from nattools.model.host import RouteSource
from nattools.model.packetform import FormPassage, FragmentsByFamily
from nattools.model.portmapping import MappingProtocol
from nattools.model.statement import Reason, statement

AddressUse = Literal["stable", "temporary", "eui-64", "ula", "link-local", "teredo", "6to4", "clat", "other"]
Inbound = Literal["open", "filtered", "rejected", "prohibited", "unknown"]
"""What becomes of what nobody asked for: it arrives; it vanishes; it is refused; a router or this machine
says that it is prohibited (RFC 4443 3.1)."""
Translation = Literal["none", "nat66", "nptv6", "unknown"]
ProblemCode = Literal[
    "no-address",
    "no-route",
    "no-answer",
    "ula-only",
    "slow",
    "black-hole",
    "two-routers",
    "teredo",
    "6to4",
    "filtered",
    "nat66",
    "switched-off",
    "tentative",
    "temporary-only",
    "mac-shown",
    "fragments-dropped",
    "dead-prefix",
    "duplicate-address",
    "route-blocked",
    "router-silent",
    "forbidden-here",
    "vpn-silent",
]


class InboundByTransport(msgspec.Struct, frozen=True, kw_only=True):
    """By transport."""

    udp: Inbound = "unknown"
    tcp: Inbound = "unknown"


class ReachableByTransport(msgspec.Struct, frozen=True, kw_only=True):
    """Does somebody outside get in, to a port that has written to nobody; and an echo request? None: not
    known."""

    udp: bool | None = None
    tcp: bool | None = None
    icmp: bool | None = None


class Ipv6Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address of this machine. `shows_mac`: its last half holds the hardware address (RFC 4291 A), by
    which others know this machine again in every network. Lifetimes in seconds, None: infinite, or not known.
    `duplicate`: another machine on the link has it (RFC 4862 5.4). `answered`: do servers answer to what is
    sent from its prefix? Only where there are several. `inbound`: of this address alone, where it was
    tried."""

    address: str
    interface: str
    kind: AddressUse
    deprecated: bool = False
    tentative: bool = False
    duplicate: bool = False
    prefix_length: int | None = None
    shows_mac: bool = False
    valid_s: int | None = None
    preferred_s: int | None = None
    answered: bool | None = None
    inbound: InboundByTransport | None = None


class Ipv6Router(msgspec.Struct, frozen=True, kw_only=True):
    """A default router, and whence this machine knows it. `address` None: the route names no router.
    `silent`: it does not answer on the link."""

    address: str | None
    interface: str
    source: RouteSource = "unknown"
    silent: bool = False


class Nat64Use(msgspec.Struct, frozen=True, kw_only=True):
    """How this network leads from IPv6 to IPv4: `prefix` stands for it (RFC 6052), the name server makes such
    addresses (`dns64`, RFC 6147), this machine translates for its own programs (`clat`, RFC 6877). `works`:
    an IPv4 server answered that way."""

    prefix: str | None = None
    dns64: bool | None = None
    clat: bool = False
    works: bool | None = None


class PathMtu(msgspec.Struct, frozen=True, kw_only=True):
    """The largest IP packet in bytes that gets to a server whole. `black_hole`: larger ones vanish and nobody
    says so (RFC 2923 2.1); None: nobody could have told. `too_big_from`: who says Packet Too Big.
    `silent_at`: in a black hole, the last router that a large packet reached, which should have said so.
    `link`: of this machine's own interface."""

    bytes: int | None = None
    black_hole: bool | None = None
    too_big_from: str | None = None
    silent_at: str | None = None
    link: int | None = None


class PathMtuByFamily(msgspec.Struct, frozen=True, kw_only=True):
    """None: not measured."""

    ipv4: PathMtu | None = None
    ipv6: PathMtu | None = None


class LatencyByFamily(msgspec.Struct, frozen=True, kw_only=True):
    """The shortest round trip, in milliseconds: to a server that answered over both, else to the nearest."""

    ipv4: float | None = None
    ipv6: float | None = None


class DnsOverIpv6(msgspec.Struct, frozen=True, kw_only=True):
    """`aaaa_answers`: do names have IPv6 addresses here? `over_ipv6`: is a name server reached over IPv6?"""

    aaaa_answers: bool | None = None
    over_ipv6: bool | None = None


class PinholeTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A pinhole that the router made for a moment. `verified_inbound`: somebody outside got in by it.
    `dropped_at`: who stops what comes by it, where nobody did."""

    protocol: MappingProtocol
    verified_inbound: bool | None = None
    dropped_at: DroppedAt | None = None

    @property
    def outcome(self) -> Literal["true", "false", "unknown", "stopped"]:
        """In one word; "stopped" by this machine itself."""
        if self.dropped_at == "host":
            return "stopped"
        return "unknown" if self.verified_inbound is None else "true" if self.verified_inbound else "false"


PROBLEMS: tuple[ProblemCode, ...] = get_args(ProblemCode)


class Ipv6Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong. `meaning` and `advice` are the texts of `reason` and `remedy`."""

    code: ProblemCode
    meaning: str = ""
    advice: str = ""
    reason: Reason = ()
    remedy: Reason = ()


class Ipv6(msgspec.Struct, frozen=True, kw_only=True):
    """IPv6 on this machine. `capable`: it has an address and a route. `works`: an answer came back.
    `preferred`: what happy eyeballs (RFC 8305) would use. `dropped_at`: who stops what comes from outside;
    None: nothing is stopped, as far as is known. `punched`: did a hole that was punched from here let a
    packet in? `extension_headers`: do packets pass that have destination options (RFC 8200 4.6)? `code`
    holds the answers, not the addresses: thirteen characters
    that can be read out. `unknowns` says why a field is not known, in the text of `unknown_reasons`.
    `evidence` are observation ids."""

    capable: bool | None = None
    works: bool | None = None
    reachable: ReachableByTransport = ReachableByTransport()
    inbound: InboundByTransport = InboundByTransport()
    dropped_at: DroppedAt | None = None
    punched: bool | None = None
    addresses: tuple[Ipv6Address, ...] = ()
    routers: tuple[Ipv6Router, ...] = ()
    translation: Translation = "unknown"
    nat64: Nat64Use | None = None
    path_mtu: PathMtuByFamily = PathMtuByFamily()
    fragments: FragmentsByFamily = FragmentsByFamily()
    extension_headers: FormPassage | None = None
    latency_ms: LatencyByFamily = LatencyByFamily()
    preferred: Literal[4, 6] | None = None
    dns: DnsOverIpv6 = DnsOverIpv6()
    pinhole: PinholeTrial | None = None
    problems: tuple[Ipv6Problem, ...] = ()
    code: str = ""
    unknowns: dict[str, str] = {}
    unknown_reasons: dict[str, Reason] = {}
    evidence: dict[str, tuple[int, ...]] = {}

    def has(self, code: ProblemCode) -> bool:
        """Is it one of the problems?"""
        return any(each.code == code for each in self.problems)


def explained(code: ProblemCode, found: Ipv6) -> Ipv6Problem:
    """The problem of that code, with what can be done about it after all that was found."""
    remedy: Reason = (statement(f"ipv6-advice-{code}"),)
    if code == "filtered" and found.pinhole is not None and found.pinhole.verified_inbound:
        remedy = (statement("ipv6-advice-filtered-pinhole"),)
    elif code == "filtered" and found.pinhole is not None and found.pinhole.outcome == "stopped":
        remedy = (statement("ipv6-advice-filtered-host"), statement("ipv6-advice-filtered-pinhole"))
    elif code == "filtered":
        remedy = (statement(f"ipv6-advice-filtered-{found.dropped_at or 'unknown'}"),)
        remedy += (statement("ipv6-advice-filtered-punch"),) if found.punched else ()
    return Ipv6Problem(code=code, reason=(statement(f"ipv6-problem-{code}"),), remedy=remedy)
