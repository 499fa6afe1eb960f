"""Plain words for the terms of a report, and how its numbers and times are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nattools.model.nat import (
        Classic,
        FilteringBehaviour,
        MappingBehaviour,
        PortAllocation,
        QuotedChecksumKind,
    )
    from nattools.model.report import TechniqueId, Verdict

TIE = "\u00a0"
"""Stands for a space at which a line must not break; renderers draw it as a space."""
TECHNIQUES: dict[TechniqueId, str] = {
    "direct-ipv4": "Direct IPv4",
    "direct-ipv6": "Direct IPv6",
    "upnp-igd": "UPnP",
    "nat-pmp": "NAT-PMP",
    "pcp": "PCP",
    "udp-punch": "UDP hole punching",
    "udp-birthday": "UDP birthday probes",
    "tcp-punch": "TCP hole punching",
    "pwnat": "pwnat (ICMP)",
    "relay-turn": "Relay: TURN",
    "relay-derp": "Relay: DERP",
    "lan": "Local network",
    "libp2p": "libp2p",
    "tailscale": "Tailscale",
}
VERDICTS: dict[Verdict, str] = {"works": "yes", "fails": "no", "unknown": "unknown", "skipped": "skipped"}
MAPPINGS: dict[MappingBehaviour, str] = {
    "none": "no translation: others see your own address",
    "endpoint-independent": "one external port for all peers",
    "address-dependent": "a different external port for each peer address",
    "address-and-port-dependent": "a different external port for each peer address and port",
    "unknown": "not known",
}
FILTERINGS: dict[FilteringBehaviour, str] = {
    "endpoint-independent": "lets anybody in, once a port is in use",
    "address-dependent": "lets in only addresses that you sent to",
    "address-and-port-dependent": "lets in only addresses and ports that you sent to",
    "unknown": "not known",
}
ALLOCATIONS: dict[PortAllocation, str] = {
    "preserving": "keeps the internal port where it is free",
    "sequential": "takes one port after another",
    "random": "takes ports at random",
    "unknown": "not known",
}
QUOTED_CHECKSUMS: dict[QuotedChecksumKind, str] = {
    "restored": "restored, as they were sent",
    "translated": "left as they were outside: they give the external port away",
    "removed": "taken out",
    "unclear": "neither restored nor those from outside",
    "unknown": "not known",
}
POOLINGS: dict[str, str] = {
    "arbitrary": "any of them for a port",
    "per-destination": "one for each destination",
}
"""How a NAT deals out several external addresses."""
CLASSICS: dict[Classic, str] = {
    "open internet": "open internet",
    "symmetric firewall": "symmetric firewall (no NAT)",
    "full cone": "full cone",
    "restricted cone": "restricted cone",
    "port-restricted cone": "port-restricted cone",
    "symmetric": "symmetric",
    "udp blocked": "UDP blocked",
    "unknown": "unknown",
}
IMPOSSIBLE: dict[str, str] = {
    "port 0": "with port 0",
    "server": "its own address",
    "family": "an address of the other family",
    "inside": "your address inside, as if something on the way had rewritten its answer (an ALG)",
    "private": "a private address that is not yours",
    "loopback": "a loopback address",
    "link-local": "a link-local address",
    "multicast": "a multicast address",
    "unspecified": "no address",
    "documentation": "an address for documents",
    "translated": "an address that stands for another one",
    "reserved": "a reserved address",
    "none": "no address",
}
"""Why an address that a server names cannot be how it sees us (`nattools.net.mappedaddress`)."""
STRATEGIES: dict[str, str] = {
    "host": "directly to its address",
    "reflexive": "hole punching",
    "mapped": "through a port mapping",
    "low-ttl": "hole punching with a low TTL",
    "prediction": "hole punching, predicting ports",
    "birthday": "hole punching, birthday probes",
    "simultaneous-open": "TCP simultaneous open",
    "relay": "through a relay",
}
TERMS: dict[str, str] = {"none": "no NAT", "unknown": "unknown"}


def term(value: str) -> str:
    """An RFC's term; the report's own words for what the RFCs have no term for."""
    return TERMS.get(value, value)


def yes_no(value: bool | None) -> str:
    """yes, no or unknown."""
    return "unknown" if value is None else "yes" if value else "no"


def number(value: float) -> str:
    """A number with at most three significant digits and without a needless fraction."""
    if value == round(value, 0) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3g}"


_YEAR_S = 365.25 * 86400


def seconds(value: float) -> str:
    """A duration in the unit that suits it: `35 ms`, `1.2 s`, `5 min`, `2 h 4 min`, `7 days`, `136 years`,
    its spaces tied."""
    if not 0 <= value < 1e10:
        return f"{value:.3g}{TIE}s"
    if value >= 2 * _YEAR_S:
        return f"{number(value // _YEAR_S)}{TIE}years"
    if value < 1:
        return f"{number(value * 1000)}{TIE}ms"
    if value < 120:
        return f"{number(round(value, 1))}{TIE}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}{TIE}min" + (f"{TIE}{rest}{TIE}s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    if hours >= 72:
        return f"{number(round(hours / 24))}{TIE}days"
    return f"{hours}{TIE}h" + (f"{TIE}{minutes}{TIE}min" if minutes else "")


def percent(share: float) -> str:
    """A share in 0..1 as per cent; never "100%" or "0%" for what is only nearly so."""
    if 0.995 <= share < 1:
        return "over 99%"
    if 0 < share < 0.005:
        return "under 1%"
    return f"{number(round(share * 100))}%" if abs(share) < 1e6 else f"{share:.3g}"


def chance(odds: float) -> str:
    """A probability in 0..1 as people read it; never more certain than it is."""
    if odds >= 1.0:
        return "100%"
    if odds >= 0.9999:
        return "over 99.99%"
    return f"{100 * odds:.2f}%" if odds > 0.98 else f"{100 * odds:.0f}%"


def milliseconds(value: float) -> str:
    """A round trip: `0.4 ms`, `35 ms`, `2.1 s`, its space tied."""
    if 1000 <= value < 1e9:
        return seconds(value / 1000)
    return f"{number(round(value, 1))}{TIE}ms" if abs(value) < 1e6 else f"{value:.3g}{TIE}ms"


def known_ms(value: float | None) -> str:
    """The same; nothing where there is none."""
    return "" if value is None else milliseconds(value)


def evidence(ids: tuple[int, ...]) -> str:
    """References to observations, as `#3 #7`; the first five of many."""
    shown = " ".join(f"#{one}" for one in ids[:5])
    return f"{shown} and {len(ids) - 5} more" if len(ids) > 5 else shown
