"""Which mappings came about, from what was asked of routers and what a server outside saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nattools.engine.analysis.evidence import endpoint
from nattools.model.endpoint import Endpoint, Family
from nattools.model.observation import MapAttempt, MapCheck, MapEntry, MapOffer
from nattools.model.portmapping import MappingProtocol, PortMapping, PortMappingError
from nattools.model.report import Measurement

_Key = tuple[str, ...]

_SILENCES: dict[str, tuple[str, str, str]] = {
    "timeout": (
        "no answer",
        "The router did not answer the request.",
        "Ask again; if it stays silent, restart the router or try another protocol.",
    ),
    "unreachable": (
        "not reachable",
        "The router could not be asked.",
        "Check the connection to the router.",
    ),
    "malformed": (
        "malformed answer",
        "The router sent an invalid answer.",
        "Look for newer firmware of the router, or try another protocol.",
    ),
    "not asked": ("not asked", "It was not asked.", ""),
}


@dataclass(slots=True)
class _Requests:
    """All that concerns one internal endpoint by one protocol."""

    attempts: list[MapAttempt] = field(default_factory=list)
    checks: list[MapCheck] = field(default_factory=list)


def offers(measurement: Measurement, protocol: MappingProtocol) -> list[MapOffer]:
    """What routers said to the question whether they speak a protocol."""
    seen = (each for each in measurement.observations if isinstance(each, MapOffer))
    return [each for each in seen if each.protocol == protocol]


def mappings(measurement: Measurement) -> tuple[PortMapping, ...]:
    """A row for each mapping that was asked for, in the order in which they came up, and then for each that
    was found, in the order of ports: routers' tables have none."""
    requests: dict[_Key, _Requests] = {}
    rows: list[MapEntry] = []
    for seen in measurement.observations:
        if isinstance(seen, MapAttempt):
            requests.setdefault(_key_of(seen, requests), _Requests()).attempts.append(seen)
        elif isinstance(seen, MapCheck):
            requests.setdefault(_key(seen), _Requests()).checks.append(seen)
        elif isinstance(seen, MapEntry):
            rows.append(seen)
    made = [_made(asked_for, measurement) for asked_for in requests.values() if asked_for.attempts]
    rows.sort(key=lambda row: (row.family, row.external_port, row.transport, row.protocol))
    return (*made, *(_found(row, measurement) for row in rows))


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


def _made(asked_for: _Requests, measurement: Measurement) -> PortMapping:
    """One mapping from what was asked about it: the last word counts."""
    first = asked_for.attempts[0]
    asked = [each for each in asked_for.attempts if each.action in ("make", "renew")]
    granted = [each for each in asked if each.outcome == "granted"]
    deletions = [each for each in asked_for.attempts if each.action == "delete"]
    last = granted[-1] if granted else None
    known = last or next((each for each in deletions if each.external), None)
    failed = asked[-1] if asked and not granted else None
    if not asked and deletions and deletions[-1].outcome != "deleted":
        failed = deletions[-1]
    return PortMapping(
        protocol=first.protocol,
        transport=first.transport,
        family=first.family,
        internal=first.internal,
        external=external_of(known.external, known.protocol, measurement, known.family) if known else None,
        lifetime_s=(last.lifetime_s or _read_back_s(asked_for)) if last else None,
        created=known is not None,
        verified_inbound=verified(asked_for.checks),
        error=None if failed is None else error(failed),
        removed=bool(deletions) and deletions[-1].outcome == "deleted",
        evidence=tuple(sorted(each.id for each in (*asked_for.attempts, *asked_for.checks))),
    )


def _read_back_s(asked_for: _Requests) -> int | None:
    """What the router's table says of a mapping without an end: IGD:2 makes a week of it."""
    found = [each for each in asked_for.attempts if each.action == "read back" and each.outcome == "found"]
    return found[-1].lifetime_s if found else None


def _found(row: MapEntry, measurement: Measurement) -> PortMapping:
    return PortMapping(
        protocol=row.protocol,
        transport=row.transport,
        family=row.family,
        internal=row.internal,
        external=_outside(row, measurement),
        lifetime_s=row.lifetime_s,
        created=True,
        description=row.description,
        evidence=(row.id,),
    )


def verified(checks: Iterable[MapCheck]) -> bool | None:
    """What the last check that means something says."""
    value: bool | None = None
    for check in checks:
        if check.outcome == "arrived":
            value = True
        elif check.outcome in ("silent", "refused", "unreachable"):
            value = False
    return value


def _outside(row: MapEntry, measurement: Measurement) -> str | None:
    """Where others reach it. A pinhole without another address leads to the inside one."""
    inside = endpoint(row.internal) if row.family == 6 else None
    host = row.external_host or (inside.host if inside is not None else None)
    if host is not None:
        return str(Endpoint(host, row.external_port))
    return external_of(f":{row.external_port}", row.protocol, measurement)


def external_of(
    text: str | None, protocol: MappingProtocol, measurement: Measurement, family: Family = 4
) -> str | None:
    """An external endpoint in full, where some router has told its address (over IPv4 alone they do)."""
    if text is None or not text.startswith(":") or family == 6:
        return text
    claims = [offer.external for offer in offers(measurement, protocol) if offer.external]
    return str(Endpoint(claims[0], int(text[1:]))) if claims and text[1:].isdigit() else text


def error(attempt: MapAttempt) -> PortMappingError:
    """Why an attempt failed, in plain words."""
    refusal = attempt.refusal
    if refusal is not None:
        return PortMappingError(
            code=refusal.code, name=refusal.name, meaning=refusal.meaning, advice=refusal.advice
        )
    name, meaning, advice = _SILENCES.get(attempt.outcome, ("refused", "The router refused.", ""))
    if attempt.detail:
        meaning = f"{meaning} ({attempt.detail})"
    return PortMappingError(code=None, name=name, meaning=meaning, advice=advice)


def claimed_addresses(measurement: Measurement) -> tuple[str, ...]:
    """The IPv4 addresses that routers call their own outside ones, each once."""
    found: list[str] = []
    for seen in measurement.observations:
        if isinstance(seen, MapOffer) and seen.family == 4 and seen.external:
            found.append(seen.external)
        elif isinstance(seen, MapAttempt) and seen.family == 4 and seen.outcome == "granted":
            at = endpoint(seen.external)
            if at is not None:
                found.append(at.host)
    return tuple(dict.fromkeys(found))
