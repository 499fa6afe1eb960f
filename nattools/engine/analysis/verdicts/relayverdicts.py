"""Verdicts on relays: only what was relayed proves that they work here."""

from __future__ import annotations

from nattools.engine.analysis.findings import Findings, technique
from nattools.model.relay import Relay, RelayKind
from nattools.model.report import Technique, TechniqueId
from nattools.model.statement import Statement, statement

_IDS: dict[RelayKind, TechniqueId] = {"turn": "relay-turn", "derp": "relay-derp"}
_SETTLE: dict[RelayKind, Statement] = {
    "turn": statement("settle-relay-turn"),
    "derp": statement("settle-relay-derp"),
}
_MISSING = {"relay-credentials-missing", "relay-missing"}
"""What stands in the way is with us, and says nothing of the relay."""


def relayed(findings: Findings, kind: RelayKind) -> Technique:
    """Does one of the relays that were tried pass on what it is given?"""
    rows = [row for row in findings.relays if row.kind == kind]
    ids = tuple(one for row in rows[:5] for one in row.evidence)
    name, settle = _IDS[kind], (_SETTLE[kind],)
    if not rows:
        return technique(name, "unknown", 0.0, statement("relay-none-named"), remedy=settle)
    best = rows[0]
    if best.works and best.rtt_ms is not None:
        why = statement("relay-works", uri=_named(best), transport=best.transport, rtt_ms=best.rtt_ms.median)
        return technique(name, "works", 0.99, why, evidence=ids)
    failed = max((row for row in rows if row.works is False), key=lambda row: len(row.steps), default=None)
    untried = [row for row in rows if row.works is None]
    if untried and (failed is None or kind == "derp"):
        return technique(name, "unknown", 0.0, *_untried(untried[0]), remedy=settle, evidence=ids)
    if failed is None or failed.error is None:
        return technique(name, "unknown", 0.0, statement("relay-none-named"), remedy=settle, evidence=ids)
    why, error = statement("relay-fails", uri=_named(failed)), failed.error
    if any(each.code in _MISSING for each in error.reason):
        why = statement("relay-untried", uri=_named(failed))
        return technique(name, "unknown", 0.0, why, *error.reason, remedy=error.remedy, evidence=ids)
    return technique(name, "fails", 0.9, why, *error.reason, remedy=error.remedy, evidence=ids)


def _untried(nearest: Relay) -> tuple[Statement, ...]:
    if nearest.error is not None:
        return nearest.error.reason
    if nearest.direct_rtt_ms is None:
        return (statement("relay-derp-silent-all"),)
    return (statement("relay-derp-near", uri=_named(nearest), rtt_ms=nearest.direct_rtt_ms),)


def _named(row: Relay) -> str:
    """Its region's name says more than a host's."""
    return row.region or row.uri
