"""Many DERP servers at once: soon, in the right order, and without drowning a slow line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Unpack

import msgspec

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.relaymeasurement import measure_relays
from nattools.engine.relaysearch import RelaySearch
from nattools.lab.labidentity import fingerprint_at
from nattools.lab.scenario import DerpSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.net.base import Network, UdpOptions, UdpSocket

SITES = 45
EACH = 2
NODES = SITES * EACH


def many() -> Scenario:
    """The nearest is 20 ms away, the farthest 284 ms; their names say nothing of that."""
    servers = {
        f"s{(7 * number) % SITES}": ServerSpec(derp=DerpSpec(), addresses=EACH, delay_ms=5 + 3 * number)
        for number in range(SITES)
    }
    return Scenario(
        title="many",
        nat={"home": NatSpec()},
        host={"alice": HostSpec(behind="home", delay_ms=5)},
        server=servers,
    )


def map_of(lab: SimLab) -> bytes:
    regions = {}
    for name in lab.scenario.server:
        addresses = lab.net.topology.addresses[name]
        own = [address for address in addresses if ":" not in address]
        nodes = [
            {
                "Name": f"{name}-{number}",
                "HostName": f"{name}-{number}.example",
                "IPv4": address,
                "IPv6": "none",
                "CertName": f"sha256-raw:{fingerprint_at(addresses)}",
            }
            for number, address in enumerate(own)
        ]
        number = 901 + len(regions)
        regions[str(number)] = {"RegionID": number, "RegionCode": name, "RegionName": name, "Nodes": nodes}
    return msgspec.json.encode({"Regions": regions})


class Counted:
    """A network that counts what is under way by UDP: sent, and neither answered nor older than a second."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.under_way = 0
        self.most = 0
        self.sent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    async def open_udp(self, **options: Unpack[UdpOptions]) -> UdpSocket:
        socket = await self._network.open_udp(**options)
        return CountedSocket(self, socket)  # type: ignore[return-value]


class CountedSocket:
    def __init__(self, counted: Counted, socket: UdpSocket) -> None:
        self._counted = counted
        self._socket = socket
        self.local = socket.local
        self.on_datagram: Any = None
        socket.on_datagram = self._arrived

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> Any:
        self._counted.sent += 1
        self._counted.under_way += 1
        self._counted.most = max(self._counted.most, self._counted.under_way)
        return self._socket.send(data, to, ttl=ttl)

    def _arrived(self, data: bytes, source: Endpoint) -> None:
        self._counted.under_way -= 1
        self.on_datagram(data, source)


def measured(
    tmp_path: Path, nat: NatSpec | None = None, **host: Any
) -> tuple[Report, Counted, float, dict[str, float]]:
    scenario = msgspec.structs.replace(many(), nat={"home": nat or NatSpec()})
    if host:
        scenario = msgspec.structs.replace(scenario, host={"alice": HostSpec(behind="home", **host)})
    with SimLab(scenario) as lab:
        path = tmp_path / "map.json"
        path.write_bytes(map_of(lab))
        counted = Counted(lab.network("alice"))
        options = MeasureOptions(
            command="relay", servers=(), families=(4,), relays=RelaySearch(maps=(str(path),))
        )

        async def main() -> tuple[Report, float]:
            began_at = asyncio.get_running_loop().time()
            report = await measure_relays(counted, options, lambda event: None)  # type: ignore[arg-type]
            return report, asyncio.get_running_loop().time() - began_at

        report, took_s = lab.run(main)
        true_ms = {name: 2 * (spec.delay_ms + 5) for name, spec in scenario.server.items()}
        return report, counted, took_s, true_ms


def test_ninety_servers_in_three_seconds_in_the_right_order(tmp_path: Path) -> None:
    report, counted, took_s, true_ms = measured(tmp_path)
    assert len(report.relays) == NODES
    ranked = [true_ms[row.region] for row in sorted(report.relays, key=lambda row: row.rank or 999)]
    assert ranked == sorted(ranked)
    assert [row.works for row in report.relays[:3]] == [True, True, True]
    assert all(row.works is None for row in report.relays[3:])
    assert took_s < 3
    assert counted.sent == 3 * NODES
    assert counted.most <= 40


def test_a_line_that_loses_packets_finds_all_of_them_too(tmp_path: Path) -> None:
    report, counted, took_s, _ = measured(tmp_path, loss=0.1, delay_ms=5)
    assert sum(row.direct_rtt_ms is not None for row in report.relays) == NODES
    assert took_s < 8
    assert counted.sent == 3 * NODES


def test_where_udp_is_blocked_https_tells_and_nobody_waits_for_each_silence(tmp_path: Path) -> None:
    report, counted, took_s, true_ms = measured(tmp_path, NatSpec(udp="blocked"))
    ranked = [true_ms[row.region] for row in sorted(report.relays, key=lambda row: row.rank or 999)]
    assert ranked == sorted(ranked)
    assert len(ranked) == NODES
    assert took_s < 10
    assert counted.sent <= NODES
