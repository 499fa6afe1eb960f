"""Which mappings came about, from what was asked of routers and what a server outside saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from nattools.engine.analysis.evidence import endpoint
from nattools.model.endpoint import Endpoint, Family
from nattools.model.observation import AnyObservation, MapAttempt, MapCheck, MapEntry, MapOffer
from nattools.model.portmapping import MappingProtocol, PortMapping, PortMappingError
from nattools.wording.refusals import no_answer

_Key = tuple[str, ...]
_ABOUT_ROUTERS = (MapOffer, MapAttempt, MapCheck, MapEntry)


@dataclass(slots=True)
class _Requests:
    """All that concerns one internal endpoint by one protocol."""

    attempts: list[MapAttempt] = field(default_factory=list)
    checks: list[MapCheck] = field(default_factory=list)


class RouterEvidence(msgspec.Struct, frozen=True, dict=True):
    """All that routers said about port mappings, and that a server outside saw of them, in order."""

    offers: tuple[MapOffer, ...] = ()
    attempts: tuple[MapAttempt, ...] = ()
    checks: tuple[MapCheck, ...] = ()
    entries: tuple[MapEntry, ...] = ()

    def offers_of(self, protocol: MappingProtocol) -> list[MapOffer]:
        """What routers said to the question whether they speak a protocol."""
        return [offer for offer in self.offers if offer.protocol == protocol]

    @cached_property
    def astray(self) -> dict[str, str]:
        """Own addresses from which packets leave past the router that was asked for mappings to them, and
        the interface by which."""
        known = (each for each in self.offers if each.replies not in (None, each.interface))
        return {each.local.partition("%")[0]: each.replies or "" for each in known}

    def leads_astray(self, internal: str) -> bool:
        """Has what comes in by a mapping to this endpoint no way back?"""
        at = endpoint(internal)
        return at is not None and at.host in self.astray

    @cached_property
    def claimed_addresses(self) -> tuple[str, ...]:
        """The IPv4 addresses that routers on the path call their own outside ones, each once."""
        found = [
            (each.id, each.external)
            for each in self.offers
            if each.family == 4 and each.external and each.local not in self.astray
        ]
        for attempt in self.attempts:
            at, inside = endpoint(attempt.external), endpoint(attempt.internal)
            if attempt.family != 4 or attempt.outcome != "granted" or at is None:
                continue
            if inside is None or inside.host not in self.astray:
                found.append((attempt.id, at.host))
        return tuple(dict.fromkeys(address for _, address in sorted(found)))

    @cached_property
    def refusals(self) -> frozenset[tuple[MappingProtocol, int]]:
        """Every code of its own that a router gave, with its protocol."""
        said: tuple[MapOffer | MapAttempt, ...] = (*self.offers, *self.attempts)
        told = ((each.protocol, each.refusal) for each in said)
        return frozenset((protocol, why.code) for protocol, why in told if why is not None and not why.http)

    @cached_property
    def mappings(self) -> tuple[PortMapping, ...]:
        """A row for each mapping that was asked for, in the order in which they came up, and then for each
        that was found, in the order of ports: routers' tables have none."""
        requests: dict[_Key, _Requests] = {}
        for attempt in self.attempts:
            requests.setdefault(_key_of(attempt, requests), _Requests()).attempts.append(attempt)
        for check in self.checks:
            if _key(check) in requests:
                requests[_key(check)].checks.append(check)
        rows = sorted(
            self.entries, key=lambda row: (row.family, row.external_port, row.transport, row.protocol)
        )
        return (*map(self._made, requests.values()), *map(self._found, rows))

    def _made(self, asked_for: _Requests) -> PortMapping:
        """One mapping from what was asked about it: the last word counts. What was deleted before it was made
        is one that an earlier start had left."""
        first = asked_for.attempts[0]
        asked = [each for each in asked_for.attempts if each.action in ("make", "renew")]
        granted = [each for each in asked if each.outcome == "granted"]
        last = granted[-1] if granted else None
        since = last.id if last is not None else -1
        deletions = [each for each in asked_for.attempts if each.action == "delete" and each.id > since]
        known = last or next((each for each in deletions if each.external), None)
        failed = asked[-1] if asked and not granted else None
        if not asked and deletions and deletions[-1].outcome != "deleted":
            failed = deletions[-1]
        return PortMapping(
            protocol=first.protocol,
            transport=first.transport,
            family=first.family,
            internal=first.internal,
            external=self._in_full(known.external, known.protocol, known.family) if known else None,
            lifetime_s=(last.lifetime_s or _read_back_s(asked_for)) if last else None,
            created=known is not None,
            verified_inbound=_verified(asked_for.checks) and not self.leads_astray(first.internal),
            error=None if failed is None else _error(failed),
            removed=bool(deletions) and deletions[-1].outcome == "deleted",
            evidence=tuple(sorted(each.id for each in (*asked_for.attempts, *asked_for.checks))),
        )

    def _found(self, row: MapEntry) -> PortMapping:
        return PortMapping(
            protocol=row.protocol,
            transport=row.transport,
            family=row.family,
            internal=row.internal,
            external=self._outside(row),
            lifetime_s=row.lifetime_s,
            created=True,
            description=row.description,
            evidence=(row.id,),
        )

    def _outside(self, row: MapEntry) -> str | None:
        """Where others reach it. A pinhole without another address leads to the inside one."""
        inside = endpoint(row.internal) if row.family == 6 else None
        host = row.external_host or (inside.host if inside is not None else None)
        if host is not None:
            return str(Endpoint(host, row.external_port))
        return self._in_full(f":{row.external_port}", row.protocol, 4)

    def _in_full(self, text: str | None, protocol: MappingProtocol, family: Family) -> str | None:
        """An external endpoint in full, where some router has told its address (over IPv4 alone they do)."""
        if text is None or not text.startswith(":") or family == 6:
            return text
        claims = [offer.external for offer in self.offers_of(protocol) if offer.external]
        return str(Endpoint(claims[0], int(text[1:]))) if claims and text[1:].isdigit() else text


def router_evidence(observations: Iterable[AnyObservation]) -> RouterEvidence:
    """Those of a measurement's observations that routers and their mappings are judged by."""
    seen = [each for each in observations if isinstance(each, _ABOUT_ROUTERS)]
    return RouterEvidence(
        tuple(each for each in seen if isinstance(each, MapOffer)),
        tuple(each for each in seen if isinstance(each, MapAttempt)),
        tuple(each for each in seen if isinstance(each, MapCheck)),
        tuple(each for each in seen if isinstance(each, MapEntry)),
    )


def _key(seen: MapAttempt | MapCheck) -> _Key:
    return seen.protocol, seen.transport, seen.internal


def _key_of(seen: MapAttempt, requests: dict[_Key, _Requests]) -> _Key:
    """One internal endpoint may have several mappings, by the external port; when they are made nobody knows
    that yet."""
    key = _key(seen)
    if seen.action != "delete" or seen.external is None or key not in requests:
        return key
    known = any(each.external == seen.external for each in requests[key].attempts)
    return key if known else (*key, seen.external)


def _read_back_s(asked_for: _Requests) -> int | None:
    """What the router's table says of a mapping without an end: IGD:2 makes a week of it."""
    found = [each for each in asked_for.attempts if each.action == "read back" and each.outcome == "found"]
    return found[-1].lifetime_s if found else None


def _verified(checks: Iterable[MapCheck]) -> bool | None:
    """What the last check that means something says."""
    value: bool | None = None
    for check in checks:
        if check.outcome == "arrived":
            value = True
        elif check.outcome in ("silent", "refused", "unreachable"):
            value = False
    return value


def _error(attempt: MapAttempt) -> PortMappingError:
    """Why an attempt failed, in plain words."""
    refusal = attempt.refusal
    if refusal is None:
        return no_answer(attempt.outcome, attempt.detail)
    code = None if refusal.http else refusal.code
    return PortMappingError(code=code, name=refusal.name, meaning=refusal.meaning, advice=refusal.advice)
