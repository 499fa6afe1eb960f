"""Where a measurement ended to which nothing outside answered, and what helps there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nattools.engine.analysis.findings import is_usable
from nattools.model.ending import Ending, EndingStep
from nattools.model.endpoint import Family
from nattools.model.host import Host
from nattools.model.observation import FORBIDDEN_HERE, AnyObservation, Binding, Hop, Portal, Resolution
from nattools.model.report import Server
from nattools.model.statement import Statement, statement

REFUSED = "ending-refused"
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
    if not up:
        return _at("link", statement("ending-no-link", interfaces=named))
    if not any(is_usable(address.partition("%")[0]) for each in up for address in each.addresses):
        return _at("address", statement("ending-no-address", interfaces=tuple(each.name for each in up)))
    asked = [each for each in observations if isinstance(each, Binding)]
    if not host.ways and not asked:
        return _at("route", statement("ending-no-route", families=tuple(f"IPv{each}" for each in families)))
    if not asked:
        return _at("dns", *_names(observations))
    met = next((each for each in observations if isinstance(each, Portal)), None)
    if met is not None:
        return _at("portal", statement("ending-portal", asked=met.asked))
    over_udp = [each for each in asked if each.transport == "udp"]
    if over_udp and all(each.detail == FORBIDDEN_HERE for each in over_udp):
        return _at("firewall", statement("ending-forbidden"))
    return _at("answer", _asked(servers), *_refused(asked), *_way(observations))


def _at(step: EndingStep, *reason: Statement) -> Ending:
    return Ending(step=step, reason=reason)


def _names(observations: Iterable[AnyObservation]) -> list[Statement]:
    failed = [each for each in observations if isinstance(each, Resolution) and not each.addresses]
    shown = [statement("ending-no-name", name=each.name, detail=each.error) for each in failed[:1]]
    if len(failed) > 1:
        shown.append(statement("ending-no-names", names=tuple(each.name for each in failed[1:_MOST_SERVERS])))
    return shown


def _asked(servers: Iterable[Server]) -> Statement:
    named = tuple(dict.fromkeys(server.uri for server in servers))
    return statement("ending-no-answer", servers=named[:_MOST_SERVERS])


def _refused(asked: Iterable[Binding]) -> list[Statement]:
    who = tuple(dict.fromkeys(each.asked for each in asked if each.outcome == "refused"))
    return [statement(REFUSED, ports=who[:_MOST_SERVERS])] if who else []


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
    if any(each.code == REFUSED for each in ended.reason):
        return statement("ended-refused")
    return statement(_HEADLINES[ended.step])


def remedies(ended: Ending) -> list[Statement]:
    """What helps at that step; nothing for a portal, which has an address of its own to name."""
    return [statement(code) for code in _REMEDIES.get(ended.step, ())]
