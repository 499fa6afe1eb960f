"""A verdict for every technique that the report promises, in its order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

from nattools.engine.analysis.areas import AreaFindings
from nattools.engine.analysis.findings import Findings, technique
from nattools.engine.analysis.obstacles import obstacle, remedies
from nattools.model.droppedat import DroppedAt
from nattools.model.endpoint import Family
from nattools.model.nat import Nat
from nattools.model.report import TECHNIQUE_IDS, Command, Technique, TechniqueId
from nattools.model.statement import Reason, statement
from nattools.net.addresses import carries_ipv4_over_ipv6, is_shared

_IDS: dict[Family, TechniqueId] = {4: "direct-ipv4", 6: "direct-ipv6"}
_FORWARD = (statement("forward-port"),)
_OPEN = (statement("open-firewall"),)
_SETTLE = statement("settle-with-serve")


def direct(findings: Findings, family: Family) -> Technique:
    """A public address, and proof that what nobody asked for arrives at it."""
    udp, tcp = findings.nat("udp", family), findings.nat("tcp", family)
    own = findings.own_addresses(family)
    if not own:
        return _no_address(findings, family)
    measured = [nat for nat in (udp, tcp) if nat is not None and nat.present is not None]
    if any(nat.present for nat in measured):
        if any(findings.forwarded(family).values()):
            return _forwarded(findings, family, measured)
        if any(nat.dropped_at == "host" for nat in measured):
            return _stopped_here(family, measured)
        return _translated(findings, family, own, measured)
    if not any(findings.is_public(address) for address in own):
        why = statement("address-private", address=own[0])
        return technique(_IDS[family], "fails", 0.95, why, remedy=_let_in(findings, family))
    if not measured:
        unknown = statement("direct-not-measured", family=family)
        return technique(_IDS[family], "unknown", 0.0, unknown, _SETTLE)
    return _public(family, udp, tcp)


def _no_address(findings: Findings, family: Family) -> Technique:
    if not findings.measurement.host.interfaces:
        return technique(_IDS[family], "unknown", 0.0, statement("addresses-unknown"))
    at_home = findings.measurement.host.runs_in is None
    enable = family == 6 and at_home and obstacle(findings) in ("none", "provider", "second router", "router")
    remedy = (statement("enable-ipv6"),) if enable else ()
    return technique(_IDS[family], "fails", 1.0, statement("no-address", family=family), remedy=remedy)


def _let_in(findings: Findings, family: Family) -> Reason:
    """What would let others in from outside."""
    if family == 6:
        return ()
    return remedies(findings) or (_FORWARD if obstacle(findings) == "router" else ())


def _translated(findings: Findings, family: Family, own: tuple[str, ...], measured: list[Nat]) -> Technique:
    nat = next(nat for nat in measured if nat.present)
    code = "address-private-translated"
    if findings.is_public(own[0]):
        code = "address-translated"
    elif is_shared(own[0]):
        code = "address-shared-translated"
    elif carries_ipv4_over_ipv6(own[0]):
        code = "address-over-ipv6-translated"
    tunnel = findings.tunnel(family)
    external = nat.external[0] if nat.external else None
    why = statement(code, address=own[0], external=external)
    if tunnel is not None:
        why = statement("address-in-vpn", address=own[0], interface=tunnel, external=external)
    ids, remedy = nat.evidence.get("present", ()), _let_in(findings, family)
    return technique(_IDS[family], "fails", 0.99, why, remedy=remedy, evidence=ids)


def _forwarded(findings: Findings, family: Family, measured: list[Nat]) -> Technique:
    """Something translates, and passes on all that comes."""
    nat = next(nat for nat in measured if nat.present)
    tried = {transport.upper(): came for transport, came in findings.forwarded(family).items()}
    opened = tuple(sorted((each for each, came in tried.items() if came), reverse=True))
    others = tuple(each for each in ("UDP", "TCP") if each not in opened)
    why = [statement("direct-forwarded", external=nat.external[0] if nat.external else None, open=opened)]
    why += [
        statement("direct-filtered-too" if each in tried else "direct-untested-too", transport=each)
        for each in others
    ]
    backs = [back for found in findings.by_path.values() for back in found.path.dial_backs if back.untouched]
    ids = tuple(back.id for back in backs if back.family == family)
    return technique(_IDS[family], "works", 0.8 if others else 0.99, *why, evidence=ids)


def _stopped_here(family: Family, measured: list[Nat]) -> Technique:
    """Something translates and passes on all that comes, and this machine drops it."""
    nat = next(nat for nat in measured if nat.dropped_at == "host")
    why = statement("direct-forwarded-stopped", external=nat.external[0] if nat.external else None)
    ids, remedy = nat.evidence.get("dropped_at", ()), (statement("allow-in-own-firewall"),)
    return technique(_IDS[family], "fails", 0.95, why, remedy=remedy, evidence=ids)


def _public(family: Family, udp: Nat | None, tcp: Nat | None) -> Technique:
    name = _IDS[family]
    opened = {"UDP": _open(udp), "TCP": _open(tcp)}
    ids = tuple(i for nat in (udp, tcp) if nat is not None for i in nat.evidence.get("filtering", ()))
    yes = [each for each, value in opened.items() if value]
    no = tuple(each for each, value in opened.items() if value is False)
    untested = [each for each, value in opened.items() if value is None]
    if len(yes) == 2:
        return technique(name, "works", 0.99, statement("direct-open"), evidence=ids)
    if yes and no:
        why = statement("direct-half-filtered", open=yes[0], filtered=no[0])
        return technique(name, "works", 0.8, why, remedy=_OPEN, evidence=ids)
    if yes:
        why = statement("direct-half-tested", open=yes[0], untested=untested[0])
        return technique(name, "works", 0.8, why, remedy=(_SETTLE,), evidence=ids)
    if no and untested:
        why = statement("direct-filtered-half-tested", filtered=no, untested=untested[0])
        return technique(name, "fails", 0.8, why, remedy=_OPEN, evidence=ids)
    if no:
        return _filtered(name, no, [nat for nat in (udp, tcp) if nat is not None])
    return technique(name, "unknown", 0.0, statement("direct-untested"), _SETTLE, evidence=ids)


def _filtered(name: TechniqueId, no: tuple[str, ...], measured: list[Nat]) -> Technique:
    """Who drops it, where that is known."""
    ids = tuple(i for nat in measured for i in nat.evidence.get("filtering", ()))
    at = next((nat.dropped_at for nat in measured if nat.dropped_at is not None), None)
    code = "direct-filtered" if at is None else _STOPPED_AT[at]
    remedy = (statement("allow-in-own-firewall"),) if at == "host" else _OPEN
    ids += tuple(i for nat in measured for i in nat.evidence.get("dropped_at", ()))
    return technique(name, "fails", 0.99, statement(code, filtered=no), remedy=remedy, evidence=ids)


_STOPPED_AT: dict[DroppedAt, str] = {
    "host": "direct-stopped-host",
    "router": "direct-stopped-router",
    "beyond": "direct-stopped-beyond",
    "unknown": "direct-filtered",
}


def _open(nat: Nat | None) -> bool | None:
    """Does what nobody asked for arrive?"""
    if nat is None:
        return None
    if nat.filtering == "endpoint-independent":
        return True
    known = nat.filtering != "unknown" or nat.classic == "symmetric firewall" or nat.reachable is False
    return False if known else None


Judge = Callable[[AreaFindings], Technique]


def _later(module: str, function: str, **fixed: Any) -> Judge:
    """A function of that module, which is imported when it is first called."""

    @cache
    def imported() -> Callable[..., Technique]:
        judging: Callable[..., Technique] = getattr(import_module(module), function)
        return judging

    return lambda findings: imported()(findings, **fixed)


_PORTMAPS, _PUNCHING = (
    "nattools.engine.analysis.verdicts.portmapverdicts",
    "nattools.engine.analysis.verdicts.punching",
)
_RELAYS, _PROGRAMS = (
    "nattools.engine.analysis.verdicts.relayverdicts",
    "nattools.engine.analysis.verdicts.programverdicts",
)
_JUDGES: dict[TechniqueId, Judge] = {
    "direct-ipv4": partial(direct, family=4),
    "direct-ipv6": _later(
        "nattools.engine.analysis.ipv6.directipv6", "direct_ipv6", by_filtering=partial(direct, family=6)
    ),
    "upnp-igd": _later(_PORTMAPS, "port_mapping", protocol="upnp-igd"),
    "nat-pmp": _later(_PORTMAPS, "port_mapping", protocol="nat-pmp"),
    "pcp": _later(_PORTMAPS, "port_mapping", protocol="pcp"),
    "udp-punch": _later(_PUNCHING, "udp_punch"),
    "udp-birthday": _later(_PUNCHING, "udp_birthday"),
    "tcp-punch": _later(_PUNCHING, "tcp_punch"),
    "pwnat": _later("nattools.engine.analysis.verdicts.pwnatverdicts", "pwnat_verdict"),
    "relay-turn": _later(_RELAYS, "relayed", kind="turn"),
    "relay-derp": _later(_RELAYS, "relayed", kind="derp"),
    "libp2p": _later(_PROGRAMS, "libp2p_verdict"),
    "lan": _later(_PROGRAMS, "lan_verdict"),
    "tailscale": _later(_PROGRAMS, "tailscale_verdict"),
}
_OWN: dict[Command, tuple[TechniqueId, ...]] = {
    "ipv6": ("direct-ipv6",),
    "lan": ("lan",),
    "libp2p": ("libp2p",),
    "map": ("upnp-igd", "nat-pmp", "pcp"),
    "pwnat": ("pwnat",),
    "relay": ("relay-turn", "relay-derp"),
    "tailscale": ("relay-derp", "tailscale"),
}
"""Of commands that are about some of them alone."""


def techniques(findings: AreaFindings) -> tuple[Technique, ...]:
    """All of them, or the command's own."""
    asked = _OWN.get(findings.measurement.command, TECHNIQUE_IDS)
    if findings.measurement.command == "map" and findings.measurement.action != "probe":
        asked = ()
    return tuple([_JUDGES[name](findings) for name in asked])
