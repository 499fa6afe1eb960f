"""What a run produced, before any judgement: the input of the analysis, and all of it is in the report."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Family
from nattools.model.host import Host
from nattools.model.observation import AnyObservation
from nattools.model.report import Command, MapAction, Server, Substrate


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """`families` are those that were measured: asked for, and with a route. `started` is RFC 3339.
    `timed_out`: the time given was over before all questions were answered."""

    command: Command
    action: MapAction | None = None
    started: str
    duration_s: float
    substrate: Substrate
    scenario: str | None = None
    host: Host
    servers: tuple[Server, ...] = ()
    families: tuple[Family, ...] = (4,)
    lifetime_asked: bool = False
    timed_out: bool = False
    observations: tuple[AnyObservation, ...] = ()
