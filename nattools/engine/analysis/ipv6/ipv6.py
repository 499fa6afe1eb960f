"""IPv6 as a whole: is there any, does it work, can others get in, and what stands in the way. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Literal

from msgspec.structs import replace

from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.inbounddrops import punched
from nattools.engine.analysis.ipv6.familylatency import compared, is_slow, latency, preferred
from nattools.engine.analysis.ipv6.formpassage import form_unknowns, fragments, passage
from nattools.engine.analysis.ipv6.inboundipv6 import InboundFinding, checks_of, inbound, path_of
from nattools.engine.analysis.ipv6.ipv6addresses import answers_by_prefix, described, same_host_part
from nattools.engine.analysis.ipv6.ipv6problems import LocalCauses, problems
from nattools.engine.analysis.nat.connectivity import forbidden_here
from nattools.engine.analysis.pathmtu import path_mtu
from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, chance_of_silence
from nattools.model.endpoint import Family, parse_address, read_endpoint
from nattools.model.ipv6 import (
    DnsOverIpv6,
    Ipv6,
    Ipv6Address,
    Ipv6Router,
    Nat64Use,
    PathMtuByFamily,
    PinholeTrial,
    Translation,
)
from nattools.model.ipv6trial import SourceTrial
from nattools.model.nat import Nat
from nattools.model.observation import Nat64, Resolution
from nattools.model.statement import Reason, Statement, statement
from nattools.model.supportcode import support_code

_LOCAL = ("link-local", "clat")


def ipv6(findings: Findings) -> Ipv6 | None:
    """None: the report is of a version that did not look."""
    host = findings.measurement.host
    if host.ipv6 is None:
        return None
    came_in = inbound(findings, 6)
    addresses = described(host, came_in.by_address, _by_prefix(findings))
    capable, works = _capable(findings, addresses), _works(findings, 6)
    times = compared(findings)
    found = Ipv6(
        capable=capable,
        works=False if capable is False else works,
        reachable=came_in.reachable,
        inbound=came_in.first,
        dropped_at=came_in.dropped_at,
        punched=punched(path_of(findings, 6)),
        addresses=addresses,
        routers=tuple(
            Ipv6Router(address=each.address, interface=each.interface, source=each.source, silent=each.silent)
            for each in host.ipv6.routers
        ),
        translation=_translation(findings),
        nat64=_nat64(findings, addresses),
        path_mtu=PathMtuByFamily(ipv4=path_mtu(findings, 4), ipv6=path_mtu(findings, 6)),
        fragments=fragments(findings),
        extension_headers=passage(findings, 6, "destination-options"),
        latency_ms=latency(findings),
        preferred=preferred(_works(findings, 4), False if capable is False else works, times),
        dns=_dns(findings),
        pinhole=_pinhole(findings),
        unknown_reasons=_unknowns(findings, came_in, capable, works),
        evidence={"inbound": came_in.evidence} if came_in.evidence else {},
    )
    own = LocalCauses(
        switched_off=host.ipv6.disabled is True,
        blocked=host.ipv6.blocked,
        forbidden=_forbidden(findings, 6),
        in_vpn=findings.tunnel(6) is not None,
    )
    found = replace(found, problems=problems(found, own, slow=is_slow(times)))
    return replace(found, code=support_code(found))


def _by_prefix(findings: Findings) -> dict[IPv6Network, bool]:
    seen = findings.measurement.observations
    return answers_by_prefix([each for each in seen if isinstance(each, SourceTrial) and _is_address(each)])


def _is_address(trial: SourceTrial) -> bool:
    """What a saved report has there may be anything."""
    at = _name_server(trial.address)
    return at is not None and at.version == 6


def _capable(findings: Findings, addresses: tuple[Ipv6Address, ...]) -> bool | None:
    """An address that is settled and no mere local one, and a route to the internet."""
    setup = findings.measurement.host.ipv6
    if setup is None:
        return None
    if setup.blocked:
        return False
    usable = any(each.kind not in _LOCAL and not each.tentative for each in addresses)
    return usable and (bool(setup.routers) or findings.way(6) is not None)


def _nats(findings: Findings, family: Family) -> list[Nat]:
    both = (findings.nat("udp", family), findings.nat("tcp", family))
    return [nat for nat in both if nat is not None]


def _works(findings: Findings, family: Family) -> bool | None:
    """An answer proves it. Silence says something if the servers answer over the other family, and if more
    was asked than can be lost by chance."""
    if any(nat.reachable for nat in _nats(findings, family)):
        return True
    if not _nats(findings, family) or not any(nat.reachable for nat in _nats(findings, 10 - family)):  # type: ignore[arg-type]
        return None
    if _forbidden(findings, family):
        return False
    udp, tcp = (findings.by_path.get((transport, family)) for transport in ("udp", "tcp"))
    copies = sum(max(0, each.sent) for each in udp.path.bindings) if udp is not None else 0
    if any(each.outcome == "answered" for each in (tcp.path.connections if tcp is not None else ())):
        return None
    silent = chance_of_silence(min(copies, 1000), WORST_LOSS) < CERTAIN_ERROR
    return False if silent and tcp is not None and tcp.path.connections else None


def _forbidden(findings: Findings, family: Family) -> bool:
    """Does this machine itself refuse to send whatever is to be asked?"""
    found = findings.by_path.get(("udp", family))
    return found is not None and forbidden_here(found.path)


def _translation(findings: Findings) -> Translation:
    """By what servers see of the address that was written from."""
    nats = [nat for nat in _nats(findings, 6) if nat.present is not None]
    if not nats:
        return "unknown"
    if not any(nat.present for nat in nats):
        return "none"
    pairs = [
        (answer.local.host, answer.mapped.host)
        for (_, family), each in findings.by_path.items()
        for answer in each.path.answers
        if family == 6 and answer.local is not None
    ]
    same = {same_host_part(*pair) for pair in pairs if pair[0] != pair[1]}
    return "nptv6" if same == {True} else "nat66" if False in same else "unknown"


def _nat64(findings: Findings, addresses: tuple[Ipv6Address, ...]) -> Nat64Use | None:
    seen = [each for each in findings.measurement.observations if isinstance(each, Nat64)]
    clat = any(each.kind == "clat" for each in addresses)
    best = next((each for each in seen if each.used), None) or next(
        (each for each in seen if each.works), seen[0] if seen else None
    )
    if best is None:
        return Nat64Use(clat=True) if clat else None
    dns64 = any(each.dns64 or each.learnt == "dns" for each in seen)
    return Nat64Use(prefix=best.prefix, dns64=dns64, clat=clat, works=best.works)


def _dns(findings: Findings) -> DnsOverIpv6:
    seen = [each for each in findings.measurement.observations if isinstance(each, Resolution)]
    six = any(":" in address for each in seen for address in each.addresses)
    setup = findings.measurement.host.ipv6
    resolvers = () if setup is None else setup.resolvers
    asked = [each for each in map(_name_server, resolvers) if each is not None and not each.is_loopback]
    over = any(each.version == 6 for each in asked) if asked else None
    return DnsOverIpv6(aaaa_answers=True if six else None, over_ipv6=over)


def _name_server(text: str) -> IPv4Address | IPv6Address | None:
    """None: what a saved report has there is no address."""
    try:
        return parse_address(text)
    except ValueError:
        return None


def _pinhole(findings: Findings) -> PinholeTrial | None:
    made = [
        each
        for each in findings.routers.mappings
        if each.created and (at := read_endpoint(each.internal)) is not None and at.family == 6
    ]
    if not made:
        return None
    best = next((each for each in made if each.verified_inbound), made[0])
    return PinholeTrial(
        protocol=best.protocol, verified_inbound=best.verified_inbound, dropped_at=best.dropped_at
    )


def _unknowns(
    findings: Findings, came_in: InboundFinding, capable: bool | None, works: bool | None
) -> dict[str, Reason]:
    """Why something is not known that matters, and what would settle it."""
    found: dict[str, Reason] = {}
    asked = findings.way(6) is not None  # that of each family that was measured is in the report
    if capable and works is None:
        heard = any(nat.reachable for nat in _nats(findings, 4))
        silent = "ipv6-maybe-loss" if heard else "ipv6-nobody-answered"
        code = silent if _nats(findings, 6) else "ipv6-no-server"
        found["works"] = (statement(code if asked else "ipv6-not-asked"),)
    if not works:
        return found
    found |= form_unknowns(findings)
    states: dict[str, Literal["open", "filtered", "rejected", "prohibited", "unknown"]] = {
        "udp": came_in.first.udp,
        "tcp": came_in.first.tcp,
        "icmp": came_in.icmp,
    }
    for transport, state in states.items():
        if state == "unknown":
            found[f"inbound.{transport}"] = (_why_not_in(findings, transport),)
    if came_in.dropped_at == "unknown" and all(each.reached_card is None for each in checks_of(findings, 6)):
        found["dropped_at"] = (statement("ipv6-no-look"),)
    return found


def _why_not_in(findings: Findings, transport: str) -> Statement:
    checks = [each for each in checks_of(findings, 6) if each.transport == transport]
    if not checks:
        pings = transport == "icmp" and checks_of(findings, 6)
        return statement("ipv6-server-cannot-ping" if pings else "ipv6-no-dial-back")
    if checks[0].outcome == "timeout":
        return statement("ipv6-maybe-loss")
    if transport == "icmp":
        return statement("ipv6-server-cannot-ping")
    return statement("ipv6-server-denied", detail=checks[0].detail or checks[0].outcome)
