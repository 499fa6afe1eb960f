"""The observations of one transport and address family, sorted by what they can prove."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from nattools.engine.analysis.nat import translation
from nattools.engine.analysis.pathloss import CopiesLost, Loss, overloaded, total
from nattools.model.endpoint import Endpoint, Family, Transport, host_of, read_endpoint
from nattools.model.host import Gateway, Interface
from nattools.model.mappingseen import MapCheck
from nattools.model.networkleft import NetworkLeft
from nattools.model.observation import (
    AnyObservation,
    Binding,
    BirthdayTrial,
    Connection,
    DialBack,
    Gap,
    Hairpin,
    Hop,
    Idle,
    Opener,
    Portal,
    PunchTrial,
)
from nattools.model.quotedchecksumseen import QuotedChecksum
from nattools.model.statement import Reason, Statement, statement
from nattools.net.mappedaddress import as_ipv4, why_impossible


class ServerGroups:
    """Hosts joined by OTHER-ADDRESS. Two addresses of one server are two destinations but one witness."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._others: dict[str, set[Endpoint]] = {}
        self._namers: dict[Endpoint, set[Endpoint]] = {}

    def join(self, asked: Endpoint | None, other: Endpoint | None) -> None:
        """A server asked at one endpoint named another as its own."""
        if asked is None or other is None or asked in self._namers.get(other, ()):
            return
        self._others.setdefault(asked.host, set()).add(other)
        self._namers.setdefault(other, set()).add(asked)
        first, second = self.of(asked.host), self.of(other.host)
        self._parent[max(first, second)] = min(first, second)

    def of(self, host: str) -> str:
        """The name of the group that a host is in."""
        while (parent := self._parent.get(host, host)) != host:
            host = parent
        return host

    def others(self, host: str) -> set[Endpoint]:
        """What a host called its other address."""
        return self._others.get(host, set())

    def namers(self, other: Endpoint) -> set[Endpoint]:
        """Who called this endpoint its other address."""
        return self._namers.get(other, set())


T = TypeVar("T", covariant=True)


class Finding(msgspec.Struct, Generic[T], frozen=True):
    """`reason` is for a value that is unknown (None or "unknown"): what was seen, and what would settle it.
    `evidence` are observation ids."""

    value: T
    evidence: tuple[int, ...] = ()
    reason: Reason = ()


IsPublic = Callable[[str], bool]
FAMILIES: tuple[Family, ...] = (4, 6)
TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp")
_PACED = ("mapping", "control", "allocation")
"""Purposes whose copies are paced by the measured round trip, so that each was lost that is neither answered
nor pending. Of other questions, earlier copies may still have been under way when one was answered: they
count as one lost copy."""

_TOGETHER = 5
"""So many losses at one moment are no chance, where one in five is lost."""


class BindingAnswer(msgspec.Struct, frozen=True):
    """A plain Binding question that was answered: what `asked` said of `local`. It was asked at `at_s`, and
    answered by `until_s`; `asked_s` is when the copy was sent that was answered first. `prompt`: every copy
    sent was answered, so that the external port was taken when `at_s` says."""

    id: int
    at_s: float
    purpose: str
    local: Endpoint | None
    asked: Endpoint
    mapped: Endpoint
    prompt: bool
    asked_s: float
    until_s: float


JudgedAnswer = tuple[BindingAnswer | None, str | None]
"""The answer to a plain question, and why it cannot be true (None: it may be)."""


class PathEvidence(msgspec.Struct, frozen=True, dict=True):
    """All that was seen over one transport and address family. `own` are this machine's addresses, `in_vpn`
    those that it has in a VPN, `gateways` those of its routers (none: not known)."""

    transport: Transport
    family: Family
    is_public: IsPublic
    groups: ServerGroups
    own: frozenset[str]
    in_vpn: frozenset[str]
    gateways: frozenset[str]
    bindings: list[Binding] = msgspec.field(default_factory=list)
    dial_backs: list[DialBack] = msgspec.field(default_factory=list)
    hairpins: list[Hairpin] = msgspec.field(default_factory=list)
    idles: list[Idle] = msgspec.field(default_factory=list)
    connections: list[Connection] = msgspec.field(default_factory=list)
    hops: list[Hop] = msgspec.field(default_factory=list)
    openers: list[Opener] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)
    punches: list[PunchTrial] = msgspec.field(default_factory=list)
    birthdays: list[BirthdayTrial] = msgspec.field(default_factory=list)
    quotes: list[QuotedChecksum] = msgspec.field(default_factory=list)
    mapped: list[MapCheck] = msgspec.field(default_factory=list)
    losses: list[CopiesLost] = msgspec.field(default_factory=list)
    left: list[NetworkLeft] = msgspec.field(default_factory=list)
    portals: list[Portal] = msgspec.field(default_factory=list)

    @cached_property
    def judged(self) -> list[JudgedAnswer]:
        """What came back to each of the bindings."""
        return [_judge(binding) for binding in self.bindings]

    @cached_property
    def answers(self) -> list[BindingAnswer]:
        """Answered questions without CHANGE-REQUEST, in the order of the record, that said what can be
        true."""
        return [answer for answer, why in self.judged if answer is not None and why is None]

    @property
    def unanswered(self) -> Statement:
        """Why there are no `answers`."""
        if any(answer is not None for answer, _ in self.judged):
            return statement("answers-doubted")
        refusals = [b for b in self.bindings if b.outcome == "error" and b.error_code is not None]
        if refusals:
            return statement("servers-refused", server=refusals[0].asked, detail=refusals[0].detail)
        return statement("nothing-answered")

    @cached_property
    def loss(self) -> Loss:
        """On the ways to all servers, in both directions together."""
        return self._total(self.losses)

    @cached_property
    def own_loss(self) -> Loss:
        """The same without what `overloaded` servers lose, which is no loss of this network's."""
        if not self.overloaded:
            return self.loss
        return self._total(each for each in self.losses if self.groups.of(each.host) not in self.overloaded)

    def loss_to(self, host: str) -> Loss:
        """What a server's silence is to be held against: its own loss where it is overloaded; of an unknown
        one (""), everybody's."""
        server = self.groups.of(host)
        if host and server not in self.overloaded:
            return self.own_loss
        return self._total(each for each in self.losses if not host or self.groups.of(each.host) == server)

    @cached_property
    def overloaded(self) -> frozenset[str]:
        """The servers, by their groups' names, whose losses are their own."""
        if not self.loss.lost:
            return frozenset()
        return overloaded((self.groups.of(each.host), each) for each in self.losses if each.host)

    @cached_property
    def bursts(self) -> bool:
        """Do losses come together? Of several questions asked at one moment, each lost its first copy."""
        moments: dict[float, list[Binding]] = {}
        for binding in self.bindings:
            if binding.purpose in _PACED and binding.outcome == "answered" and not binding.change_port:
                moments.setdefault(binding.at_s, []).append(binding)
        return any(
            len(asked) >= _TOGETHER and all(each.copy_s > 0 for each in asked) for asked in moments.values()
        )

    def _total(self, losses: Iterable[CopiesLost]) -> Loss:
        return total(losses, left=bool(self.left))

    @cached_property
    def nattools(self) -> frozenset[str]:
        """The nattools servers, by their groups' names."""
        asked = (read_endpoint(binding.asked) for binding in self.bindings if binding.nattools_server)
        return frozenset(self.groups.of(at.host) for at in asked if at is not None)

    @property
    def touched(self) -> bool:
        """Was anything at all asked this way?"""
        return bool(self.bindings or self.dial_backs or self.connections)

    @cached_property
    def answered_endpoints(self) -> frozenset[Endpoint]:
        """Server endpoints that answered a plain question, whatever they said."""
        return frozenset(answer.asked for answer, _ in self.judged if answer is not None)


_NO_ANSWER = (None, None)


def _judge(binding: Binding) -> JudgedAnswer:
    if binding.outcome != "answered" or binding.change_address or binding.change_port:
        return _NO_ANSWER
    asked, mapped = read_endpoint(binding.asked), read_endpoint(binding.mapped)
    if asked is None or mapped is None:
        return _NO_ANSWER
    prompt, local, seen = binding.received >= binding.sent, read_endpoint(binding.local), as_ipv4(mapped)
    why = why_impossible(seen, asked, local, unmasked=binding.unmasked == binding.mapped)
    at_s, asked_s = binding.at_s, binding.at_s + max(0.0, binding.copy_s)
    until_s = asked_s + (binding.waited_s if binding.rtt_s is None else binding.rtt_s)
    answer = BindingAnswer(binding.id, at_s, binding.purpose, local, asked, seen, prompt, asked_s, until_s)
    return answer, why


def doubt(binding: Binding, judged: JudgedAnswer) -> Statement | None:
    """What is wrong with what a server said of us; None: nothing."""
    answer, why = judged
    if answer is None:
        return None
    server, address = answer.asked.host, answer.mapped.host
    if why is not None:
        return statement("server-impossible-address", server=server, address=address, why=why)
    if binding.mapped is not None and binding.mapped.startswith("[") and ":" not in address:
        return statement("server-mapped-ipv6", server=server, address=address)
    return None


def _without_portals(observations: tuple[AnyObservation, ...]) -> tuple[AnyObservation, ...]:
    """What a captive portal answered in the servers' names, they have not answered; over UDP too, unless that
    passes it."""
    met = [each for each in observations if isinstance(each, Portal)]
    if not met:
        return observations
    tcp_alone = all(each.udp_passes for each in met)
    return tuple(
        each if tcp_alone and isinstance(each, Binding) and each.transport == "udp" else _unanswered(each)
        for each in observations
    )


def _unanswered(seen: AnyObservation) -> AnyObservation:
    if isinstance(seen, Binding) and seen.outcome in ("answered", "error", "malformed"):
        return replace(
            seen, outcome="timeout", received=0, mapped=None, other_address=None, nattools_server=False
        )
    if isinstance(seen, Connection) and seen.outcome == "answered":
        return replace(seen, outcome="timeout")
    return seen


def gather(
    interfaces: Iterable[Interface],
    observations: Iterable[AnyObservation],
    is_public: IsPublic,
    gateways: Iterable[Gateway] = (),
) -> dict[tuple[Transport, Family], PathEvidence]:
    """Sort a measurement's observations by transport and family; all four paths, touched or not."""
    kinds = {a.partition("%")[0]: i.kind for i in interfaces for a in i.addresses}
    own, in_vpn = frozenset(kinds), frozenset(each for each, kind in kinds.items() if kind == "vpn")
    routers = frozenset(each.address.partition("%")[0] for each in gateways if each.address)
    groups = ServerGroups()
    paths: dict[tuple[Transport, Family], PathEvidence] = {}
    for transport in TRANSPORTS:
        for family in FAMILIES:
            paths[transport, family] = PathEvidence(
                transport, family, is_public, groups, own, in_vpn, routers
            )
    observations = _without_portals(tuple(observations))
    through_nat64 = translation.prefixes(observations)
    for made in observations:
        observation = translation.as_ipv4(made, through_nat64)
        _sort_in(paths, observation)
        if isinstance(observation, Binding) and observation.other_address is not None:
            groups.join(read_endpoint(observation.asked), read_endpoint(observation.other_address))
    for family in FAMILIES:
        _forget_lost_mappings(paths["tcp", family])
        paths["udp", family].losses.extend(_losses(paths["udp", family]))
        paths["tcp", family].losses.extend(paths["udp", family].losses)
    return paths


def _forget_lost_mappings(path: PathEvidence) -> None:
    """A connection that was asked again and is no longer what it was shows that the NAT lost its mappings:
    what it said of that own port before and afterwards cannot be compared."""
    first: dict[tuple[str | None, str], Binding] = {}
    lost: set[str | None] = set()
    for binding in path.bindings:
        if binding.purpose != "mapping":
            continue
        before = first.get((binding.local, binding.asked))
        if before is None and binding.outcome == "answered":
            first[binding.local, binding.asked] = binding
        elif before is not None and binding.mapped != before.mapped:
            lost.add(binding.local)
    for place, each in enumerate(path.bindings):
        if each.purpose == "mapping" and each.local in lost:
            path.bindings[place] = replace(each, mapped=None)


def _losses(path: PathEvidence) -> list[CopiesLost]:
    """Of each question that was bound to be answered: TCP hides its losses, so UDP's stand for both. A server
    that never answered is no evidence of loss."""
    alive = path.answered_endpoints
    found = [
        CopiesLost("", min(idle.sent, 2), min(idle.sent - 1, 1))
        for idle in path.idles
        if idle.alive and idle.sent > 0
    ]
    for binding in path.bindings:
        host = host_of(binding.asked) or ""
        if binding.change_address or binding.change_port or binding.sent <= 0:
            continue
        lost = max(0, binding.sent - max(0, binding.received) - max(0, binding.pending))
        if binding.purpose in _PACED and read_endpoint(binding.asked) in alive:
            found.append(CopiesLost(host, binding.sent, lost))
        elif binding.outcome == "answered" and (_first_answered(binding) or _in_old_words(binding)):
            found.append(CopiesLost(host, 1, 0))
        elif binding.outcome == "answered":
            found.append(CopiesLost(host, min(binding.sent, 2), min(lost, 1)))
    return found


def _first_answered(binding: Binding) -> bool:
    """Did the answer to the first copy end the question? Later copies were then under way, not lost."""
    return binding.rtt_s is not None and 0 < binding.waited_s <= binding.rtt_s + 0.02


def _in_old_words(binding: Binding) -> bool:
    """Was it answered as RFC 3489 has it, by a server that may not have understood the copies before?"""
    return binding.purpose == "reach" and binding.mapped is not None and binding.unmasked == binding.mapped


def _sort_in(paths: dict[tuple[Transport, Family], PathEvidence], seen: AnyObservation) -> None:
    match seen:
        case Binding():
            paths[seen.transport, seen.family].bindings.append(seen)
        case DialBack():
            paths[seen.transport, seen.family].dial_backs.append(seen)
        case Hairpin():
            paths[seen.transport, seen.family].hairpins.append(seen)
        case Idle():
            paths[seen.transport, seen.family].idles.append(seen)
        case Connection():
            paths["tcp", seen.family].connections.append(seen)
        case Hop():
            paths["udp", seen.family].hops.append(seen)
        case Opener():
            paths["udp", seen.family].openers.append(seen)
        case PunchTrial():
            paths[seen.transport, seen.family].punches.append(seen)
        case BirthdayTrial():
            paths["udp", seen.family].birthdays.append(seen)
        case NetworkLeft():
            for transport in TRANSPORTS:
                paths[transport, seen.family].left.append(seen)
        case Portal():
            for family in FAMILIES:
                paths["tcp", family].portals.append(seen)
        case QuotedChecksum():
            paths["udp", seen.family].quotes.append(seen)
        case MapCheck():
            for transport in TRANSPORTS:
                paths[transport, seen.family].mapped.append(seen)
        case Gap():
            for path in paths.values():
                path.gaps.append(seen)


def gap_reason(gap: Gap) -> Statement:
    """Why a question could not be asked here, as the probe noted it."""
    return statement("gap", reason=gap.reason.rstrip("."), settle=gap.settle.rstrip("."))
