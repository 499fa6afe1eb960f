"""`nattools lan`: do the machines on this network reach each other, who is here, and for which programs is
that enough?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from nattools.cli import running
from nattools.cli.options import sharedoptions
from nattools.cli.options.sharedoptions import OF_NAT, OptionGroup, Request, checked_seconds
from nattools.cli.running import Invocation
from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.errors import UsageError
from nattools.model.endpoint import BROADCAST, parse_address
from nattools.model.report import Report
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal

MOST_PEERS = 16
LONGEST_S = 3600.0
QUERIER_S = 330.0
"""Longer than a switch remembers who listens to a group (RFC 3376 8.4)."""

Peers = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ADDRESS]...", help="Machines that are on this network, to try to reach."),
]
Listen = Annotated[
    float, typer.Option("--listen", metavar="S", help="How long to listen for others, in seconds.")
]
Querier = Annotated[
    bool,
    typer.Option(
        "--querier", help="Listen for five and a half minutes: does multicast die without a querier?"
    ),
]


class LanRequest(msgspec.Struct, frozen=True):
    """What is wanted, checked."""

    peers: tuple[str, ...] = ()
    listen_s: float = 2.0


def lan_request(address: Peers = None, *, listen: Listen = 2.0, querier: Querier = False) -> LanRequest:
    """UsageError says what makes no sense."""
    given = address or []
    if len(given) > MOST_PEERS:
        raise UsageError(f"at most {MOST_PEERS} addresses")
    listen_s = checked_seconds(listen, "--listen") or 2.0
    if not 1.0 <= listen_s <= LONGEST_S:
        raise UsageError(f"--listen {listen:g}: give a number from 1 to {LONGEST_S:g}")
    listen_s = max(listen_s, QUERIER_S) if querier else listen_s
    return LanRequest(tuple(dict.fromkeys(map(_address, given))), listen_s)


def _address(text: str) -> str:
    try:
        found = parse_address(text)
    except ValueError:
        raise UsageError(f"{text[:60]!r} is not an IP address") from None
    if found.is_multicast or found.is_loopback or found.is_unspecified or text == BROADCAST:
        raise UsageError(f"{text[:60]!r} is not the address of another machine")
    zone = text.partition("%")[2]
    return f"{found}%{zone}" if zone else str(found)


@sharedoptions.takes(
    wanted=OptionGroup(lan_request), request=sharedoptions.measuring("lan", without=("server", *OF_NAT))
)
def command(wanted: LanRequest, request: Request) -> int:
    """Do the machines on this network reach each other, who is here, and is it enough for Yggdrasil,
    batman-adv, qaul, Syncthing, AirPlay and Chromecast?

    Run it on two machines at the same time: then both directions are proven. Exit code 1 if this network
    keeps its machines apart."""

    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        from nattools.engine.lanscan import measure_lan

        return await measure_lan(network, replace(chosen, peers=wanted.peers, listen_s=wanted.listen_s), emit)

    report = running.run(Invocation(request, work))
    running.deliver(report, request)
    return 1 if report.lan is not None and report.lan.isolated else 0
