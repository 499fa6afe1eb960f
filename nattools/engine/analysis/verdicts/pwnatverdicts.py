"""Would pwnat work here, as the listener and as the caller? From crafted ICMP errors in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nattools.engine.analysis.findings import Findings, technique
from nattools.model.endpoint import read_endpoint
from nattools.model.errortrialseen import ErrorTrial
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, Gap, Hop
from nattools.model.pwnat import CallerVerdict, ListenerVerdict, Pwnat
from nattools.model.report import Technique
from nattools.model.statement import Statement, statement
from nattools.traversal.plan.side import moving

_PROBE: Final = "error-trial"
_SETTLE: Final = statement("pwnat-settle")
_ANSWERS: Final = {
    (True, True): "pwnat-both",
    (True, False): "pwnat-listens",
    (False, True): "pwnat-calls",
    (False, False): "pwnat-neither",
}


def trials(observations: Sequence[AnyObservation], direction: str) -> list[ErrorTrial]:
    """The trials of one direction."""
    return [each for each in observations if isinstance(each, ErrorTrial) and each.direction == direction]


def listener_verdict(observations: Sequence[AnyObservation], nat: Nat | None) -> ListenerVerdict:
    """Does this network let a caller's error in? Where nothing arrives, an error about what was sent to the
    server itself tells whether the quote was the reason, and routers' true errors whether all ICMP errors
    are kept out."""
    tried = {each.quotes: each for each in trials(observations, "in") if not each.read}
    beacon, own = tried.get("beacon"), tried.get("server")
    if _reads_port(observations):
        return "passes"
    if beacon is not None and beacon.outcome == "arrived":
        return "passes"
    if beacon is None or beacon.outcome != "missing" or own is None:
        return "unknown"
    if own.outcome == "arrived":
        return "id-rewritten" if nat is not None and moving(nat) else "quote-not-matched"
    if own.outcome != "missing":
        return "unknown"
    return "invalid-dropped" if _true_errors(observations, nat) else "icmp-blocked"


def _reads_port(observations: Sequence[AnyObservation]) -> bool:
    """Does it let one in about a port that no server tells, and that quoted checksums give away?"""
    return any(each.read and each.outcome == "arrived" for each in trials(observations, "in"))


def _true_errors(observations: Sequence[AnyObservation], nat: Nat | None) -> bool:
    """Did a router beyond the outermost NAT report that a packet's TTL was over?"""
    beyond = 1 if nat is None or nat.distance_hops is None else nat.distance_hops
    return any(
        isinstance(each, Hop) and each.address is not None and each.ttl > beyond for each in observations
    )


def caller_verdict(observations: Sequence[AnyObservation]) -> CallerVerdict:
    """Does this network let a call out, and with which source? Where it does not, an echo request tells
    whether other ICMP gets out."""
    tried = trials(observations, "out")
    if not tried or tried[-1].outcome not in ("arrived", "missing"):
        return "unknown"
    last = tried[-1]
    if last.outcome == "arrived":
        seen = read_endpoint(last.mapped)
        return "passes" if seen is not None and last.source == seen.host else "untranslated"
    if last.echoed is None:
        return "unknown"
    return "invalid-dropped" if last.echoed else "icmp-blocked"


def _about(findings: Findings) -> list[AnyObservation]:
    """What of the record tells anything of it."""
    return [*findings.seen(ErrorTrial), *findings.seen(Hop), *findings.seen(Gap)]


def pwnat_verdict(findings: Findings) -> Technique:
    """It works where this machine can be one of the two."""
    seen = _about(findings)
    nat = findings.nat("udp", 4)
    listener, caller = listener_verdict(seen, nat), caller_verdict(seen)
    ids = tuple(each.id for each in seen if isinstance(each, ErrorTrial))
    reasons = [_as_listener(listener, nat, reads=_reads_port(seen)), _as_caller(caller)]
    if "passes" in (listener, caller):
        confidence = 0.95 if listener == "passes" else 0.9
        return technique("pwnat", "works", confidence, *reasons, evidence=ids)
    if "unknown" not in (listener, caller):
        return technique("pwnat", "fails", 0.9, *reasons, evidence=ids)
    return technique("pwnat", "unknown", 0.0, *_unknown(seen, ids, reasons), evidence=ids)


def _unknown(
    seen: Sequence[AnyObservation], ids: tuple[int, ...], reasons: list[Statement]
) -> tuple[Statement, ...]:
    gaps = [each for each in seen if isinstance(each, Gap) and each.probe == _PROBE]
    if ids:
        return (*reasons, _SETTLE)
    if gaps:
        reason, settle = gaps[0].reason.rstrip("."), gaps[0].settle.rstrip(".")
        return (statement("gap", reason=reason, settle=settle),)
    return statement("pwnat-untested"), _SETTLE


def _as_listener(verdict: ListenerVerdict, nat: Nat | None, *, reads: bool) -> Statement:
    if reads:
        return statement("pwnat-listener-reads-port")
    if verdict == "id-rewritten" and (nat is None or nat.quoted_checksum in (None, "unknown")):
        return statement("pwnat-listener-id-rewritten-unseen")
    return statement(f"pwnat-listener-{verdict}")


def _as_caller(verdict: CallerVerdict) -> Statement:
    return statement(f"pwnat-caller-{verdict}")


def tested(findings: Findings) -> Pwnat:
    """What `nattools pwnat test` has found."""
    seen = _about(findings)
    listener, caller = listener_verdict(seen, findings.nat("udp", 4)), caller_verdict(seen)
    verdict, known = pwnat_verdict(findings), "unknown" not in (listener, caller)
    answer = _ANSWERS[listener == "passes", caller == "passes"] if known else "pwnat-not-known"
    return Pwnat(
        role="test",
        connected=False,
        listener=listener,
        caller=caller,
        reasons=(statement(answer), *verdict.reason),
    )
