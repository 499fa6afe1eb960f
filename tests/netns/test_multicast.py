"""Multicast groups on the wires of a lab: who has joined hears what is sent to a group, by that interface."""

from __future__ import annotations

import asyncio

import pytest
from mapped import home, within

from nattools.lab.backend import Lab, open_lab
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import MapperSpec
from nattools.model.endpoint import Endpoint, Family
from nattools.probes.portmap import gateway_contexts
from nattools.probes.portmap.announcements import listen_for_restarts

pytestmark = pytest.mark.netns

LIMIT_S = 30.0
GROUPS: list[tuple[Family, str, str, str]] = [
    (4, "239.255.255.250", "10.0.1.1", "10.0.1.2"),
    (6, "ff02::c", "2a10:1:0:1::1", "2a10:1:0:1::2"),
]


@pytest.mark.parametrize(("family", "group", "router", "own"), GROUPS)
def test_members_hear_and_share_a_port(family: Family, group: str, router: str, own: str) -> None:
    async def main() -> list[int]:
        alice, sender = lab.network("alice"), lab.network("home")
        heard: list[int] = []
        both = asyncio.Event()

        def hear(data: bytes, number: int) -> None:
            if data == b"?":
                heard.append(number)
            if len(heard) == len(members):
                both.set()

        members = [await alice.open_udp(family=family, host=own, port=1900, group=group) for _ in range(2)]
        for number, member in enumerate(members):
            member.on_datagram = lambda data, source, number=number: hear(data, number)
            assert member.local == Endpoint(own, 1900)
        zone = "%lan0" if family == 6 else ""
        speaker = await sender.open_udp(family=family, host=router)
        speaker.send(b"?", Endpoint(f"{group}{zone}", 1900), ttl=2)
        await within(both, LIMIT_S)
        await within(asyncio.Event(), 0.3)  # and nothing twice
        for socket in (*members, speaker):
            socket.close()
        return heard

    with NetnsLab(home(ipv6=True), start_servers=False) as lab:
        assert sorted(lab.run(main)) == [0, 1]


@pytest.mark.interop("miniupnpd")
@pytest.mark.parametrize("protocols", [("upnp-igd",), ("nat-pmp", "pcp")])
def test_a_restart_is_heard(protocols: tuple[str, ...]) -> None:
    """By SSDP's NOTIFY with another BOOTID, or by PCP's and NAT-PMP's own announcements."""
    mapper = MapperSpec(protocols=protocols)  # type: ignore[arg-type]

    async def main(lab: Lab) -> tuple[bool, bool]:
        heard = asyncio.Event()
        sockets = await listen_for_restarts(gateway_contexts(lab.network("alice"), families=(4,)), heard.set)
        # a boot is known by the second it happened in; the first one must have been heard of
        await lab.stop_router("home")
        await lab.start_router("home")
        await within(heard, 2.5)
        heard.clear()
        quiet = not await within(heard, 0.5)
        await lab.stop_router("home")
        await lab.start_router("home")
        found = await within(heard, LIMIT_S)
        for socket in sockets:
            socket.close()
        return quiet, found

    with open_lab(home(mapper), "netns") as lab:
        quiet, found = lab.run(lambda: main(lab))
    assert found
    assert quiet or "upnp-igd" not in protocols, "the same boot is told many times and counts once"
