"""A relay in the simulator, and sockets through it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from certificates import certificate
from simulated import STUN

from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import parse_server
from nattools.net.base import Network, UdpSocket
from nattools.net.turn.turnopening import open_relayed
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.net.web.serversteps import StepFailure
from nattools.net.web.serverstream import Security
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.server.relay.relayservice import RelayConfig
from nattools.server.serving import ServeConfig, serve

ALICE = LongTermCredentials("alice", "wonderland")
HOST = STUN.host
UNCHECKED = Security(HOST, unchecked=True)
URIS = (f"turn:{HOST}", f"turn:{HOST}?transport=tcp", f"turns:{HOST}:3478")
APD = "address-and-port-dependent"


def two_sites(**spec: Any) -> Scenario:
    """Alice and bob, each behind a NAT that no direct way leads through."""
    nat = NatSpec(mapping=APD, filtering=APD, allocation="random")
    hosts = {
        "alice": HostSpec(behind="left", delay_ms=10, **spec),
        "bob": HostSpec(behind="right", delay_ms=10),
        "carol": HostSpec(ipv6=True),
    }
    return Scenario(
        title="two sites",
        nat={"left": nat, "right": nat},
        host=hosts,
        server={"stun": ServerSpec(), "other": ServerSpec()},
    )


def beside_a_relay(
    main: Callable[[SimLab], Awaitable[None]], folder: Path | None = None, scenario: Scenario | None = None
) -> None:
    """Run `main` where a `nattools serve --relay` runs on the server, with TLS if there is a folder for its
    certificate. Nothing of it may be left behind, and no handler may have failed."""

    async def whole(lab: SimLab) -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        running = await serve(lab.network("stun"), relay_config(folder))
        try:
            await main(lab)
        finally:
            await running.close()
        assert faults == []

    with SimLab(scenario or two_sites(), start_servers=False) as lab:
        lab.run(lambda: whole(lab))


def relay_config(
    folder: Path | None = None, address: str = HOST, port: int = 3478, **options: Any
) -> ServeConfig:
    """What the server does."""
    files = None if folder is None else certificate(folder)
    return ServeConfig(
        addresses=(address,),
        port=port,
        relay=RelayConfig(users=dict((ALICE,)), **options),
        tls_files=files,
        alternate_port=None,
    )


async def try_relay(network: Network, uri: str = URIS[0], **options: Any) -> RelayedSocket | StepFailure:
    """With alice's credentials unless told otherwise."""
    options = {"credentials": ALICE, "security": UNCHECKED} | options
    return await open_relayed(network, parse_server(uri), **options)


async def relay(network: Network, uri: str = URIS[0], **options: Any) -> RelayedSocket:
    """It works."""
    found = await try_relay(network, uri, **options)
    assert isinstance(found, RelayedSocket), found
    return found


class Inbox:
    """What comes to a socket."""

    def __init__(self, socket: UdpSocket) -> None:
        self.socket = socket
        self._queue: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        socket.on_datagram = lambda data, source: self._queue.put_nowait((data, source))

    async def next(self) -> tuple[bytes, Endpoint]:
        """The next datagram and its source."""
        async with asyncio.timeout(30):
            return await self._queue.get()

    @property
    def empty(self) -> bool:
        """Has nothing else come?"""
        return self._queue.empty()
