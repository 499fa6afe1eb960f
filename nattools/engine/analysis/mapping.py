"""Is there a NAT, and does it give one outside port to all destinations (RFC 4787 4.1, RFC 5780 4.3)?"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations

import msgspec

from nattools.engine.analysis.evidence import Answer, Path
from nattools.engine.analysis.external import External
from nattools.engine.analysis.finding import Finding
from nattools.model.endpoint import Endpoint
from nattools.model.nat import Mapping

_MORE = "Answers from two addresses of one server, each on two ports, would settle it: nattools serve."


def translated(path: Path, answer: Answer) -> bool | None:
    """Did a NAT change the source of this question? None if the local side is not known."""
    if answer.local is not None and not _unspecified(answer.local.host):
        return answer.mapped != answer.local
    if answer.mapped.host in path.own:
        return answer.local is not None and answer.mapped.port != answer.local.port
    return True if path.own else None


def _unspecified(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def present(path: Path, outside: External) -> Finding[bool | None]:
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
        why = (
            "The servers disagree about our address: a third one would settle it."
            if yes
            else "Nothing was answered."
        )
        return Finding(None, tuple(ids[True] + ids[False]), why)
    return Finding(yes > no, tuple(ids[yes > no]))


class _Tally(msgspec.Struct):
    """What groups of answers to one local port show, over all such groups."""

    stable: list[int] = msgspec.field(default_factory=list)
    varying: int = 0
    by_port: list[int] = msgspec.field(default_factory=list)
    by_address: list[int] = msgspec.field(default_factory=list)
    same_for_ports: list[int] = msgspec.field(default_factory=list)
    stable_groups: int = 0


class MappingFinding(Finding[Mapping], frozen=True):
    """`varies`: False for endpoint-independent mapping, True for the others, also where it is not known which
    of them. `by_port`: does the destination's port matter? `moved`: answers that differ from the majority's
    (a collision on the NAT, or a server errs)."""

    varies: bool | None = None
    by_port: bool | None = None
    moved: tuple[Answer, ...] = ()


def mapping(path: Path, outside: External, nat: bool | None) -> MappingFinding:
    """The mapping behaviour as far as it is proven.

    Equal outside ports prove something only from different addresses; different ones prove a dependence on
    what differed between the destinations. A single deviating answer is outvoted where a majority of
    destinations, of two addresses, agrees: kernel NATs move a port when two flows collide, and servers err.
    """
    if nat is False:
        ids = present(path, outside).evidence
        return MappingFinding("none", ids, varies=False)
    tally = _Tally()
    moved: list[Answer] = []
    for group in _by_local(path, outside).values():
        moved += _judge(group, outside, tally)
    return _conclude(tally, tuple(moved), outside)


def _by_local(path: Path, outside: External) -> dict[Endpoint, list[Answer]]:
    """For each local port, one answer a destination: what most of its answers say."""
    said: dict[Endpoint, dict[Endpoint, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in outside.believed(path):
        if answer.local is not None:
            said[answer.local][answer.asked].append(answer)
    groups = {}
    for local, destinations in said.items():
        if len(destinations) > 1:
            groups[local] = [_usual(answers) for answers in destinations.values()]
    return groups


def _usual(answers: list[Answer]) -> Answer:
    if len(answers) == 1:
        return answers[0]
    most = Counter(answer.mapped for answer in answers).most_common(1)[0][0]
    return next(answer for answer in answers if answer.mapped == most)


def _judge(group: list[Answer], outside: External, tally: _Tally) -> list[Answer]:
    """Add one local port's answers to the tally; returns those that the majority outvotes."""
    most, count = Counter(answer.mapped for answer in group).most_common(1)[0]
    agreeing = [answer for answer in group if answer.mapped == most]
    if 2 * count > len(group) and len({answer.asked.host for answer in agreeing}) > 1:
        tally.stable += [answer.id for answer in agreeing]
        tally.stable_groups += 1
        return [answer for answer in group if answer.mapped != most]
    before = len(tally.by_port) + len(tally.by_address)
    for one, other in combinations(group, 2):
        _compare(one, other, outside, tally)
    tally.varying += len(tally.by_port) + len(tally.by_address) > before
    return []


def _compare(one: Answer, other: Answer, outside: External, tally: _Tally) -> None:
    ids = [one.id, other.id]
    if one.mapped == other.mapped:
        if one.asked.host == other.asked.host:
            tally.same_for_ports += ids
        return
    if one.mapped.host != other.mapped.host and not {one.mapped.host, other.mapped.host} <= outside.agreed:
        return  # a server that errs looks the same
    if one.asked.host == other.asked.host:
        tally.by_port += ids
    else:
        tally.by_address += ids


def _conclude(tally: _Tally, moved: tuple[Answer, ...], outside: External) -> MappingFinding:
    if tally.stable_groups and tally.stable_groups > tally.varying:
        return MappingFinding(
            "endpoint-independent", _unique(tally.stable), varies=False, by_port=False, moved=moved
        )
    if tally.stable_groups:
        why = "Some ports were given to all destinations, others were not. Measuring again would settle it."
        return MappingFinding("unknown", _unique(tally.stable), why)
    if tally.by_port:
        ids = _unique(tally.by_port + tally.by_address)
        return MappingFinding("address-and-port-dependent", ids, varies=True, by_port=True)
    if tally.by_address and tally.same_for_ports:
        ids = _unique(tally.by_address + tally.same_for_ports)
        return MappingFinding("address-dependent", ids, varies=True, by_port=False)
    if tally.by_address:
        why = f"It differs between addresses; whether also between ports of one address was not seen. {_MORE}"
        return MappingFinding("unknown", _unique(tally.by_address), why, varies=True)
    by_port = False if tally.same_for_ports else None
    why = _why_nothing(tally, outside)
    return MappingFinding("unknown", _unique(tally.same_for_ports), why, by_port=by_port)


def _why_nothing(tally: _Tally, outside: External) -> str:
    if not outside.hosts:
        return "Nothing was answered."
    if len(outside.hosts) > 1 and len(outside.agreed) < len(outside.hosts):
        return f"The servers do not agree about our outside address ({', '.join(outside.hosts)}). {_MORE}"
    if tally.same_for_ports:
        return f"It is the same for two ports of one address; no second address answered. {_MORE}"
    return f"Fewer than two destinations answered to one local port. {_MORE}"


def _unique(ids: list[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(ids))
