"""Somebody on the local network who forges: nobody elsewhere is asked for anything, and no more is kept than
is of use."""

from __future__ import annotations

import asyncio
from typing import Any, Unpack

from nattools.engine.laninterface import MOST_NEIGHBOURS
from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.host import Interface
from nattools.model.lanseen import BeaconPeer, LanEcho
from nattools.net.base import Network, UdpOptions, UdpSocket
from nattools.probes.lan.lancontext import LanContext
from nattools.probes.lan.mdnsprobe import MdnsResponders
from nattools.probes.probe import Recorder
from nattools.protocols import mdns
from nattools.protocols.lanbeacon import PORT, Beacon, encode_beacon

DRAWN = Scenario(title="a home", nat={"home": NatSpec()}, host={"alice": HostSpec(behind="home")})
FAR = [f"11.9.9.{number}" for number in range(1, 30)]


class Forged:
    """A network on which beacons come that claim to be from anywhere."""

    def __init__(self, network: Network, sources: list[str]) -> None:
        self._network, self._sources = network, sources

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    async def open_udp(self, **options: Unpack[UdpOptions]) -> UdpSocket:
        socket = await self._network.open_udp(**options)
        if options.get("port") == PORT and options["family"] == 4:
            asyncio.get_running_loop().call_later(0.1, self._forge, socket)
        return socket

    def _forge(self, socket: UdpSocket) -> None:
        assert socket.on_datagram is not None
        for number, source in enumerate(self._sources):
            beacon = Beacon(b"%08d" % number, "multicast4", {})
            socket.on_datagram(encode_beacon(beacon), Endpoint(source, PORT))


def echoes(sources: list[str]) -> list[str]:
    """Who was asked for an echo, where beacons came from these."""
    with SimLab(DRAWN) as lab:
        network: Any = Forged(lab.network("alice"), sources)
        options = MeasureOptions(command="lan", servers=())
        report = lab.run(lambda: measure_lan(network, options, lambda event: None))
    heard = [each.address for each in report.observations if isinstance(each, BeaconPeer)]
    assert heard == sources
    return [
        each.address for each in report.observations if isinstance(each, LanEcho) and each.role == "neighbour"
    ]


def test_nobody_elsewhere_is_asked_for_an_echo() -> None:
    """Who forges beacons from there would else choose whom this machine sends to."""
    assert echoes([*FAR, "10.0.1.77"]) == ["10.0.1.77"]


def test_so_many_neighbours_are_asked_at_most() -> None:
    assert len(echoes([f"10.0.1.{number}" for number in range(100, 140)])) == MOST_NEIGHBOURS


def test_texts_as_long_as_messages_are_not_kept() -> None:
    """64 sources with 400 of them each would be 200 MB."""
    with SimLab(DRAWN) as lab:
        network = lab.network("alice")
        context = LanContext(network, Recorder(0.0), Interface(name="eth0"), {4: "10.0.1.2"})
        responders = MdnsResponders(context)
        for number in range(40):
            text = mdns.DnsRecord(f"{number}.local", mdns.TXT, 120, " ".join(["x" * 200] * 40))
            name = mdns.DnsRecord("_http._tcp.local", mdns.PTR, 120, f"{number}._http._tcp.local")
            responders.on_datagram(mdns.encode_response([text, name]), Endpoint("10.0.1.3", mdns.PORT))
    assert [each.kind for each in responders.records["10.0.1.3"]] == [mdns.PTR] * 40
