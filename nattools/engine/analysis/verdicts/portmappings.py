"""Which mappings came about, from what was asked of routers and what a server outside saw."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from nattools.model.droppedat import DroppedAt
from nattools.model.endpoint import Endpoint, Family, read_endpoint
from nattools.model.mappingseen import MapAttempt, MapCheck, MapEntry, MapOffer
from nattools.model.observation import AnyObservation
from nattools.model.portmapping import MappingProtocol, PortMapping, PortMappingError, listed_lifetime
from nattools.wording.noanswer import no_answer

_Key = tuple[str, ...]
Contradiction = Literal["not listed", "port", "lifetime"]
ADDRESS_MISMATCH = ("pcp", 12)
"""Of PCP: a NAT stands between this machine and the router that answers (RFC 6887 7.4)."""
NO_SUCH_MAPPING = (714, 730)
"""UPnP's NoSuchEntryInArray and PortMappingNotFound."""
_ABOUT_ROUTERS = (MapOffer, MapAttempt, MapCheck, MapEntry)


class _Requests(msgspec.Struct):
    """All that concerns one internal endpoint by one protocol."""

    attempts: list[MapAttempt] = msgspec.field(default_factory=list)
    checks: list[MapCheck] = msgspec.field(default_factory=list)

    @property
    def last_granted(self) -> MapAttempt | None:
        """When it was made or renewed for the last time."""
        granted = [each for each in self.attempts if each.outcome == "granted"]
        return granted[-1] if granted else None

    @property
    def read_back(self) -> MapAttempt | None:
        """What the router's table said after that."""
        last = self.last_granted
        since = [each for each in self.attempts if last is None or each.id > last.id]
        return next((each for each in reversed(since) if each.action == "read back"), None)

    @property
    def proven_host(self) -> str | None:
        """The address at which somebody outside came in, whatever the router calls its own."""
        proofs = (read_endpoint(each.target) for each in reversed(self.checks) if each.outcome == "arrived")
        return next((proof.host for proof in proofs if proof is not None), None)

    @property
    def moved_to(self) -> str | None:
        """`:PORT` where the router's table has it at another external port than it said."""
        seen, last = self.read_back, self.last_granted
        if seen is None or last is None or seen.outcome != "found" or not (seen.external and last.external):
            return None
        return None if _port(seen.external) == _port(last.external) else seen.external

    @property
    def lost_since(self) -> bool:
        """Did the router deny it after somebody outside had come in by it?"""
        seen, came = self.read_back, [each.id for each in self.checks if each.outcome == "arrived"]
        return seen is not None and _denies(seen) and bool(came) and seen.id > came[-1]

    @property
    def doubt(self) -> Literal["not listed", "no lifetime"] | None:
        """Does the router itself contradict its yes?"""
        seen, last = self.read_back, self.last_granted
        if last is not None and last.lifetime_s == 0:
            return "no lifetime"
        return "not listed" if seen is not None and _denies(seen) else None

    @property
    def lifetime_s(self) -> int | None:
        """By the router's table, if that was read; else as granted. IGD:2 makes a week of "for ever"."""
        seen, last = self.read_back, self.last_granted
        granted_s = (last or self.attempts[-1]).lifetime_s
        if seen is None or seen.outcome != "found":
            return granted_s
        return listed_lifetime(granted_s, seen.lifetime_s)


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
        at = read_endpoint(internal)
        return at is not None and at.host in self.astray

    @cached_property
    def others(self) -> dict[str, str]:
        """Who answers by UPnP and is not the router that routes lead to, and the address that it claims."""
        found = (each for each in self.offers if each.other and each.outcome == "answered")
        return {urlsplit(each.server).hostname or "": each.external or "" for each in found}

    @cached_property
    def claimed_addresses(self) -> tuple[str, ...]:
        """The IPv4 addresses that routers on the path call their own outside ones, each once."""
        found = [
            (each.id, each.external)
            for each in self.offers
            if each.family == 4 and each.external and each.local not in self.astray and not each.other
        ]
        elsewhere = set(self.others.values())
        for attempt in self.attempts:
            at, inside = read_endpoint(attempt.external), read_endpoint(attempt.internal)
            if attempt.family != 4 or attempt.outcome != "granted" or at is None:
                continue
            if at.host not in elsewhere and (inside is None or inside.host not in self.astray):
                found.append((attempt.id, at.host))
        return tuple(dict.fromkeys(address for _, address in sorted(found)))

    @cached_property
    def refusals(self) -> frozenset[tuple[MappingProtocol, int]]:
        """Every code of its own that a router gave, with its protocol."""
        said: tuple[MapOffer | MapAttempt, ...] = (*self.offers, *self.attempts)
        told = ((each.protocol, each.refusal) for each in said)
        return frozenset((protocol, why.code) for protocol, why in told if why is not None and not why.http)

    @cached_property
    def _requests(self) -> dict[_Key, _Requests]:
        requests: dict[_Key, _Requests] = {}
        for attempt in self.attempts:
            requests.setdefault(_key_of(attempt, requests), _Requests()).attempts.append(attempt)
        for check in self.checks:
            if _key(check) in requests:
                requests[_key(check)].checks.append(check)
        return requests

    @cached_property
    def contradictions(self) -> tuple[tuple[MapAttempt, Contradiction, int | None], ...]:
        """Where a router's table says something else than its answer: what was granted, in what they differ,
        and the port or the lifetime by the table. The last one of each mapping."""
        found = []
        for each in self._requests.values():
            said = [at for at in map(_contradiction, each.attempts, each.attempts[1:]) if at is not None]
            found += said[-1:]
        return tuple(found)

    @cached_property
    def mappings(self) -> tuple[PortMapping, ...]:
        """A row for each mapping that was asked for, in the order in which they came up, and then for each
        that was found, in the order of ports: routers' tables have none."""
        rows = sorted(
            self.entries, key=lambda row: (row.family, row.external_port, row.transport, row.protocol)
        )
        return (*map(self._made, self._requests.values()), *map(self._found, rows))

    def _made(self, asked_for: _Requests) -> PortMapping:
        """One mapping from what was asked about it: the last word counts. What was deleted before it was made
        is one that an earlier start had left."""
        first = asked_for.attempts[0]
        asked = [each for each in asked_for.attempts if each.action in ("make", "renew")]
        last = asked_for.last_granted
        since = last.id if last is not None else -1
        deletions = [each for each in asked_for.attempts if each.action == "delete" and each.id > since]
        known = last or next((each for each in deletions if each.external), None)
        failed = asked[-1] if asked and last is None else None
        if not asked and deletions and deletions[-1].outcome != "deleted":
            failed = deletions[-1]
        denied = bool(deletions) and _denies(deletions[-1])
        verified = None if asked_for.lost_since else _verified(asked_for.checks)
        doubt = asked_for.doubt if last is not None and not verified else None
        external = asked_for.moved_to or (known.external if known else None)
        elsewhere = None if verified or last is None else self._arrived_at(first, _port(external))
        return PortMapping(
            protocol=first.protocol,
            transport=first.transport,
            family=first.family,
            internal=first.internal,
            external=self._in_full(external, first.protocol, first.family, asked_for.proven_host),
            lifetime_s=asked_for.lifetime_s,
            created=known is not None and doubt is None and (last is not None or not denied),
            verified_inbound=verified and not self.leads_astray(first.internal),
            dropped_at=None if verified is not False or elsewhere else self._dropped_at(asked_for.checks),
            error=no_answer(doubt) if doubt else None if failed is None else _error(failed),
            removed=bool(deletions) and deletions[-1].outcome == "deleted",
            arrives_at=elsewhere,
            evidence=tuple(sorted(each.id for each in (*asked_for.attempts, *asked_for.checks))),
        )

    def _arrived_at(self, asked: MapAttempt, port: int | None) -> str | None:
        """Another own endpoint at which a packet for this outside port came in."""
        same = (asked.protocol, asked.transport, port)
        came = (
            each
            for each in self.checks
            if (each.protocol, each.transport, _port(each.target)) == same and each.outcome == "arrived"
        )
        return next((each.internal for each in came if each.internal != asked.internal), None)

    def _dropped_at(self, checks: list[MapCheck]) -> DroppedAt:
        """Who stops what should come by a mapping. If it is not this machine: what came by another mapping
        was let in up to the router, and a router that is known by another address outside never had it."""
        last = checks[-1]
        if last.reached_card or last.opened_here:
            return "host"
        if last.reached_card is None and last.opened_here is None:
            return "unknown"
        target, claimed = read_endpoint(last.target), self.claimed_addresses
        if last.family == 4 and claimed and target is not None and target.host not in claimed:
            return "beyond"
        proven = any(
            check.outcome == "arrived" and check.family == last.family
            for each in self._requests.values()
            for check in each.checks
        )
        return "router" if proven else "unknown"

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
        inside = read_endpoint(row.internal) if row.family == 6 else None
        host = row.external_host or (inside.host if inside is not None else None)
        if host is not None:
            return str(Endpoint(host, row.external_port))
        return self._in_full(f":{row.external_port}", row.protocol, 4)

    def _in_full(
        self, text: str | None, protocol: MappingProtocol, family: Family, proven: str | None = None
    ) -> str | None:
        """An external endpoint in full: at the address that is `proven` to lead there, else at the one that
        some router has told (over IPv4 alone they do)."""
        port = _port(text)
        if proven is not None and port is not None:
            return str(Endpoint(proven, port))
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


def _denies(said: MapAttempt) -> bool:
    """Does the router say that it has no such mapping?"""
    return said.refusal is not None and said.refusal.code in NO_SUCH_MAPPING


def _contradiction(
    granted: MapAttempt, seen: MapAttempt
) -> tuple[MapAttempt, Contradiction, int | None] | None:
    if granted.outcome != "granted" or seen.action != "read back":
        return None
    if _denies(seen):
        return granted, "not listed", None
    if seen.outcome == "found" and _port(seen.external) != _port(granted.external):
        return granted, "port", _port(seen.external)
    if seen.outcome == "found" and listed_lifetime(granted.lifetime_s, seen.lifetime_s) != granted.lifetime_s:
        return granted, "lifetime", seen.lifetime_s
    return None


def _port(external: str | None) -> int | None:
    text = (external or "").rpartition(":")[2]
    return int(text) if text.isascii() and text.isdigit() else None


def _key(seen: MapAttempt | MapCheck) -> _Key:
    return seen.protocol, seen.transport, seen.internal


def _key_of(seen: MapAttempt, requests: dict[_Key, _Requests]) -> _Key:
    """One internal endpoint may have several mappings, by the external port; when they are made nobody knows
    that yet."""
    key = _key(seen)
    if seen.action != "delete" or seen.external is None or key not in requests:
        return key
    known = any(_port(each.external) == _port(seen.external) for each in requests[key].attempts)
    return key if known else (*key, seen.external)


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
        kept = attempt.action == "delete" and attempt.outcome in ("refused", "malformed")
        return no_answer("not removed" if kept else attempt.outcome, attempt.detail)
    code = None if refusal.http else refusal.code
    return PortMappingError(code=code, name=refusal.name, meaning=refusal.meaning, advice=refusal.advice)
