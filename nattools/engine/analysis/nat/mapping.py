"""Mapping behaviour (RFC 4787 4.1, RFC 5780 4.3) and binding lifetime (RFC 4787 4.3)."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from math import comb, prod

import msgspec

from nattools.engine.analysis.evidence import BindingAnswer, Finding, PathEvidence, gap_reason
from nattools.engine.analysis.nat.allocation import allocation
from nattools.engine.analysis.nat.externals import ExternalAddresses
from nattools.engine.analysis.nat.mappingends import MappingEnds, mapping_ends
from nattools.model.endpoint import Endpoint
from nattools.model.nat import MappingBehaviour
from nattools.model.observation import Idle
from nattools.model.statement import Reason, statement

_SETTLE = statement("mapping-settle")
SAME_PORT_ERROR = 0.001
"""Where most answers agree and not all, NATs that err so seldom are likelier than the same port by chance."""
_AGAIN = statement("addresses-in-turn-settle")


def translated(path: PathEvidence, answer: BindingAnswer) -> bool | None:
    """Did a NAT change the source of this question? None if the local side is not known."""
    if answer.local is not None and not _unspecified(answer.local.host):
        return answer.mapped != answer.local
    if answer.mapped.host in path.own:
        return answer.local is not None and answer.mapped.port != answer.local.port
    return True if path.own else None


def _unspecified(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def present(path: PathEvidence, outside: ExternalAddresses) -> Finding[bool | None]:
    """Is there any NAT? The majority of distinct destinations decides."""
    votes: dict[bool, set[Endpoint]] = {True: set(), False: set()}
    ids: dict[bool, list[int]] = {True: [], False: []}
    for answer in outside.believed(path):
        verdict = translated(path, answer)
        if verdict is not None:
            votes[verdict].add(answer.asked)
            ids[verdict].append(answer.id)
    yes, no = len(votes[True]), len(votes[False])
    if yes == no:
        reason = statement("address-disputed") if yes else path.unanswered
        return Finding(None, tuple(ids[True] + ids[False]), (reason,))
    return Finding(yes > no, tuple(ids[yes > no]))


class _Tally(msgspec.Struct):
    """What groups of answers to one local port show, over all such groups. `agreed`: of the stable ones, how
    many answers agreed, and of how many."""

    stable: list[int] = msgspec.field(default_factory=list)
    varying: int = 0
    by_port: list[int] = msgspec.field(default_factory=list)
    by_address: list[int] = msgspec.field(default_factory=list)
    same_for_ports: list[int] = msgspec.field(default_factory=list)
    stable_groups: int = 0
    agreed: list[tuple[int, int]] = msgspec.field(default_factory=list)


class MappingFinding(Finding[MappingBehaviour], frozen=True):
    """`varies`: False for endpoint-independent mapping, True for the others, also where it is not known which
    of them. `by_port`: does the destination's port matter? `moved`: answers that differ from the majority's
    (a collision on the NAT, or a server is wrong)."""

    varies: bool | None = None
    by_port: bool | None = None
    moved: tuple[BindingAnswer, ...] = ()


def mapping(path: PathEvidence, outside: ExternalAddresses, nat: bool | None) -> MappingFinding:
    """The mapping behaviour as far as it is proven.

    Equal external ports prove something only from different addresses; different ones prove a dependence on
    what differed between the destinations. A single deviating answer is outvoted where a majority of
    destinations, of two addresses, agrees: kernel NATs move a port when two flows collide, and servers err.
    """
    if nat is False:
        ids = present(path, outside).evidence
        return MappingFinding("none", ids, varies=False)
    tally = _Tally()
    moved: list[BindingAnswer] = []
    ends = mapping_ends(path)
    for group in _by_local(path, outside).values():
        for part in _parts(group, outside):
            moved += _judge(part, outside, ends, tally)
    if tally.agreed and _by_chance(tally.agreed, path, outside):
        return MappingFinding("unknown", _unique(tally.stable), (statement("mapping-few-ports"), _SETTLE))
    return _conclude(path, tally, tuple(moved), outside)


def _by_local(path: PathEvidence, outside: ExternalAddresses) -> dict[Endpoint, list[BindingAnswer]]:
    """For each local port, one answer a destination: what most of its answers say."""
    said: dict[Endpoint, dict[Endpoint, list[BindingAnswer]]] = defaultdict(lambda: defaultdict(list))
    for answer in outside.believed(path):
        if answer.local is not None:
            said[answer.local][answer.asked].append(answer)
    groups = {}
    for local, destinations in said.items():
        if len(destinations) > 1:
            groups[local] = [_usual(answers) for answers in destinations.values()]
    return groups


def _parts(group: list[BindingAnswer], outside: ExternalAddresses) -> list[list[BindingAnswer]]:
    """What can be compared: all, or where one external address may have given way to another, the answers
    with each."""
    if not outside.in_turn or outside.disputed:
        return [group]
    parts: dict[str, list[BindingAnswer]] = defaultdict(list)
    for answer in group:
        parts[answer.mapped.host].append(answer)
    return [part for part in parts.values() if len(part) > 1]


def _usual(answers: list[BindingAnswer]) -> BindingAnswer:
    if len(answers) == 1:
        return answers[0]
    most = Counter(answer.mapped for answer in answers).most_common(1)[0][0]
    return next(answer for answer in answers if answer.mapped == most)


def _judge(
    group: list[BindingAnswer], outside: ExternalAddresses, ends: MappingEnds, tally: _Tally
) -> list[BindingAnswer]:
    """Add one local port's answers to the tally; returns those that the majority outvotes."""
    most, count = Counter(answer.mapped for answer in group).most_common(1)[0]
    agreeing = [answer for answer in group if answer.mapped == most]
    elsewhere = {answer.mapped.host for answer in group} - {most.host}
    if elsewhere & outside.disputed or (elsewhere and most.host in outside.disputed):
        return []
    if not elsewhere and 2 * count > len(group) and len({answer.asked.host for answer in agreeing}) > 1:
        tally.stable += [answer.id for answer in agreeing]
        tally.stable_groups += 1
        tally.agreed.append((count, len(group)))
        return [
            answer
            for answer in group
            if answer.mapped != most and any(ends.same_mapping(answer, usual) for usual in agreeing)
        ]
    before = len(tally.by_port) + len(tally.by_address)
    for one, other in combinations(group, 2):
        if one.mapped == other.mapped or ends.same_mapping(one, other):
            _compare(one, other, outside, tally)
    tally.varying += len(tally.by_port) + len(tally.by_address) > before
    return []


def _compare(one: BindingAnswer, other: BindingAnswer, outside: ExternalAddresses, tally: _Tally) -> None:
    ids = [one.id, other.id]
    if one.mapped == other.mapped:
        if one.asked.host == other.asked.host:
            tally.same_for_ports += ids
        return
    if one.mapped.host != other.mapped.host and not {one.mapped.host, other.mapped.host} <= outside.agreed:
        return  # a server that is wrong looks the same
    if one.asked.host == other.asked.host:
        tally.by_port += ids
    else:
        tally.by_address += ids


def _by_chance(agreed: list[tuple[int, int]], path: PathEvidence, outside: ExternalAddresses) -> bool:
    """May a NAT with a port for each destination have given most of them the same one, having few to draw
    from? Where all agree it is none."""
    if any(count == of for count, of in agreed):
        return False
    found = allocation(path, outside, nat=True, varies=False)
    if found.port_range is None or found.value in ("sequential", "preserving"):
        return False
    low, high = found.port_range
    ports = float(high - low + 1)
    return prod(comb(of, count) / ports ** (count - 1) for count, of in agreed) > SAME_PORT_ERROR


def _conclude(
    path: PathEvidence, tally: _Tally, moved: tuple[BindingAnswer, ...], outside: ExternalAddresses
) -> MappingFinding:
    if tally.stable_groups and tally.stable_groups > tally.varying:
        return MappingFinding(
            "endpoint-independent", _unique(tally.stable), varies=False, by_port=False, moved=moved
        )
    if tally.stable_groups:
        return MappingFinding("unknown", _unique(tally.stable), (statement("mapping-inconsistent"),))
    if len(tally.by_port) >= len(tally.same_for_ports) and tally.by_port:
        ids = _unique(tally.by_port + tally.by_address)
        return MappingFinding("address-and-port-dependent", ids, varies=True, by_port=True)
    if tally.by_address and tally.same_for_ports:  # a flow that collided with another may have moved
        ids = _unique(tally.by_address + tally.same_for_ports)
        return MappingFinding("address-dependent", ids, varies=True, by_port=False)
    if tally.by_address:
        settle = (statement("mapping-differs-by-address"), _SETTLE)
        return MappingFinding("unknown", _unique(tally.by_address), settle, varies=True)
    by_port = False if tally.same_for_ports else None
    reason = (path.unanswered,) if not outside.hosts else _why_nothing(tally, outside)
    return MappingFinding("unknown", _unique(tally.same_for_ports), reason, by_port=by_port)


def _why_nothing(tally: _Tally, outside: ExternalAddresses) -> Reason:
    if len(outside.hosts) > 1 and len(outside.agreed) < len(outside.hosts):
        return statement("mapping-addresses-disputed", addresses=outside.hosts), _SETTLE
    if outside.in_turn:
        return statement("addresses-in-turn", addresses=outside.hosts), _AGAIN
    if tally.same_for_ports:
        return statement("mapping-one-address"), _SETTLE
    return statement("mapping-one-destination"), _SETTLE


def _unique(ids: list[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(ids))


_ASK = statement("lifetime-ask")


class LifetimeFinding(Finding["float | None"], frozen=True):
    """The value lies in the middle of `bounds`: the longest silence that a mapping survived, and the shortest
    that none did. `refreshed_by_inbound`, `refreshed_by_outbound`: does such traffic keep it?"""

    bounds: tuple[float | None, float | None] | None = None
    refreshed_by_inbound: bool | None = None
    refreshed_by_outbound: bool | None = None


def lifetime(path: PathEvidence) -> LifetimeFinding:
    """A mapping that answered was alive. One that did not was dead only if loss cannot explain the silence of
    all that should have answered by then."""
    quiet = [idle for idle in path.idles if idle.refreshed_by == "nothing"]
    if not quiet and not path.answers:
        return LifetimeFinding(None, (), (path.unanswered,))
    if not quiet:
        gaps = [gap_reason(gap) for gap in path.gaps if gap.probe == "lifetime"]
        ask = _ASK if path.transport == "udp" else statement("lifetime-udp-only")
        return LifetimeFinding(None, (), (gaps[0] if gaps else ask,))
    ids = tuple(idle.id for idle in quiet)
    alive = max((idle.idle_s for idle in quiet if idle.alive), default=None)
    dead = _dead(path, quiet, alive)
    bounds = (alive, dead)
    inbound = _refreshed(path, "inbound", alive, dead)
    outbound = _refreshed(path, "outbound", alive, dead)
    if alive is None and dead is None:
        return LifetimeFinding(None, ids, (statement("lifetime-inconclusive"), _ASK))
    if alive is None:
        return LifetimeFinding(None, ids, (statement("lifetime-shorter", expired_s=dead),), bounds)
    if dead is None:
        reason = (statement("lifetime-at-least", alive_s=alive),)
        return LifetimeFinding(None, ids, reason, bounds, inbound, outbound)
    middle = round((alive + dead) / 2, 1)
    return LifetimeFinding(middle, ids, (), bounds, inbound, outbound)


def _dead(path: PathEvidence, quiet: list[Idle], alive: float | None) -> float | None:
    """The shortest silence that is known to be deadly. A mapping that outlives a time outlives shorter ones,
    so silences of shorter waits add up."""
    copies = 0
    for idle in sorted(quiet, key=lambda one: one.idle_s):
        if idle.alive is False and (alive is None or idle.idle_s > alive):
            copies += max(0, idle.sent)
            if path.loss.conclusive(copies):
                return idle.idle_s
    return None


def _refreshed(path: PathEvidence, by: str, alive: float | None, dead: float | None) -> bool | None:
    """Was a mapping through which something passed still alive after a silence that is deadly?"""
    tests = [idle for idle in path.idles if idle.refreshed_by == by and dead is not None]
    if any(idle.alive and dead is not None and idle.idle_s >= dead for idle in tests):
        return True
    silent = [idle for idle in tests if idle.alive is False and (alive is None or idle.idle_s > alive)]
    if silent and path.loss.conclusive(sum(max(0, idle.sent) for idle in silent)):
        return False
    return None
