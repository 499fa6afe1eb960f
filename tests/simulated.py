"""What the simulator's tests share: tiny networks, and sockets that note what they get."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import IcmpError, Network, SendFailure, TcpStream, UdpSocket

T = TypeVar("T")

STUN = Endpoint("11.201.0.2", 3478)
STUN_OTHER = Endpoint("11.201.0.3", 3478)


def open_internet(**spec: Any) -> Scenario:
    """Two hosts on the internet, alice impaired as told; and the server."""
    return Scenario(title="open", host={"alice": HostSpec(**spec), "bob": HostSpec()})


def behind_nat(nat: NatSpec | None = None, **spec: Any) -> Scenario:
    """Alice and carol behind one NAT, bob on the internet."""
    hosts = {"alice": HostSpec(behind="home", **spec), "carol": HostSpec(behind="home"), "bob": HostSpec()}
    return Scenario(title="home", nat={"home": nat or NatSpec()}, host=hosts, server={"stun": ServerSpec()})


def run(scenario: Scenario, main: Callable[[SimLab], Awaitable[T]], *, seed: int = 0) -> T:
    """Run `main` in a fresh simulator without servers."""
    with SimLab(scenario, seed=seed, start_servers=False) as lab:
        return lab.run(lambda: main(lab))


class Notes:
    """A UDP socket that keeps all that it gets, with the time of each."""

    def __init__(self, socket: UdpSocket, *, echo: bool = False) -> None:
        self.socket = socket
        self.got: list[tuple[float, bytes, Endpoint]] = []
        self.errors: list[IcmpError] = []
        self._echo = echo
        socket.on_datagram = self._datagram
        socket.on_icmp = self.errors.append

    @property
    def local(self) -> Endpoint:
        """Where the socket is bound."""
        return self.socket.local

    @property
    def payloads(self) -> list[bytes]:
        """What came, in order."""
        return [data for _, data, _ in self.got]

    @property
    def sources(self) -> list[Endpoint]:
        """Where it came from."""
        return [source for _, _, source in self.got]

    def send(self, data: bytes, to: Endpoint, ttl: int | None = None) -> SendFailure | None:
        """Send now."""
        return self.socket.send(data, to, ttl=ttl)

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        self.got.append((asyncio.get_running_loop().time(), data, source))
        if self._echo:
            self.socket.send(data, source)


async def udp(
    network: Network, at: Endpoint | None = None, *, family: Family = 4, echo: bool = False, **options: Any
) -> Notes:
    """A socket that takes notes, bound to `at` if given."""
    if at is not None:
        options |= {"host": at.host, "port": at.port}
        family = at.family
    return Notes(await network.open_udp(family=family, **options), echo=echo)


async def pass_time(seconds: float) -> None:
    """Let virtual time pass."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, done.set_result, None)
    await done


class Bothered:
    """A network on which somebody else's datagrams arrive at every UDP socket all the time."""

    def __init__(self, network: Network, every_s: float) -> None:
        self._network = network
        self._every_s = every_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    async def open_udp(self, **options: Any) -> UdpSocket:
        """A socket that strangers write to."""
        socket = await self._network.open_udp(**options)
        self._bother(socket)
        return socket

    def _bother(self, socket: UdpSocket) -> None:
        if socket.on_datagram is not None:
            socket.on_datagram(b"hello", Endpoint("11.66.0.1", 5000))
        asyncio.get_running_loop().call_later(self._every_s, self._bother, socket)


async def restart_server(lab: SimLab, server: str, *, down_s: float = 0.0) -> None:
    """A server ends, with all that it knows and all its connections, and begins anew after a while."""
    await lab.stop_server(server)
    await asyncio.sleep(down_s)
    await lab.start_server(server)


async def ends_within(stream: TcpStream, seconds: float) -> bool:
    """Does the server end this connection by then?"""
    try:
        async with asyncio.timeout(seconds):
            while await stream.read():
                pass
    except TimeoutError:
        return False
    return True
