"""Filtering (RFC 4787 5, RFC 5780 4.4) and hairpinning (RFC 4787 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import prod
from typing import Literal

import msgspec

from nattools.engine.analysis.evidence import Finding, PathEvidence
from nattools.engine.analysis.nat.mappingends import KEPT_S
from nattools.engine.analysis.servers import ServerBehaviour
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.endpoint import Endpoint, host_of, read_endpoint
from nattools.model.nat import FilteringBehaviour
from nattools.model.observation import Binding, DialBack, Hairpin
from nattools.model.statement import Reason, statement

Changed = Literal["address", "port"]


class FilterTrial(msgspec.Struct, frozen=True):
    """Something was sent to us from a place that the port had not written to: from another address, or from
    another port of the same address. `definite`: a refusal, which needs no copies to be believed. `server`:
    which one was asked ("": not known)."""

    id: int
    kind: Changed
    passed: bool
    copies: int
    definite: bool = False
    server: str = ""


class FilteringFinding(Finding[FilteringBehaviour], frozen=True):
    """`open_to_all`: may anybody send in? Known in some cases where the rest is not."""

    open_to_all: bool | None = None


def filtering(path: PathEvidence, behaviours: dict[str, ServerBehaviour]) -> FilteringFinding:
    """The filtering behaviour as far as it is proven."""
    trials = [*_stun_trials(path, behaviours), *_dial_back_trials(path)]
    address_passed = _ids(trials, "address", passed=True)
    if address_passed:
        return FilteringFinding("endpoint-independent", address_passed, open_to_all=True)
    port_passed = _ids(trials, "port", passed=True)
    address_stopped = _stopped(path, trials, "address")
    port_stopped = _stopped(path, trials, "port")
    if port_passed and address_stopped:
        return FilteringFinding("address-dependent", port_passed + address_stopped, open_to_all=False)
    if port_stopped and not port_passed:
        ids = port_stopped + address_stopped
        return FilteringFinding("address-and-port-dependent", ids, open_to_all=False)
    if port_passed:
        return FilteringFinding("unknown", port_passed, (statement("filtering-ports-open"), *_settle(path)))
    if address_stopped:
        reason = (statement("filtering-addresses-closed"), *_settle(path))
        return FilteringFinding("unknown", address_stopped, reason, open_to_all=False)
    return FilteringFinding("unknown", tuple(trial.id for trial in trials), _why_nothing(path, trials))


def _settle(path: PathEvidence) -> Reason:
    return (statement("filtering-settle"),) if path.answers else ()


def _why_nothing(path: PathEvidence, trials: list[FilterTrial]) -> Reason:
    if not path.answers:
        return (path.unanswered,)
    if trials:
        return (statement("filtering-maybe-loss", copies=sum(trial.copies for trial in trials)),)
    udp = path.transport == "udp"
    if udp and any(b.purpose == "filter-address" and b.outcome == "timeout" for b in path.bindings):
        return (statement("filtering-server-unproven"),)
    return (statement("filtering-no-udp-server") if udp else statement("filtering-no-tcp-server"),)


def _ids(trials: list[FilterTrial], kind: Changed, *, passed: bool) -> tuple[int, ...]:
    return tuple(trial.id for trial in trials if trial.kind == kind and trial.passed is passed)


def _stopped(path: PathEvidence, trials: list[FilterTrial], kind: Changed) -> tuple[int, ...]:
    """Evidence that this kind is kept out; empty if chance could explain the silence."""
    silent = [trial for trial in trials if trial.kind == kind and not trial.passed]
    chance = prod(path.loss_to(trial.server).chance(trial.copies) for trial in silent)
    if any(trial.definite for trial in silent) or (silent and chance < CERTAIN_ERROR):
        return _ids(trials, kind, passed=False)
    return ()


def _stun_trials(path: PathEvidence, behaviours: dict[str, ServerBehaviour]) -> Iterator[FilterTrial]:
    """A silent server is no filter: it must be known to answer from elsewhere at all."""
    written = _written_to(path)
    for binding in path.bindings:
        asked = read_endpoint(binding.asked)
        if asked is None or not binding.purpose.startswith("filter-"):
            continue
        server = behaviours.get(asked.host)
        if server is None or server.distrusted or server.refuses_change:
            continue
        trial = _stun_trial(path, binding, asked, written.get(read_endpoint(binding.local), set()))
        if trial is not None and (trial.passed or server.changed or server.nattools):
            yield trial


def _written_to(path: PathEvidence) -> dict[Endpoint | None, set[Endpoint]]:
    """Where each local port has sent to."""
    found: dict[Endpoint | None, set[Endpoint]] = defaultdict(set)
    for binding in path.bindings:
        asked = read_endpoint(binding.asked)
        if asked is not None:
            found[read_endpoint(binding.local)].add(asked)
    return found


def _stun_trial(
    path: PathEvidence, binding: Binding, asked: Endpoint, written: set[Endpoint]
) -> FilterTrial | None:
    kind: Changed | None = "address" if binding.change_address else "port" if binding.change_port else None
    if kind is None:
        return None
    if binding.outcome == "answered":
        source = read_endpoint(binding.source)
        return _arrival(binding.id, source, asked, written)
    if binding.outcome != "timeout" or not _alive(path, asked, kind):
        return None
    return FilterTrial(binding.id, kind, False, binding.sent, server=asked.host)


def _arrival(
    number: int, source: Endpoint | None, asked: Endpoint, written: set[Endpoint]
) -> FilterTrial | None:
    """What an answer proves depends on where it truly came from, not on what was asked for."""
    if source is None or source == asked or source in written:
        return None
    known = {at.host for at in written} | {asked.host}
    return FilterTrial(number, "port" if source.host in known else "address", True, 1)


def _alive(path: PathEvidence, asked: Endpoint, kind: Changed) -> bool:
    """Is the place that should have answered known to answer when it is asked directly?"""
    others = {other for other in path.groups.others(asked.host) if other != asked}
    if kind == "address":
        hosts = {other.host for other in others} - {asked.host}
        return any(at.host in hosts for at in path.answered_endpoints)
    ports = {other.port for other in others} - {asked.port}
    family = {asked.host} | {other.host for other in others}
    return any(at.port in ports and at.host in family for at in path.answered_endpoints)


def _dial_back_trials(path: PathEvidence) -> Iterator[FilterTrial]:
    for back in path.dial_backs:
        trial = _dial_back_trial(back)
        if trial is not None:
            yield trial


def _dial_back_trial(back: DialBack) -> FilterTrial | None:
    if not back.fresh or back.untouched:
        return None
    kind: Changed | None = "address" if back.change_address else "port" if back.change_port else None
    if kind is None or back.outcome in ("error", "denied"):
        return None
    passed = back.outcome == "arrived"
    return FilterTrial(
        back.id,
        kind,
        passed,
        back.sent,
        definite=back.outcome in ("refused", "unreachable"),
        server=host_of(back.origin) or "",
    )


class HairpinFinding(Finding["bool | None"], frozen=True):
    """`confidence`: the share of tests that agree with the value. `source_outside`: whether the receiver saw
    the sender's external address (RFC 4787 REQ-9)."""

    confidence: float | None = None
    source_outside: bool | None = None


def hairpinning(
    path: PathEvidence, *, nat: bool | None, varies: bool | None, filtering: FilteringBehaviour
) -> HairpinFinding:
    """One packet that came back proves it. Silence disproves it only if no filter could have caused it, since
    both ports wrote to each other, and loss could not either."""
    if nat is False:
        return HairpinFinding(None, (), (statement("hairpinning-no-nat"),))
    tests = [test for test in path.hairpins if test.sent > 0]
    ids = tuple(test.id for test in tests)
    silent = [test for test in tests if _kept(path, test)]
    if not tests:
        untested = statement("no-probe" if path.transport == "tcp" else "hairpinning-not-tested")
        return HairpinFinding(None, (), (untested if path.answers else path.unanswered,))
    came = [test for test in tests if test.received > 0]
    if came:
        return HairpinFinding(True, ids, (), len(came) / len(tests), _source_outside(path, came))
    if path.bursts or not path.own_loss.conclusive(sum(test.sent for test in silent)):
        return HairpinFinding(None, ids, (statement("hairpinning-maybe-loss"),))
    if filtering != "endpoint-independent" and (varies is not False or not _mutual(path, tests)):
        return HairpinFinding(None, ids, (statement("hairpinning-maybe-filtered"),))
    return HairpinFinding(False, ids, (), 1.0)


def _kept(path: PathEvidence, test: Hairpin) -> bool:
    """Can the NAT not have forgotten the mapping that was sent to?"""
    target = read_endpoint(test.target)
    seen = [answer.asked_s for answer in path.answers if answer.mapped == target]
    return not seen or test.at_s - max(seen) <= KEPT_S


def _mutual(path: PathEvidence, tests: list[Hairpin]) -> bool:
    """Did every receiver itself write to the sender's external address, so that its filter was open?"""
    outside = {answer.local: answer.mapped for answer in path.answers if answer.local is not None}
    wrote = {
        (outside.get(local), read_endpoint(test.target))
        for test in tests
        if (local := read_endpoint(test.local))
    }
    return all((target, sender) in wrote for sender, target in wrote)


def _source_outside(path: PathEvidence, came: list[Hairpin]) -> bool | None:
    sources = [source for test in came if (source := read_endpoint(test.source)) is not None]
    inside = {answer.local for answer in path.answers}
    if not sources:
        return None
    return not any(source in inside or source.host in path.own for source in sources)
