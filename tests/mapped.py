"""What the tests of `nattools map` share: a simulated home whose router makes mappings, and a look from
outside that owes nothing to the code under test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nattools.engine.measureoptions import MapOptions, MeasureOptions
from nattools.engine.portmap.journal import Journal, MemoryJournal
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.portmapping import PortMapping
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network, TcpFailure
from nattools.trials.scenarios import no_progress

T = TypeVar("T")
Command = Callable[[Network, MeasureOptions, Any, Journal, MapOptions], Awaitable[Report]]

ALICE = "10.0.1.2"
OUTSIDE = "11.1.0.2"
ANSWER_S = 0.8


def home(mapper: MapperSpec | None = None, *, ipv6: bool = False, servers: int = 1, **nat: Any) -> Scenario:
    """Alice and carol behind a router that makes mappings (all of them, if not told otherwise), bob on the
    internet."""
    router = NatSpec(mapper=mapper or MapperSpec(), ipv6="firewall" if ipv6 else None, **nat)
    return Scenario(
        title="home",
        nat={"home": router},
        host={"alice": HostSpec(behind="home"), "carol": HostSpec(behind="home"), "bob": HostSpec(ipv6=ipv6)},
        server={f"stun{number}": ServerSpec() for number in range(servers)} if servers else {"mute": MUTE},
    )


MUTE = ServerSpec(kind="plain")
"""A server that answers STUN and dials nobody."""


def options(lab: Any, families: tuple[Family, ...] = (4, 6), **more: Any) -> MeasureOptions:
    """With the scenario's servers."""
    servers = tuple(parse_server(uri) for uri in lab.server_uris())
    return MeasureOptions(command="map", servers=servers, families=families, **more)


async def call(
    lab: Any, command: Command, wish: MapOptions | None = None, journal: Journal | None = None, **more: Any
) -> Report:
    """Alice runs one of the commands."""
    chosen = options(lab, **more)
    return await command(
        lab.network("alice"), chosen, no_progress, journal or MemoryJournal(), wish or MapOptions()
    )


def at_home(main: Callable[[SimLab], Awaitable[T]], scenario: Scenario | None = None) -> T:
    """Run `main` in a fresh simulated home, with its servers."""
    with SimLab(scenario or home()) as lab:
        return lab.run(lambda: main(lab))


def made(report: Report) -> dict[tuple[str, Transport, Family], PortMapping]:
    """The mappings that were made, by protocol, transport and family."""
    found = {(each.protocol, each.transport, each.family): each for each in report.mappings if each.created}
    assert len(found) == sum(each.created for each in report.mappings)
    return found


async def gets_in(
    lab: Any, transport: Transport, inside: Endpoint, outside: Endpoint, *, within_s: float = ANSWER_S
) -> bool:
    """Does bob, from a fresh port, get through `outside` to alice's `inside`?"""
    alice, bob = lab.network("alice"), lab.network("bob")
    came = asyncio.Event()
    if transport == "tcp":
        listener = await alice.listen_tcp(
            family=inside.family, host=inside.host, port=inside.port, on_stream=lambda stream: came.set()
        )
        stream = await bob.connect_tcp(outside, timeout_s=within_s)
        if not isinstance(stream, TcpFailure):
            await within(came, within_s)
            stream.abort()
        listener.close()
        return came.is_set()
    socket = await alice.open_udp(family=inside.family, host=inside.host, port=inside.port)
    socket.on_datagram = lambda data, source: came.set()
    sender = await bob.open_udp(family=inside.family)
    sender.send(b"knock", outside)
    await within(came, within_s)
    socket.close()
    sender.close()
    return came.is_set()


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
