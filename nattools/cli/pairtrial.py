"""Two hosts of a lab connect, as by `nattools punch --no-map` on both."""

from __future__ import annotations

from dataclasses import dataclass

from nattools.engine.options import MeasureOptions
from nattools.engine.punch.both import punch_both
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.lab.base import Lab
from nattools.model.endpoint import Family
from nattools.model.report import Report
from nattools.model.serveruri import parse_server

Reports = tuple[Report, Report]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a punch in a lab may use. `low_ports` None: ports below 1024 if this process may bind them."""

    low_ports: bool | None = None
    families: tuple[Family, ...] = (4,)


async def connect(lab: Lab, first: str, second: str, terms: Terms) -> Reports:
    """Both hosts' reports. Errors are those of `engine.punch.punch`."""
    measuring = MeasureOptions(
        command="punch",
        servers=tuple(parse_server(uri) for uri in lab.server_uris()),
        families=terms.families,
    )
    options = PunchOptions(measuring=measuring, low_ports=terms.low_ports, echoes=0)
    sides = [(lab.network(host), options, Watcher()) for host in (first, second)]
    return await punch_both(sides[0], sides[1])
