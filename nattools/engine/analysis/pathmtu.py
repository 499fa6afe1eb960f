"""The largest packet that gets through, and who says so of larger ones. Pure."""

from __future__ import annotations

from nattools.engine.analysis.findings import Findings
from nattools.model.endpoint import Family
from nattools.model.ipv6 import PathMtu
from nattools.model.ipv6trial import MtuTrial


def path_mtu(findings: Findings, family: Family) -> PathMtu | None:
    """From what was tried with the server where most is known; None: nothing was."""
    seen = findings.measurement.observations
    trials = [each for each in seen if isinstance(each, MtuTrial) and each.family == family]
    if not trials:
        return None
    best = next((each for each in trials if each.passed is not None), trials[0])
    told = best.told_by is not None or best.told is not None
    hole = None
    if best.passed is not None:
        hole = best.failed is not None and not told and not best.refused_here
        hole = None if hole and best.deaf else hole
    return PathMtu(
        bytes=_exact(best),
        black_hole=hole,
        too_big_from=best.told_by,
        silent_at=best.last_hop if hole else None,
        link=best.link,
    )


def _exact(trial: MtuTrial) -> int | None:
    """What was told is exact where it lies between what passed and the next size that was tried."""
    if trial.passed is not None and trial.told is not None and 0 <= trial.told - trial.passed < 4:
        return trial.told
    return trial.passed
