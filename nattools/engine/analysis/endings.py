"""Where a measurement ended to which nothing outside answered, and what helps there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nattools.model.ending import Ending, EndingStep
from nattools.model.endpoint import Family, family_of
from nattools.model.host import Host
from nattools.model.observation import (
    FORBIDDEN_HERE,
    AnyObservation,
    Binding,
    Connection,
    Hop,
    Outcome,
    Portal,
    Resolution,
)
from nattools.model.report import Server
from nattools.model.statement import Statement, statement
from nattools.net.addresses import leaves_link

REFUSED = "ending-refused"
OTHER_FAMILY = "ending-other-family"
_HALTED: dict[Outcome, str] = {
    "reset": "ending-cut",
    "tls": "ending-no-tls",
    "malformed": "ending-not-stun",
    "timeout": "ending-mute",
}
"""What became of questions over connections that had been made."""
_MOST_SERVERS = 5
_HEADLINES: dict[EndingStep, str] = {
    "link": "ended-without-link",
    "address": "ended-without-address",
    "route": "ended-without-route",
    "dns": "ended-without-names",
    "firewall": "ended-at-own-firewall",
    "portal": "behind-portal",
    "answer": "offline",
}
_REMEDIES: dict[EndingStep, tuple[str, ...]] = {
    "link": ("connect-network",),
    "address": ("get-address",),
    "route": ("no-default-route",),
    "dns": ("check-names", "name-by-address"),
    "firewall": ("open-own-firewall",),
    "answer": ("check-cable", "try-other-server"),
}


def ending(
    host: Host,
    families: Sequence[Family],
    servers: Iterable[Server],
    observations: Sequence[AnyObservation],
) -> Ending:
    """The first step that failed, of a measurement of which it is known that nothing outside answered.
    `families`: those that were asked for."""
    outside = [each for each in host.interfaces if each.kind != "loopback"]
    up = [each for each in outside if each.up]
    named = tuple(each.name for each in outside)
    if not named:
        return _at("link", statement("ending-no-interface"))
    if not up:
        return _at("link", statement("ending-no-link", interfaces=named))
    if not any(leaves_link(address) for each in up for address in each.addresses):
        return _at("address", statement("ending-no-address", interfaces=tuple(each.name for each in up)))
    asked = [each for each in observations if isinstance(each, Binding)]
    called = [each for each in observations if isinstance(each, Connection)]
    if not host.ways and not (asked or called):
        return _at("route", statement("ending-no-route", families=tuple(f"IPv{each}" for each in families)))
    if not (asked or called):
        looked_up = [each for each in observations if isinstance(each, Resolution)]
        if looked_up and all(each.addresses for each in looked_up):
            return _at("route", *_other_family(looked_up, families))
        return _at("dns", *_names(looked_up))
    met = next((each for each in observations if isinstance(each, Portal)), None)
    if met is not None:
        return _at("portal", statement("ending-portal", asked=met.asked))
    over_udp = [each for each in asked if each.transport == "udp"]
    if over_udp and all(each.detail == FORBIDDEN_HERE for each in over_udp):
        return _at("firewall", statement("ending-forbidden"))
    stopped = (*_refused(asked, called), *_halted(asked), *_prohibited(asked))
    return _at("answer", _asked(servers), *stopped, *_way(observations))


def _at(step: EndingStep, *reason: Statement) -> Ending:
    return Ending(step=step, reason=reason)


def _other_family(looked_up: Sequence[Resolution], families: Sequence[Family]) -> list[Statement]:
    """What is said of servers all of whose addresses are of a family that cannot be asked."""
    named = tuple(dict.fromkeys(each.name for each in looked_up))[:_MOST_SERVERS]
    found = sorted({family_of(address) for each in looked_up for address in each.addresses})
    only = tuple(f"IPv{family}" for family in found)
    wanted = any(family in families for family in found)
    missing = "ending-no-route" if wanted else "ending-not-asked"
    return [statement(OTHER_FAMILY, families=only, servers=named), statement(missing, families=only)]


def _names(looked_up: Iterable[Resolution]) -> list[Statement]:
    failed = [each for each in looked_up if not each.addresses]
    shown = [statement("ending-no-name", name=each.name, detail=each.error) for each in failed[:1]]
    if len(failed) > 1:
        shown.append(statement("ending-no-names", names=tuple(each.name for each in failed[1:_MOST_SERVERS])))
    return shown


def _asked(servers: Iterable[Server]) -> Statement:
    named = tuple(dict.fromkeys(server.uri for server in servers))
    return statement("ending-no-answer", servers=named[:_MOST_SERVERS])


def _refused(asked: Iterable[Binding], called: Iterable[Connection]) -> list[Statement]:
    """Ports of which an ICMP error says so, or a reset that answers a SYN (RFC 9293 3.10.7.1)."""
    who = dict.fromkeys(each.asked for each in asked if each.outcome == "refused")
    who |= dict.fromkeys(each.remote for each in called if each.outcome in ("refused", "reset"))
    return [statement(REFUSED, ports=tuple(who)[:_MOST_SERVERS])] if who else []


def _halted(asked: Sequence[Binding]) -> list[Statement]:
    """What came over connections instead of an answer."""
    over_tcp = [each for each in asked if each.transport == "tcp"]
    found = []
    for outcome, code in _HALTED.items():
        met = {each.asked: each.detail for each in over_tcp if each.outcome == outcome}
        if met:
            ports = tuple(met)[:_MOST_SERVERS]
            found.append(statement(code, ports=ports, detail=met[ports[0]]))
    return found


def _prohibited(asked: Iterable[Binding]) -> list[Statement]:
    """Who says so on the way (RFC 1812 5.2.7.1)."""
    told = (each.offender for each in asked if each.outcome == "prohibited")
    who = tuple(dict.fromkeys(each for each in told if each is not None))
    return [statement("ending-prohibited", routers=who[:_MOST_SERVERS])] if who else []


def _way(observations: Iterable[AnyObservation]) -> list[Statement]:
    """How far packets got: the farthest router that answered."""
    hops = [each for each in observations if isinstance(each, Hop)]
    answered = [each for each in hops if each.address is not None]
    if answered:
        farthest = max(answered, key=lambda each: each.ttl)
        return [statement("ending-got-as-far", address=farthest.address, hops=farthest.ttl)]
    return [statement("ending-no-hop")] if hops else []


def headline(ended: Ending) -> Statement:
    """The first line of the report."""
    codes = {each.code for each in ended.reason}
    if not codes.isdisjoint(_HALTED.values()):
        return statement("ended-halted")
    if REFUSED in codes:
        return statement("ended-refused")
    if OTHER_FAMILY in codes:
        return statement("ended-other-family")
    return statement(_HEADLINES[ended.step])


def remedies(ended: Ending) -> list[Statement]:
    """What helps at that step; nothing for a portal, which has an address of its own to name."""
    codes = {each.code for each in ended.reason}
    if OTHER_FAMILY in codes:
        return [statement("name-other-family")]
    if not codes.isdisjoint((REFUSED, *_HALTED.values())):
        return [statement("check-port")]
    return [statement(code) for code in _REMEDIES.get(ended.step, ())]
