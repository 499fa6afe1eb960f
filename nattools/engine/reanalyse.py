"""A saved report analysed once more: its observations are kept, and everything concluded from them is new.

A later version may know better what the same observations mean.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nattools.engine.analyse import analyse
from nattools.model.endpoint import Family
from nattools.model.observation import Idle
from nattools.model.report import Measurement, Report, Server


def reanalyse(report: Report, *, is_public: Callable[[str], bool]) -> Report:
    """The report that this version makes of an old one's observations. Pure."""
    measurement = Measurement(
        command=report.command,
        action=report.action,
        started=report.started,
        duration_s=report.duration_s,
        substrate=report.substrate,
        scenario=report.scenario,
        host=report.host,
        servers=tuple(_as_noted(server) for server in report.servers),
        families=_families(report),
        lifetime_asked=any(isinstance(one, Idle) for one in report.observations),
        timed_out=report.timed_out,
        observations=report.observations,
    )
    again = analyse(measurement, is_public=is_public)
    # what became of a punch happened, and is no conclusion
    return again if report.punch is None else msgspec.structs.replace(again, punch=report.punch)


def _as_noted(server: Server) -> Server:
    """A server as it was before the analysis: what is wrong with the answers of one that answered is a
    conclusion, and will be drawn again."""
    return msgspec.structs.replace(server, problem="", problems=()) if server.answered else server


def _families(report: Report) -> tuple[Family, ...]:
    """The families that were measured: those that something was observed of."""
    seen = {getattr(one, "family", None) for one in report.observations}
    families: tuple[Family, ...] = (4, 6)
    return tuple(family for family in families if family in seen)
