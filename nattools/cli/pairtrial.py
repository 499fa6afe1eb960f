"""Two hosts of a lab connect, as by `nattools punch --no-map` on both."""

from __future__ import annotations

from dataclasses import dataclass

from nattools.engine.options import MeasureOptions
from nattools.engine.punch.both import punch_both
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.lab.backend import Lab
from nattools.model.endpoint import Family
from nattools.model.report import Report
from nattools.model.serveruri import parse_server

Reports = tuple[Report, Report]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a punch in a lab may use. `low_ports` None: ports below 1024 if this process may bind them.
    `scenario`: the name to note in the reports."""

    low_ports: bool | None = None
    families: tuple[Family, ...] = (4,)
    scenario: str = ""


async def connect(lab: Lab, first: str, second: str, terms: Terms) -> Reports:
    """Both hosts' reports. Errors are those of `engine.punch.punch`."""
    sides = [(lab.network(host), _options(lab, host, terms), Watcher()) for host in (first, second)]
    return await punch_both(sides[0], sides[1])


def _options(lab: Lab, host: str, terms: Terms) -> PunchOptions:
    measuring = MeasureOptions(
        command="punch",
        servers=tuple(parse_server(uri) for uri in lab.server_uris()),
        families=terms.families,
        scenario=f"{terms.scenario}:{host}" if terms.scenario else None,
    )
    return PunchOptions(measuring=measuring, low_ports=terms.low_ports, echoes=0)
