"""Two hosts of a lab connected by `nattools pwnat`."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Use, Watcher
from nattools.engine.pwnat.connecting import Side, both
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.lab.backend import Lab
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network

WAIT_S: Final = 20.0
"""A caller that has knocked so long in a lab is not let in."""


async def knock_pair(
    lab: Lab, listener: str, caller: str, network: Network | None = None
) -> tuple[Report, Report]:
    """Both hosts' reports, the listener's by its `network`. They ask servers only if the scenario's options
    say so. Errors are those of `engine.pwnat`."""
    wanted = lab.scenario.options
    uris = lab.server_uris() if wanted.get("named_server") else ()
    sides: list[Side] = []
    for host, at in ((listener, network), (caller, None)):
        measuring = MeasureOptions(
            command="pwnat",
            servers=tuple(map(parse_server, uris)),
            families=(4,),
            scenario=f"{lab.scenario.name}:{host}",
            seed=lab.seed,
        )
        options = PwnatOptions(
            secret="known to both of them",
            measuring=measuring,
            wait_s=WAIT_S,
            low_ports=wanted.get("low_ports"),
        )
        sides.append((at or lab.network(host), options, Watcher()))
    return await connected_in_lab(lab, listener, (sides[0], sides[1]))


async def connected_in_lab(
    lab: Lab, listener: str, sides: tuple[Side, Side], uses: tuple[Use | None, Use | None] = (None, None)
) -> tuple[Report, Report]:
    """The listener is that host of the lab; the caller is told its outside address."""
    outside = lab.layout.outside_address(lab.scenario, listener)
    simulated = sides[0][0].substrate == "sim"
    return await both(
        *sides,
        uses,
        wall=asyncio.get_running_loop().time if simulated else time.time,
        outside=lambda place: Endpoint(outside, int(place.rpartition(":")[2])),
    )
