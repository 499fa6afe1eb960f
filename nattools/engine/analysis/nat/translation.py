"""What was asked through a NAT64 (RFC 6146) is about IPv4: the server's address is an IPv4 one within an IPv6
one, and what the server sees is the NAT64's IPv4 address.

A prefix is known by being the well-known one (RFC 6052 2.1), or by an answer: the server names as its own the
IPv4 address that stands in the last 32 bits of the one that was asked, or sees an IPv4 client where a public
address stands there.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from nattools.model.endpoint import Endpoint, parse_endpoint
from nattools.model.observation import AnyObservation, Binding, Connection, Gap, Nat64
from nattools.model.statement import Statement, statement
from nattools.net.addresses import is_public
from nattools.protocols.nat64 import WELL_KNOWN, Nat64Prefix, embedded, prefix_of


def prefixes(observations: Iterable[AnyObservation]) -> set[Nat64Prefix]:
    """The prefixes of the NAT64s here."""
    found = {WELL_KNOWN}
    for seen in observations:
        if not isinstance(seen, Binding) or seen.family != 6:
            continue
        asked, origin = _at(seen.asked), _at(seen.response_origin)
        prefix = None if asked is None else prefix_of(asked.host)
        inner = None if asked is None or prefix is None else embedded(asked, prefix)
        if prefix is None or inner is None:
            continue
        mapped = _at(seen.mapped)
        sees_ipv4 = mapped is not None and mapped.family == 4 and is_public(inner.host)
        if sees_ipv4 or (origin is not None and inner.host == origin.host):
            found.add(prefix)
    return found


def as_ipv4(seen: AnyObservation, known: set[Nat64Prefix]) -> AnyObservation:
    """The observation as one of IPv4 if it was made through a NAT64, else as it is."""
    if isinstance(seen, Connection) and seen.family == 6:
        inner = _inner(seen.remote, known)
        return seen if inner is None else replace(seen, family=4, remote=inner)
    if isinstance(seen, Binding) and seen.family == 6:
        inner = _inner(seen.asked, known)
        source = _inner(seen.source, known) or seen.source
        return seen if inner is None else replace(seen, family=4, asked=inner, source=source)
    return seen


_LEADS_NOWHERE = {"router": "nat64-of-router-leads-nowhere", "dns": "nat64-of-dns-leads-nowhere"}
"""By who said that there is a NAT64; of a guess nothing is said."""


def notices(observations: Iterable[AnyObservation]) -> list[Statement]:
    """What a reader should know of it."""
    seen = tuple(observations)
    tried = [each for each in seen if isinstance(each, Nat64)]
    found = [
        statement(_LEADS_NOWHERE[each.learnt], prefix=each.prefix)
        for each in tried
        if each.works is False and each.learnt in _LEADS_NOWHERE
    ]
    for each in tried:
        if each.used:
            found.append(statement("ipv4-by-nat64", prefix=each.prefix))
            if each.learnt == "guess":
                found.append(statement("nat64-not-named", prefix=each.prefix))
    if any(isinstance(each, Gap) and each.probe == "nat64" for each in seen):
        found.append(statement("nat64-unasked"))
    over_ipv6 = [each for each in seen if isinstance(each, (Binding, Connection)) and each.family == 6]
    known = prefixes(over_ipv6)
    if any(as_ipv4(each, known) is not each for each in over_ipv6):
        found.append(statement("through-nat64"))
    return found


def _inner(text: str | None, known: set[Nat64Prefix]) -> str | None:
    at = _at(text)
    prefix = None if at is None else prefix_of(at.host)
    inner = embedded(at, prefix) if at is not None and prefix in known and prefix is not None else None
    return None if inner is None else str(inner)


def _at(text: str | None) -> Endpoint | None:
    try:
        return None if text is None else parse_endpoint(text)
    except ValueError:
        return None
