"""Relays that were tried, best first: what it costs to go through each, or why it does not relay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec.structs import replace

from nattools.model.endpoint import Family
from nattools.model.networkleft import NetworkLeft
from nattools.model.observation import AnyObservation
from nattools.model.relay import Relay, RelayError, RoundTrips
from nattools.model.relaytrial import RelayCause, RelayFailure, RelayTrial
from nattools.model.statement import Statement, statement

_ASK = "relay-ask-operator"
_CASES: dict[RelayCause, tuple[str, str, str]] = {
    "unresolved": ("unresolved", "relay-unresolved", "relay-check-name"),
    "refused": ("port closed", "relay-port-closed", "relay-check-port"),
    "unreachable": ("unreachable", "relay-unreachable", "relay-ask-network"),
    "prohibited": ("prohibited", "relay-prohibited", "relay-ask-network"),
    "not-tls": ("no TLS", "relay-not-tls", "relay-check-tls-port"),
    "certificate": ("certificate", "relay-certificate", "relay-check-certificate"),
    "not-a-relay": ("no relay", "relay-not-a-relay", "relay-check-uri"),
    "captive-portal": ("captive portal", "relay-portal", "relay-log-in"),
    "challenge": ("challenge", "relay-challenge", _ASK),
    "no-credentials": ("no credentials", "relay-credentials-missing", "relay-give-credentials"),
    "expired": ("credentials expired", "relay-credentials-expired", "relay-renew-credentials"),
    "verifies": ("verifies clients", "relay-verifies", "relay-verified-network"),
    "closed": ("connection closed", "relay-closed", _ASK),
    "nothing-relayed": ("relays nothing", "relay-nothing-relayed", "relay-open-range"),
    "not-reached": ("not reached from outside", "relay-not-reached", "relay-open-range"),
    "other-address": ("wrong address", "relay-other-address", "relay-set-external"),
    "inward-only": ("inward only", "relay-inward-only", "relay-open-range"),
    "private-address": ("private address", "relay-private-address", "relay-set-external"),
    "missing": ("missing", "relay-missing", "relay-install-derp"),
}
"""By cause: its name, what it means, what to do."""
_CODES: dict[int, tuple[str, str, str]] = {
    300: ("Try Alternate", "relay-error-300", _ASK),
    400: ("Bad Request", "relay-error-400", _ASK),
    401: ("Unauthorized", "relay-credentials-refused", "relay-check-credentials"),
    403: ("Forbidden", "relay-error-403-allocate", _ASK),
    420: ("Unknown Attribute", "relay-error-420", _ASK),
    437: ("Allocation Mismatch", "relay-error-437", "relay-try-again"),
    438: ("Stale Nonce", "relay-error-438", "relay-check-clock"),
    440: ("Address Family not Supported", "relay-error-440", "relay-other-family"),
    441: ("Wrong Credentials", "relay-error-441", "relay-check-credentials"),
    442: ("Unsupported Transport Protocol", "relay-error-442", "relay-other-relay"),
    443: ("Peer Address Family Mismatch", "relay-error-443", "relay-other-family"),
    486: ("Allocation Quota Reached", "relay-error-486", "relay-close-others"),
    508: ("Insufficient Capacity", "relay-error-508", "relay-other-relay"),
}
"""By the error codes of RFC 8656 19.2 and RFC 8489 14.8, the same."""


_SILENCE: frozenset[RelayCause] = frozenset(
    ("timeout", "unresolved", "unreachable", "closed", "nothing-relayed", "not-reached", "inward-only")
)
"""What a cable that is out looks like as well."""


def relays(observations: Iterable[AnyObservation]) -> tuple[Relay, ...]:
    """A row for each relay and way to it: those that work by their round trips, then those that were only
    asked how far away they are, then those that do not work, in the order in which they were tried."""
    observations = tuple(observations)
    trials = [each for each in observations if isinstance(each, RelayTrial)]
    left = {each.family for each in observations if isinstance(each, NetworkLeft)}
    rows = sorted((_unless_left(_relay(each), each, left) for each in trials), key=_order)
    return tuple(
        row if _fails(row) or _trip_ms(row) is None else replace(row, rank=place)
        for place, row in enumerate(rows, 1)
    )


def _fails(row: Relay) -> bool:
    """Or may: nobody knows."""
    return row.works is False or row.error is not None


def _order(row: Relay) -> tuple[int, float]:
    trip = _trip_ms(row)
    group = 2 if _fails(row) or trip is None else 0 if row.works else 1
    return group, trip if trip is not None and group < 2 else 0.0


def _trip_ms(row: Relay) -> float | None:
    """Through it, else to it."""
    return row.direct_rtt_ms if row.rtt_ms is None else row.rtt_ms.median


def _relay(trial: RelayTrial) -> Relay:
    trips = [1000 * each for each in trial.trips_s if math.isfinite(each) and each >= 0]
    direct = [1000 * each for each in trial.direct_s if math.isfinite(each) and each >= 0]
    works = bool(trips) and trial.failure is None
    return Relay(
        kind=trial.relay,
        uri=trial.uri,
        region=trial.region,
        transport=trial.transport,
        family=trial.family,
        address=trial.server,
        works=works if trial.through or trial.failure is not None else None,
        rtt_ms=_round_trips(trips),
        jitter_ms=_jitter(trips),
        loss=round(1 - min(len(trips), trial.sent) / trial.sent, 4) if trial.sent else None,
        reordered=trial.reordered if trips else None,
        throughput_mbps=_throughput(trial),
        error=None if trial.failure is None else _error(trial, trial.failure),
        relayed=trial.relayed,
        direct_rtt_ms=_median(direct) if direct else None,
        mtu=trial.mtu,
        steps=trial.steps,
        evidence=(trial.id,),
    )


def _unless_left(row: Relay, trial: RelayTrial, left: set[Family]) -> Relay:
    """Once this machine has left the network no silence is the relay's, and no loss."""
    if not left or (trial.family is not None and trial.family not in left):
        return row
    if row.error is not None and trial.failure is not None and trial.failure.cause in _SILENCE:
        why, again = (statement("relay-network-left"),), (statement("relay-run-again"),)
        error = RelayError(step=row.error.step, name="network left", reason=why, remedy=again)
        return replace(row, works=None, error=error, loss=None, mtu=None)
    return replace(row, loss=None, mtu=None) if row.loss else row


def _median(values: Sequence[float]) -> float:
    from statistics import median

    return round(median(values), 3)


def _round_trips(trips: Sequence[float]) -> RoundTrips | None:
    if not trips:
        return None
    ordered = sorted(trips)
    last = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return RoundTrips(min=round(ordered[0], 3), median=_median(ordered), p95=round(last, 3))


def _jitter(trips: Sequence[float]) -> float | None:
    """The mean difference between a round trip and the one before (as RFC 3550 6.4.1's, not smoothed)."""
    if len(trips) < 2:
        return None
    return round(sum(abs(later - earlier) for earlier, later in pairwise(trips)) / (len(trips) - 1), 3)


def _throughput(trial: RelayTrial) -> float | None:
    if trial.carried_bytes <= 0 or trial.carried_s <= 0:
        return None
    return round(8 * trial.carried_bytes / trial.carried_s / 1e6, 2)


def _error(trial: RelayTrial, failure: RelayFailure) -> RelayError:
    name, meaning, advice = _case(trial, failure)
    return RelayError(
        step=trial.steps[-1].step if trial.steps else "resolve",
        code=failure.code,
        name=name,
        reason=(_said(meaning, trial, failure),),
        remedy=(_said(advice, trial, failure),),
    )


def _case(trial: RelayTrial, failure: RelayFailure) -> tuple[str, str, str]:
    if failure.cause == "error":
        step = trial.steps[-1].step if trial.steps else ""
        if failure.code == 403 and step == "permit":
            return "Forbidden", "relay-error-403-permit", "relay-denied-peer"
        return _CODES.get(failure.code or 0, ("error", "relay-error-other", _ASK))
    if failure.cause == "timeout":
        return "no answer", *_silent(trial)
    if failure.cause == "certificate" and trial.relay == "derp" and "self-signed" in failure.detail:
        return "certificate", "relay-self-signed", "relay-pin-certificate"
    if failure.cause == "nothing-relayed" and trial.relay == "derp":
        return "relays nothing", "relay-derp-silent", _ASK
    return _CASES.get(failure.cause, ("failed", "relay-no-answer", _ASK))


def _silent(trial: RelayTrial) -> tuple[str, str]:
    """What silence means depends on how far it came, and on what else answered there."""
    if any(each.step in ("connect", "tls") and each.ok for each in trial.steps):
        return "relay-no-answer", _ASK
    if trial.transport != "udp":
        return "relay-silent-tcp", "relay-try-443"
    if trial.direct_s:
        return "relay-only-stun", "relay-try-tcp"
    return "relay-silent-udp", "relay-try-tcp"


def _said(code: str, trial: RelayTrial, failure: RelayFailure) -> Statement:
    return statement(
        code,
        server=trial.server or trial.uri,
        uri=trial.uri,
        transport="udp" if trial.transport == "udp" else "tcp",
        relayed=trial.relayed,
        sent=trial.sent,
        code=failure.code,
        detail=failure.detail,
    )
