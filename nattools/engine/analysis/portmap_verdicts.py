"""Can the router be asked for port mappings, and are they true? A verdict for each protocol."""

from __future__ import annotations

from nattools.engine.analysis.connectivity import is_shared
from nattools.engine.analysis.findings import Findings, judged
from nattools.engine.analysis.portmappings import claimed_addresses, mappings, offers
from nattools.model.endpoint import Family, Transport
from nattools.model.observation import MapAttempt, MapCheck, MapOffer
from nattools.model.portmapping import NOT_REACHED, MappingProtocol, PortMapping, PortMappingError
from nattools.model.report import Technique

NAMES: dict[MappingProtocol, str] = {"upnp-igd": "UPnP", "nat-pmp": "NAT-PMP", "pcp": "PCP"}
_SETTLE = "A nattools serve outside would settle it: --server HOST."
_ADDRESS_MISMATCH = 12
_PCP_MISMATCH = "a NAT stands between this machine and the router that speaks PCP"
_NOT_HERE = {("upnp-igd", 501), ("nat-pmp", 3), ("pcp", 8), ("pcp", _ADDRESS_MISMATCH)}
_NO_ADDRESS = {("upnp-igd", 501), ("nat-pmp", 3), ("pcp", 8)}
"""What routers say that have no public address to map; some say it for other reasons too."""


def upnp_igd(findings: Findings) -> Technique:
    """UPnP's Internet Gateway Device."""
    return mapped(findings, "upnp-igd")


def nat_pmp(findings: Findings) -> Technique:
    """NAT-PMP (RFC 6886)."""
    return mapped(findings, "nat-pmp")


def pcp(findings: Findings) -> Technique:
    """PCP (RFC 6887)."""
    return mapped(findings, "pcp")


def mapped(findings: Findings, protocol: MappingProtocol) -> Technique:
    """What the router offers, what it did, and what was seen from outside."""
    seen = offers(findings.measurement, protocol)
    made = [each for each in mappings(findings.measurement) if each.protocol == protocol]
    if not seen and not made:
        return _unasked(findings, protocol)
    if made:
        return _tried(findings, protocol, made, seen)
    answered = [offer for offer in seen if offer.outcome == "answered"]
    if answered:
        return _not_tried(protocol, answered)
    return _silent(findings, protocol, seen)


def true_mappings(findings: Findings, family: Family = 4) -> dict[Transport, PortMapping]:
    """A mapping for each transport that packets from outside came through."""
    found: dict[Transport, PortMapping] = {}
    for each in mappings(findings.measurement):
        if each.verified_inbound and each.family == family:
            found.setdefault(each.transport, each)
    return found


def router_page(findings: Findings) -> str:
    """Where the router's settings are, as far as that can be guessed: " (http://192.168.1.1)"."""
    gateways = findings.measurement.host.gateways
    address = next((g.address for g in gateways if g.family == 4 and g.address), None)
    return f" (http://{address})" if address else ""


def beyond(findings: Findings) -> str | None:
    """Why a mapping on the router here cannot be reached from outside: a NAT beyond it. None: no sign of
    one."""
    nat = findings.nat("udp", 4)
    outside = nat.external if nat is not None else ()
    for claimed in claimed_addresses(findings.measurement):
        if not findings.is_public(claimed):
            whose = "your provider runs a second NAT" if is_shared(claimed) else "there is a second NAT"
            return f"the router's own outside address, {claimed}, is not public: {whose} beyond it"
        if outside and claimed not in outside:
            return f"the router calls {claimed} its outside address, but outside you are {outside[0]}"
    said = _refusals(findings)
    if ("pcp", _ADDRESS_MISMATCH) in said:
        return _PCP_MISMATCH
    if not claimed_addresses(findings.measurement) and not _NO_ADDRESS.isdisjoint(said):
        return "the router has no public address itself: there is a second NAT beyond it"
    return None


def warnings(findings: Findings) -> tuple[str, ...]:
    """What a reader should know about the routers, and what could not be removed."""
    found = []
    why = beyond(findings)
    if why is not None:
        found.append(f"{why[:1].upper()}{why[1:]}. {NOT_REACHED}")
    for each in mappings(findings.measurement):
        removal = _removal(findings, each)
        if removal is not None and not each.removed:
            found.append(_left(each, removal))
    return tuple(found)


def _removal(findings: Findings, mapping: PortMapping) -> MapAttempt | None:
    """The last attempt at removing it."""
    ids = set(mapping.evidence)
    seen = (each for each in findings.measurement.observations if isinstance(each, MapAttempt))
    return next((o for o in reversed(tuple(seen)) if o.id in ids and o.action == "delete"), None)


def _left(mapping: PortMapping, removal: MapAttempt) -> str:
    name = f"The {NAMES[mapping.protocol]} mapping of {mapping.transport} {mapping.internal}"
    if removal.outcome == "not asked":
        return f"{name} was left on the router: {removal.detail or 'it could not be asked'}."
    if not mapping.created:
        return (
            f"{name} may be there all the same: its removal failed. nattools map delete --mine tries again."
        )
    ends = f"; it ends by itself within {mapping.lifetime_s} s" if mapping.lifetime_s else ""
    return f"{name} could not be removed{ends}. nattools map delete --mine tries again."


def _refusals(findings: Findings) -> list[tuple[MappingProtocol, int]]:
    """Every code that a router gave, by protocol."""
    return [
        (seen.protocol, seen.refusal.code)
        for seen in findings.measurement.observations
        if isinstance(seen, MapOffer | MapAttempt) and seen.refusal is not None
    ]


def _unasked(findings: Findings, protocol: MappingProtocol) -> Technique:
    host = findings.measurement.host
    asks = findings.measurement.command in ("diagnose", "map")
    if asks and host.interfaces and not any(gateway.address for gateway in host.gateways):
        why = "There is no router with an address on this network to ask."
        return judged(protocol, "fails", 0.9, why)
    return judged(protocol, "unknown", 0.0, "The router was not asked: nattools map probe asks it.")


def _silent(findings: Findings, protocol: MappingProtocol, seen: list[MapOffer]) -> Technique:
    """Nothing that speaks the protocol."""
    ids = tuple(offer.id for offer in seen)
    refused = next((offer for offer in seen if offer.refusal is not None), None)
    if refused is not None and refused.refusal is not None:
        told = refused.refusal
        return judged(protocol, "fails", 0.9, f"{told.name}: {told.meaning}", told.advice, ids)
    odd = next((offer for offer in seen if offer.outcome == "malformed"), None)
    if odd is not None:
        why = f"Something answered, but not as {NAMES[protocol]} would: {odd.detail}."
        return judged(protocol, "fails", 0.8, why, _switch_on(findings, protocol), ids)
    closed = all(offer.outcome in ("unreachable", "refused") for offer in seen)
    why = "The router has it closed." if closed else "Nothing answered."
    return judged(protocol, "fails", 0.95 if closed else 0.9, why, _switch_on(findings, protocol), ids)


def _switch_on(findings: Findings, protocol: MappingProtocol) -> str:
    nat = findings.nat("udp", 4) or findings.nat("tcp", 4)
    if nat is not None and nat.present is False:
        return ""  # nothing translates, so there is nothing to be mapped
    return f"Switch on {NAMES[protocol]} in your router's settings{router_page(findings)}, if it has that."


def _not_tried(protocol: MappingProtocol, answered: list[MapOffer]) -> Technique:
    ids = tuple(offer.id for offer in answered)
    told = next((offer.refusal for offer in answered if offer.refusal is not None), None)
    if told is not None:
        return judged(protocol, "fails", 0.8, f"{told.name}: {told.meaning}", told.advice, ids)
    why = "The router speaks it; no mapping was tried: nattools map probe tries one."
    return judged(protocol, "unknown", 0.0, why, "", ids)


def _tried(
    findings: Findings, protocol: MappingProtocol, made: list[PortMapping], seen: list[MapOffer]
) -> Technique:
    ids = tuple(sorted({*(o.id for o in seen), *(i for each in made for i in each.evidence)}))
    true = [each for each in made if each.verified_inbound]
    if true:
        return _works(protocol, made, true, ids)
    false = [each for each in made if each.verified_inbound is False]
    if false:
        return _lied(findings, protocol, false, ids)
    granted = [each for each in made if each.created]
    if granted:
        return _unverified(findings, protocol, granted, ids)
    told = next((each.error for each in made if each.error is not None), None)
    if told is None:
        return judged(protocol, "unknown", 0.0, "No mapping was tried.", "", ids)
    return _refused(findings, protocol, told, ids)


def _refused(
    findings: Findings, protocol: MappingProtocol, told: PortMappingError, ids: tuple[int, ...]
) -> Technique:
    if told.name == "not asked":
        why = "The router forbids the port by UPnP; asking it by this protocol too could freeze it."
        return judged(protocol, "unknown", 0.0, why, "Allow it in the router's settings.", ids)
    code = "" if told.code is None else f" ({told.code} {told.name})"
    further = None
    if told.code is None or (protocol, told.code) in _NOT_HERE:
        further = beyond(findings)
    if further is not None:
        summary = f"It is switched on, but {further}{code}."
        return judged(protocol, "fails", 0.97, summary, advice_beyond(findings), ids)
    return judged(protocol, "fails", 0.97, f"No mapping{code}: {told.meaning}", told.advice, ids)


def _works(
    protocol: MappingProtocol, made: list[PortMapping], true: list[PortMapping], ids: tuple[int, ...]
) -> Technique:
    ports, pinholes = ([each for each in true if each.family == family] for family in (4, 6))
    found = [f"a port for everybody, over {_over(ports)}"] if ports else []
    found += [f"an IPv6 pinhole, over {_over(pinholes)}"] if pinholes else []
    why = f"The router opened {', and '.join(found)}; proven from outside."
    proven = {(each.transport, each.family) for each in true}
    others = [each for each in made if (each.transport, each.family) not in proven]
    failing = [each for each in others if each.verified_inbound is False or not each.created]
    untried = [each for each in others if each not in failing]
    why += _except("Not", failing) + _except("Nobody tried it", untried)
    return judged(protocol, "works", 0.85 if failing else 0.99, why, "", ids)


def _except(words: str, found: list[PortMapping]) -> str:
    """For which transports and families it is otherwise; "" for none."""
    families: list[Family] = sorted({each.family for each in found})
    parts = [_over([each for each in found if each.family == n]) + (" by IPv6" * (n == 6)) for n in families]
    return f" {words} over {_and(parts)}." if parts else ""


def _over(found: list[PortMapping]) -> str:
    return _and(sorted({each.transport.upper() for each in found}, reverse=True))


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _lied(
    findings: Findings, protocol: MappingProtocol, false: list[PortMapping], ids: tuple[int, ...]
) -> Technique:
    why = beyond(findings)
    if why is not None:
        summary = f"The router said yes, but nothing arrives from outside: {why}."
        return judged(protocol, "fails", 0.97, summary, advice_beyond(findings), ids)
    at = false[0].external or "the port"
    summary = f"The router said yes to {at}, but nothing arrives there from outside."
    advice = (
        "Look for a firewall on this machine and in the router's settings; if there is none, the router's "
        "word is not true: restart it, or forward the port by hand."
    )
    return judged(protocol, "fails", 0.95, summary, advice, ids)


def advice_beyond(findings: Findings) -> str:
    """What to do about a NAT beyond the router."""
    nat = findings.nat("udp", 4)
    shared = any(is_shared(each) for each in claimed_addresses(findings.measurement))
    if shared or (nat is not None and nat.cgnat):
        return "Ask your provider for a public IPv4 address, or use IPv6."
    return (
        "If both routers are yours, set one to bridge mode or forward the port on the outer one as well; "
        "else ask your provider for a public IPv4 address, or use IPv6."
    )


def _unverified(
    findings: Findings, protocol: MappingProtocol, granted: list[PortMapping], ids: tuple[int, ...]
) -> Technique:
    why = beyond(findings)
    if why is not None:
        summary = f"The router makes mappings, but {why}."
        return judged(protocol, "fails", 0.8, summary, advice_beyond(findings), ids)
    checked = {check.id for check in findings.measurement.observations if isinstance(check, MapCheck)}
    failed = any(i in checked for each in granted for i in each.evidence)
    tried = "the server that was to try it failed" if failed else "nobody tried it from outside"
    at = granted[0].external or "a port"
    return judged(protocol, "unknown", 0.0, f"The router said yes to {at}; {tried}. {_SETTLE}", "", ids)
