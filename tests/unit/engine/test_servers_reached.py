"""Which servers are asked, by which of their addresses, and what a person hears of those that are not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from simulated import behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab import scenarioservers
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.lab.sim.simnet import SimNet
from nattools.model.endpoint import Endpoint, Family
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net import resolve
from nattools.net.base import IcmpError, Network, SendFailure, TcpFailure, TcpStream, UdpSocket

STUN, DEAD = "11.201.0.2", "11.201.0.77"


class Altered:
    """A simulated machine's network with other names, and routers that have no route for a while."""

    def __init__(
        self,
        network: Network,
        names: Mapping[str, tuple[str, ...] | str] | None = None,
        lost_s: float = 0.0,
        lost_port: int | None = None,
        lost_tcp: bool = True,
    ) -> None:
        self._network = network
        self._names = names or {}
        self._lost_until = asyncio.get_running_loop().time() + lost_s
        self._lost_port = lost_port
        self._lost_tcp = lost_tcp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        found = self._names.get(name, "no name server answered for " + name)
        if resolve.numeric(name) is not None:
            found = (name,)
        return found if isinstance(found, str) else resolve.of_family(name, found, family)

    def lost(self, to: Endpoint) -> bool:
        return asyncio.get_running_loop().time() < self._lost_until and self._lost_port in (None, to.port)

    async def open_udp(self, **options: Any) -> UdpSocket:
        return _Lossy(await self._network.open_udp(**options), self)  # type: ignore[return-value]

    async def connect_tcp(self, remote: Endpoint, **options: Any) -> TcpStream | TcpFailure:
        if self._lost_tcp and self.lost(remote):
            return TcpFailure("unreachable", "no route to host")
        return await self._network.connect_tcp(remote, **options)


class _Lossy:
    def __init__(self, socket: UdpSocket, network: Altered) -> None:
        object.__setattr__(self, "_parts", (socket, network))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parts[0], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._parts[0], name, value)

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        socket, network = self._parts
        if not network.lost(to):
            return socket.send(data, to, ttl=ttl)
        error = IcmpError("unreachable", 3, 0, "11.1.0.1", to)
        asyncio.get_running_loop().call_later(0.01, lambda: socket.on_icmp and socket.on_icmp(error))
        return None


def measured(
    *servers: str,
    host: str = "alice",
    families: tuple[Family, ...] = (4,),
    scenario: Scenario | None = None,
    public: bool = False,
    **altered: Any,
) -> Report:
    """What is measured on a machine whose network is altered so."""
    options = MeasureOptions(
        "nat", tuple(map(parse_server, servers)), families=families, default_servers=public
    )
    with SimLab(scenario or behind_nat()) as lab:

        async def main() -> Report:
            return await measure(Altered(lab.network(host), **altered), options, lambda event: None)  # type: ignore[arg-type]

        return lab.run(main)


def mapping(report: Report) -> str:
    assert report.nat.udp4 is not None
    return report.nat.udp4.mapping


def test_of_several_addresses_a_dead_one_is_passed_over() -> None:
    report = measured("stun.example", names={"stun.example": (DEAD, STUN)})
    assert mapping(report) == "endpoint-independent"
    (server,) = report.servers
    assert (server.address, server.answered) == (f"{STUN}:3478", True)
    assert report.nat.tcp4 is not None
    assert report.nat.tcp4.mapping == "endpoint-independent"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_where_all_addresses_are_dead_nobody_answered(count: int) -> None:
    dead = tuple(f"11.201.0.{77 + number}" for number in range(count))
    with pytest.raises(CannotRun, match="no server answered"):
        measured("stun.example", names={"stun.example": dead})


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("six.example", "six.example has IPv6 addresses alone, and IPv6 was not asked for"),
        ("[2a10:c9::2]", "2a10:c9::2 is an IPv6 address, and IPv6 was not asked for"),
        ("nowhere.example", "no name server answered for nowhere.example"),
    ],
)
def test_why_there_is_nobody_to_ask(server: str, says: str) -> None:
    with pytest.raises(CannotRun, match=says):
        measured(server, names={"six.example": ("2a10:c9::2",)})


def test_on_a_machine_without_ipv6_such_a_server_has_no_route() -> None:
    with pytest.raises(CannotRun, match="IPv6 has no route here") as told:
        measured("six.example", families=(4, 6), names={"six.example": ("2a10:c9::2",)})
    assert "IPv4 address" in told.value.remedy


def test_whoever_asks_for_the_family_that_is_not_there_is_told_of_the_other() -> None:
    with pytest.raises(CannotRun, match="no IPv6 route") as told:
        measured("stun.example", families=(6,), names={"stun.example": (STUN,)})
    assert told.value.remedy == "It has one of IPv4: leave out -6."


def test_a_server_that_is_not_found_beside_one_that_is() -> None:
    report = measured("stun.example", "gone.example", names={"stun.example": (STUN,)})
    assert [server.problem for server in report.servers] == ["", "no name server answered for gone.example"]


def test_without_dns_no_list_of_names_that_nobody_typed() -> None:
    with pytest.raises(CannotRun, match="public servers") as told:
        measured("stun.one.example", "stun.two.example", public=True)
    assert "two.example" not in str(told.value)
    assert "spelling" not in told.value.remedy
    assert "DNS" in told.value.remedy


def test_a_route_that_is_missing_for_a_moment_is_waited_for() -> None:
    report = measured(STUN, lost_s=0.9)
    assert report.nat.udp4 is not None
    assert (report.nat.udp4.reachable, report.nat.udp4.mapping) == (True, "endpoint-independent")
    assert report.nat.tcp4 is not None
    assert report.nat.tcp4.mapping == "endpoint-independent"


@pytest.mark.parametrize("port", [3478, 3479])
def test_a_port_for_which_there_is_no_route_is_not_all_of_udp(port: int) -> None:
    report = measured(STUN, lost_s=1000.0, lost_port=port, lost_tcp=False)
    assert report.nat.udp4 is not None
    assert report.nat.udp4.reachable is True
    assert (report.nat.udp4.mapping == "endpoint-independent") is (port == 3479)


def test_a_route_that_never_comes_is_told() -> None:
    with pytest.raises(CannotRun, match="cannot be reached"):
        measured(STUN, lost_s=1000.0)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (401, "it refused: 401 Unauthorized"),
        (300, "it refused: 300 Try Alternate, ask 11.98.98.98:3478"),
        (420, "it refused: 420 Unknown Attribute"),
        (438, "it refused: 438 Stale Nonce"),
        (500, "it refused: 500 Error"),
    ],
)
@pytest.mark.parametrize("tcp", [False, True])
def test_what_a_server_refuses_with_is_told(error: int, says: str, tcp: bool) -> None:
    server = ServerSpec(kind="refuses", error=error, addresses=1, tcp=tcp)
    network = Scenario(
        title="refused", nat={"home": NatSpec()}, host={"a": HostSpec(behind="home")}, server={"stun": server}
    )
    report = measured("stun", host="a", scenario=network, names={"stun": (STUN,)})
    assert [each.problem for each in report.servers] == [says]
    punch = next(each for each in report.techniques if each.id == "udp-punch")
    assert str(error) in punch.summary


@pytest.mark.parametrize("named", ["carol", "10.0.1.3"])
def test_a_server_in_a_network_without_a_way_out(named: str) -> None:
    hosts = {"alice": HostSpec(behind="home", default_route=False), "carol": HostSpec(behind="home")}
    network = Scenario(title="island", nat={"home": NatSpec()}, host=hosts)
    options = MeasureOptions("nat", (parse_server(named),))
    with SimLab(network) as lab:

        async def main() -> Report:
            server = await scenarioservers.start(lab.network("carol"), ServerSpec(), ("10.0.1.3",))
            report = await measure(lab.network("alice"), options, lambda event: None)
            await server.close()
            return report

        report = lab.run(main)
    assert report.nat.udp4 is not None
    assert (report.nat.udp4.present, report.nat.udp4.external) == (False, ("10.0.1.2",))


def test_an_address_of_each_family_is_kept_apart() -> None:
    names: dict[str, tuple[str, ...]] = {"both.example": (DEAD, "2a10:c9::2", STUN)}
    report = measured("both.example", families=(4, 6), names=names)
    assert [server.address for server in report.servers] == [f"{STUN}:3478"]


@pytest.mark.parametrize("out_s", [1.2, 2.4, 2.9, 3.1])
def test_an_outage_at_the_start_is_no_block_of_udp(out_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing passes at first, and then what asks longest gets through: connections."""
    really = SimNet.depart

    def depart(self: SimNet, *packet: Any) -> None:
        if lab.loop.time() >= began + out_s:
            really(self, *packet)

    with SimLab(behind_nat()) as lab:
        began = lab.loop.time()
        monkeypatch.setattr(SimNet, "depart", depart)
        options = MeasureOptions("nat", tuple(map(parse_server, lab.server_uris())), families=(4,))
        report = lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))
    assert report.nat.udp4 is not None
    assert report.nat.udp4.reachable is True
    assert mapping(report) == "endpoint-independent"
