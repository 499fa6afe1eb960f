"""A verdict for every technique that the report promises, in its order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from nattools.engine.analysis.connectivity import is_shared
from nattools.engine.analysis.findings import Findings, judged
from nattools.engine.analysis.portmap_verdicts import nat_pmp, pcp, upnp_igd
from nattools.engine.analysis.punching import tcp_punch, udp_birthday, udp_punch
from nattools.model.endpoint import Family
from nattools.model.nat import Nat
from nattools.model.report import TECHNIQUE_IDS, Technique, TechniqueId

_IDS: dict[Family, TechniqueId] = {4: "direct-ipv4", 6: "direct-ipv6"}
_FORWARD = "Ask your router for a port mapping (UPnP, NAT-PMP or PCP), or forward a port in its settings."
_OPEN = "Open the port in the firewall: on this machine, on the router, or with your provider."
_SETTLE = "A nattools serve outside would settle it: nattools diagnose --server HOST."


def direct(findings: Findings, family: Family) -> Technique:
    """A public address, and proof that what nobody asked for arrives at it."""
    udp, tcp = findings.nat("udp", family), findings.nat("tcp", family)
    own = findings.own_addresses(family)
    if not own:
        return _no_address(findings, family)
    measured = [nat for nat in (udp, tcp) if nat is not None and nat.present is not None]
    if any(nat.present for nat in measured):
        return _translated(findings, family, own, measured)
    if not any(findings.is_public(address) for address in own):
        return _private(family, own[0])
    if not measured:
        unknown = f"Nothing is known of IPv{family} from outside. {_SETTLE}"
        return judged(_IDS[family], "unknown", 0.0, unknown)
    return _public(family, udp, tcp)


def _no_address(findings: Findings, family: Family) -> Technique:
    if not findings.measurement.host.interfaces:
        return judged(_IDS[family], "unknown", 0.0, "This machine's addresses are not known.")
    how = "Your provider may offer IPv6: switch it on in the router." if family == 6 else ""
    return judged(_IDS[family], "fails", 1.0, f"This machine has no IPv{family} address.", how)


def _private(family: Family, address: str) -> Technique:
    why = f"{address} is a private address: nobody outside can write to it."
    return judged(_IDS[family], "fails", 0.95, why, _FORWARD if family == 4 else "")


def _translated(findings: Findings, family: Family, own: tuple[str, ...], measured: list[Nat]) -> Technique:
    nat = next(nat for nat in measured if nat.present)
    outside = nat.external[0] if nat.external else "another one"
    ids = nat.evidence.get("present", ())
    if findings.is_public(own[0]):
        why = f"Outside, {own[0]} is seen as {outside}: something translates."
    else:
        kind = "an address of your provider's own network" if is_shared(own[0]) else "a private address"
        why = f"{own[0]} is {kind}; outside you are {outside}."
    advice = _FORWARD if family == 4 and not nat.cgnat else ""
    if nat.cgnat:
        advice = "Your provider shares one address among customers: ask it for a public one, or use IPv6."
    return judged(_IDS[family], "fails", 0.99, why, advice, ids)


def _public(family: Family, udp: Nat | None, tcp: Nat | None) -> Technique:
    opened = {"UDP": _open(udp), "TCP": _open(tcp)}
    ids = tuple(i for nat in (udp, tcp) if nat is not None for i in nat.evidence.get("filtering", ()))
    yes = [name for name, value in opened.items() if value]
    no = [name for name, value in opened.items() if value is False]
    rest = [name for name, value in opened.items() if value is None]
    if len(yes) == 2:
        return judged(_IDS[family], "works", 0.99, "A public address, and unasked packets arrive.", "", ids)
    if yes:
        fault = f"{no[0]} is kept out" if no else f"{rest[0]} was not tried from outside"
        return judged(
            _IDS[family],
            "works",
            0.8,
            f"A public address, and unasked {yes[0]} arrives; {fault}.",
            _OPEN if no else _SETTLE,
            ids,
        )
    if no:
        also = f"; {rest[0]} was not tried" if rest else ""
        why = f"The address is public, but a firewall keeps out unasked {' and '.join(no)}{also}."
        return judged(_IDS[family], "fails", 0.8 if rest else 0.99, why, _OPEN, ids)
    untried = f"A public address, but nobody tried it from outside. {_SETTLE}"
    return judged(_IDS[family], "unknown", 0.0, untried, "", ids)


def _open(nat: Nat | None) -> bool | None:
    """Does what nobody asked for arrive?"""
    if nat is None:
        return None
    if nat.filtering == "endpoint-independent":
        return True
    known = nat.filtering != "unknown" or nat.classic == "symmetric firewall" or nat.reachable is False
    return False if known else None


_MEASURED: dict[TechniqueId, Callable[[Findings], Technique]] = {
    "direct-ipv4": partial(direct, family=4),
    "direct-ipv6": partial(direct, family=6),
    "upnp-igd": upnp_igd,
    "nat-pmp": nat_pmp,
    "pcp": pcp,
    "udp-punch": udp_punch,
    "udp-birthday": udp_birthday,
    "tcp-punch": tcp_punch,
}
_MEANWHILE: dict[TechniqueId, str] = {
    "pwnat": "The pwnat program tries it; both ends need it.",
    "relay-turn": "turnutils_uclient (coturn) tries a TURN server.",
    "relay-derp": "tailscale netcheck shows the latency to its DERP relays.",
    "lan": "ping tells whether a machine on your own network answers.",
    "libp2p": "A libp2p node's own AutoNAT tells whether others reach it.",
    "tailscale": "tailscale netcheck and tailscale ping tell.",
}


_OF_MAP: tuple[TechniqueId, ...] = ("upnp-igd", "nat-pmp", "pcp")


def techniques(findings: Findings) -> tuple[Technique, ...]:
    """All of them, but of `map` its own. What this version has no probe for is skipped, and says so."""
    asked: tuple[TechniqueId, ...] = TECHNIQUE_IDS
    if findings.measurement.command == "map":
        asked = _OF_MAP if findings.measurement.action == "probe" else ()
    return tuple([_MEASURED[name](findings) if name in _MEASURED else _skipped(name) for name in asked])


@cache
def _skipped(name: TechniqueId) -> Technique:
    return Technique(
        id=name,
        verdict="skipped",
        confidence=1.0,
        summary="This version has no probe for it yet.",
        advice=_MEANWHILE[name],
    )
