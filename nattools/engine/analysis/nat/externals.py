"""Which external addresses this machine has, as independent servers confirm, and how the NAT deals them out
(pooling, RFC 4787 4.1).

An address that one server alone names may be its error, or the way to it alone: two uplinks look like that.
So it is believed where the server proves to be consistent with itself and sees several addresses at its own,
or is a nattools server; it is outvoted where the server contradicts itself; else it is disputed, and nobody
is accused.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, groupby
from math import comb

import msgspec

from nattools.engine.analysis.evidence import BindingAnswer, Finding, PathEvidence
from nattools.engine.analysis.nat.mappingends import mapping_ends
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.endpoint import Endpoint
from nattools.model.nat import Pooling
from nattools.model.statement import Statement, statement


class ExternalAddresses(msgspec.Struct, frozen=True):
    """`hosts`: the external addresses that are not ruled out, the one with most witnesses first. `agreed`:
    those that are proven. `outvoted`: answers that are not believed. `since`: when the one address gave way
    to another, in the middle of the measurement, and only later answers count. `in_turn`: none of several
    was seen both before and after another, so that one may have given way to the other, and that an own port
    had one and then the other tells nothing of how the NAT maps. `notices`: who disagrees with whom."""

    hosts: tuple[str, ...] = ()
    agreed: frozenset[str] = frozenset()
    outvoted: tuple[BindingAnswer, ...] = ()
    since: float | None = None
    in_turn: bool = False
    notices: tuple[Statement, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """The addresses that a report names: the proven ones, or all where none is."""
        return tuple(host for host in self.hosts if host in self.agreed) or self.hosts

    @property
    def disputed(self) -> frozenset[str]:
        """Addresses that may be ours or a server's error."""
        return frozenset(self.hosts) - self.agreed

    def believed(self, path: PathEvidence) -> list[BindingAnswer]:
        """The path's answers without those that were outvoted, or that hold no more."""
        if not self.outvoted and self.since is None:
            return path.answers
        return [
            answer
            for answer in path.answers
            if answer.mapped.host in self.hosts and (self.since is None or answer.at_s >= self.since)
        ]


class _Witnesses(msgspec.Struct):
    """Who named an external address: distinct destinations, and independent servers."""

    destinations: set[Endpoint]
    servers: set[str]
    answers: int = 0

    @property
    def weight(self) -> tuple[int, int, int]:
        """Compared to decide a majority."""
        return len(self.servers), len(self.destinations), self.answers


def external(path: PathEvidence, twin: PathEvidence) -> ExternalAddresses:
    """What the servers say of our address, weighed. What the same family's other transport, `twin`, shows of
    them and of the addresses holds here too."""
    rewritten = _rewritten(path)
    notices = [rewritten] if rewritten is not None else []
    named = _named(path, path.answers)
    ranked = sorted(named, key=lambda host: named[host].weight, reverse=True)
    if len(ranked) < 2:
        return ExternalAddresses(tuple(ranked), frozenset(ranked), notices=tuple(notices))
    since = _changed(path.answers)
    if since is not None:
        now = _named(path, [answer for answer in path.answers if answer.at_s >= since])
        notices.append(statement("external-address-changed", addresses=tuple(ranked), at_s=since))
        return ExternalAddresses(tuple(sorted(now)), frozenset(now), since=since, notices=tuple(notices))
    fickle = _fickle(path) | _fickle(twin) | _erratic(path)
    agreed = (_proven(path, fickle) | _proven(twin, fickle)) & named.keys()
    out = {host for host in ranked[1:] if host not in agreed and named[host].servers <= fickle}
    kept = tuple(host for host in ranked if host not in out)
    if len(kept) == 1:
        agreed.update(kept)
    outvoted = tuple(answer for answer in path.answers if answer.mapped.host in out)
    in_turn = len(kept) > 1 and _in_turn([*path.answers, *twin.answers], kept)
    notices += _disputes(path, kept, agreed, outvoted, in_turn=in_turn)
    return ExternalAddresses(kept, frozenset(agreed), outvoted, None, in_turn, tuple(notices))


def _in_turn(answers: list[BindingAnswer], hosts: tuple[str, ...]) -> bool:
    """Is there no pair of addresses of which each was seen by a question that was put after an answer with
    the other had come?"""

    def after(one: str, other: str) -> bool:
        asked = max(answer.at_s for answer in answers if answer.mapped.host == one)
        return asked > min(answer.until_s for answer in answers if answer.mapped.host == other)

    return not any(after(one, other) and after(other, one) for one, other in combinations(hosts, 2))


def _named(path: PathEvidence, answers: list[BindingAnswer]) -> dict[str, _Witnesses]:
    found: dict[str, _Witnesses] = defaultdict(lambda: _Witnesses(set(), set()))
    for answer in answers:
        vote = found[answer.mapped.host]
        vote.destinations.add(answer.asked)
        vote.answers += 1
    for vote in found.values():
        vote.servers.update({path.groups.of(asked.host) for asked in vote.destinations})
    return found


def _changed(answers: list[BindingAnswer]) -> float | None:
    """When every server began to see another address than before, because the NAT restarted or the provider
    gave another one; None: that did not happen, or chance could as well look so."""
    ordered = sorted(answers, key=lambda answer: answer.at_s)
    hosts = [answer.mapped.host for answer in ordered]
    if len(set(hosts)) != 2:
        return None
    turn = next(place for place, host in enumerate(hosts) if host != hosts[0])
    if hosts[0] in hosts[turn:]:
        return None
    before, after = ({answer.asked for answer in part} for part in (ordered[:turn], ordered[turn:]))
    ports, early = ({answer.local for answer in part} for part in (ordered, ordered[:turn]))
    telling = comb(len(ports), len(early)) > 1 / CERTAIN_ERROR
    return ordered[turn].at_s if before & after and telling else None


def _fickle(path: PathEvidence) -> set[str]:
    """Servers that named several addresses for one own port: no NAT changes a mapping while it is used."""
    seen_by: dict[_Mapped, set[str]] = defaultdict(set)
    said: dict[tuple[Endpoint, Endpoint], list[BindingAnswer]] = defaultdict(list)
    for answer in sorted(path.answers, key=lambda each: each.at_s):
        seen_by[answer.local, answer.mapped].add(path.groups.of(answer.asked.host))
        if answer.local is not None:
            said[answer.local, answer.asked].append(answer)
    ends = mapping_ends(path)
    alone = {mapped for mapped, servers in seen_by.items() if len(servers) == 1}
    return {
        path.groups.of(asked.host)
        for (_, asked), answers in said.items()
        for one, other in combinations(answers, 2)
        if one.mapped.host != other.mapped.host and ends.same_mapping(one, other)
        if not _renewed(one, other, answers, alone)
    }


_Mapped = tuple[Endpoint | None, Endpoint]
"""An own port, and where it was seen."""


def _renewed(
    one: BindingAnswer, other: BindingAnswer, answers: list[BindingAnswer], alone: set[_Mapped]
) -> bool:
    """May the NAT have ended a mapping, as at an ICMP error? What it gives then has another port too and is
    never what it gave before; and who else sees one of both sees the other as well. `answers`: all of this
    server to this own port, in order; `alone`: what one server alone saw."""
    by_one = [(each.local, each.mapped) in alone for each in (one, other)]
    if not any(by_one):
        return True
    named = [endpoint for endpoint, _ in groupby(each.mapped for each in answers)]
    return all(by_one) and one.mapped.port != other.mapped.port and len(named) == len(set(named))


def _erratic(path: PathEvidence) -> set[str]:
    """Servers to whose one address own ports seemed to come from several, while another server saw a single
    one of so many ports: a NAT that deals its addresses out at random would have shown it others too, but for
    rare chance. Of a nattools server it is known that it says what it sees."""
    seen: dict[str, dict[str, set[Endpoint | None]]] = defaultdict(lambda: defaultdict(set))
    for answer in path.answers:
        seen[answer.asked.host][answer.mapped.host].add(answer.local)
    steady = any(
        len(hosts) == 1 and all(2.0 ** (1 - len(ports)) < POOLING_ERROR for ports in hosts.values())
        for hosts in seen.values()
    )
    several = {path.groups.of(asked) for asked, hosts in seen.items() if len(hosts) > 1}
    return (several if steady else _alone(path, several)) - path.nattools


def _alone(path: PathEvidence, several: set[str]) -> set[str]:
    """Those of the servers to which own ports seem to come from `several` addresses, one of which nobody else
    saw of so many ports: a NAT that deals out that one would have shown it to others."""
    ports: dict[str, dict[str, set[Endpoint | None]]] = defaultdict(lambda: defaultdict(set))
    for answer in path.answers:
        ports[path.groups.of(answer.asked.host)][answer.mapped.host].add(answer.local)
    hosts = {host for named in ports.values() for host in named}
    found = set()
    for server in several:
        others = [named for each, named in ports.items() if each != server]
        elsewhere = {host for named in others for host in named}
        looked = {port for named in others for seen in named.values() for port in seen}
        if elsewhere and ports[server].keys() - elsewhere:
            missed = (1 - 1 / len(hosts)) ** len(looked)
            found |= {server} if missed < POOLING_ERROR else set()
    return found


def _proven(path: PathEvidence, fickle: set[str]) -> set[str]:
    """Addresses named by two independent servers, by one that sees several and said the same when the same
    port asked again, or by a nattools server; none of which contradicts itself."""
    named, repeated = _named(path, path.answers), _repeated(path)
    proven = set()
    for host, vote in named.items():
        servers = vote.servers - fickle
        others = {one for other in named if other != host for one in named[other].servers}
        if len(servers) > 1 or servers & path.nattools or servers & others & repeated[host]:
            proven.add(host)
    return proven


def _repeated(path: PathEvidence) -> dict[str, set[str]]:
    """The servers that named an address twice for one own port, by address."""
    seen: set[tuple[Endpoint | None, Endpoint, str]] = set()
    again: dict[str, set[str]] = defaultdict(set)
    for answer in path.answers:
        said = (answer.local, answer.asked, answer.mapped.host)
        if said in seen:
            again[answer.mapped.host].add(path.groups.of(answer.asked.host))
        seen.add(said)
    return again


def _rewritten(path: PathEvidence) -> Statement | None:
    """Does something on the way rewrite the addresses within packets (an ALG)? Then MAPPED-ADDRESS, which
    it can read, says otherwise than XOR-MAPPED-ADDRESS, which it cannot (RFC 8489 14.2)."""
    for binding in path.bindings:
        if binding.mapped is not None and binding.unmasked not in (None, binding.mapped):
            return statement("addresses-rewritten", address=binding.mapped, rewritten=binding.unmasked)
    return None


def _disputes(
    path: PathEvidence,
    kept: tuple[str, ...],
    agreed: set[str],
    outvoted: tuple[BindingAnswer, ...],
    *,
    in_turn: bool,
) -> list[Statement]:
    outliers: dict[Endpoint, str] = {answer.asked: answer.mapped.host for answer in outvoted}
    found = [
        statement("external-address-outvoted", server=str(asked), address=host, majority=kept[0])
        for asked, host in outliers.items()
    ]
    if len(kept) > 1:
        several = "external-addresses-in-turn" if in_turn else "external-addresses-several"
        code = several if agreed.issuperset(kept) else "external-addresses-disputed"
        found.append(statement(code, transport=path.transport, addresses=kept))
    return found


class PoolingFinding(Finding[Pooling], frozen=True):
    """How the external addresses are dealt out."""


def pooling(path: PathEvidence, outside: ExternalAddresses, nat: bool | None) -> PoolingFinding:
    """Paired: all own ports have one address, more of them than chance would give of two. Per destination:
    each server's address always saw the same. Arbitrary: one server saw several, from different ports."""
    if nat is not True:
        return PoolingFinding("unknown", (), (statement("no-nat") if nat is False else path.unanswered,))
    answers = outside.believed(path)
    ids = tuple(answer.id for answer in answers)
    ports = {answer.local for answer in answers}
    if len(outside.hosts) == 1:
        if 2.0 ** (1 - len(ports)) < POOLING_ERROR:
            return PoolingFinding("paired", ids)
        return PoolingFinding("unknown", ids, (statement("ports-too-few"),))
    if outside.disputed:
        disputed = statement("mapping-addresses-disputed", addresses=outside.hosts)
        return PoolingFinding("unknown", ids, (disputed,))
    if outside.in_turn:
        return PoolingFinding("unknown", ids, (statement("addresses-in-turn", addresses=outside.hosts),))
    seen: dict[str, dict[str, set[Endpoint | None]]] = defaultdict(lambda: defaultdict(set))
    for answer in answers:
        seen[answer.asked.host][answer.mapped.host].add(answer.local)
    if any(len(hosts) > 1 for hosts in seen.values()):
        return PoolingFinding("arbitrary", ids)
    if 2.0 ** -sum(len(ports) - 1 for hosts in seen.values() for ports in hosts.values()) < POOLING_ERROR:
        return PoolingFinding("per-destination", ids)
    return PoolingFinding("unknown", ids, (statement("ports-too-few"),))


POOLING_ERROR = 0.01
"""A pool of two addresses would show one of them alone, by chance, less often than this."""
