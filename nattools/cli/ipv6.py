"""`nattools ipv6`: can this machine be reached over IPv6, and if not, what stands in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from nattools.cli import running
from nattools.cli.options import sharedoptions
from nattools.cli.options.sharedoptions import Request
from nattools.cli.running import Invocation
from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.model.report import Report
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal

Mtu = Annotated[bool, typer.Option("--mtu/--no-mtu", help="Find the largest packet that gets through.")]


@sharedoptions.takes(request=sharedoptions.measuring("ipv6"))
def command(request: Request, mtu: Mtu = True) -> int:
    """IPv6: this machine's addresses, whether it works, whether others get in and who stops them, the path
    MTU, and translation."""

    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        from nattools.engine.run import measure

        return await measure(network, replace(chosen, mtu=mtu), emit, journal)

    from nattools.engine.run import NothingAnswered

    try:
        report = running.run(Invocation(request, work, asks_routers=True, without_journal=True))
    except NothingAnswered as nothing:
        running.deliver(nothing.report, request)
        found, ended = nothing.report.ipv6, nothing.report.ended
        in_network = ended is None or ended.step != "link"
        if found is not None and found.capable is False and in_network:
            return 0  # that this machine has no IPv6 is an answer
        raise
    running.deliver(report, request)
    return 0
