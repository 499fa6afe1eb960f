"""How verdicts on techniques are written down."""

from __future__ import annotations

from nattools.model.technique import Technique, TechniqueId, Verdict


def judged(
    name: TechniqueId,
    verdict: Verdict,
    confidence: float,
    summary: str,
    advice: str = "",
    evidence: tuple[int, ...] = (),
) -> Technique:
    """As in `Technique`; `evidence` may name an observation several times."""
    return Technique(
        id=name,
        verdict=verdict,
        confidence=confidence,
        summary=summary,
        advice=advice,
        evidence=tuple(dict.fromkeys(evidence)),
    )
