"""What a router announces by SSDP, and what of it is a hint that it has restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from mapped import at_home
from simulated import pass_time

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.probes.portmap import gateway_contexts
from nattools.probes.portmap.announcements import listen_for_restarts
from nattools.protocols import ssdp

ROUTER = "10.0.1.1"
DEVICES = ("InternetGatewayDevice", "WANDevice", "WANConnectionDevice")


def told(nts: str, boot: int | None = None) -> list[bytes]:
    """What a router sends of each of its devices."""
    counted = "" if boot is None else f"BOOTID.UPNP.ORG: {boot}\r\n"
    return [
        (
            "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=120\r\n"
            f"LOCATION: http://{ROUTER}:5000/rootDesc.xml\r\n{counted}"
            f"NT: urn:schemas-upnp-org:device:{device}:1\r\n"
            f"USN: uuid:{number}::urn:schemas-upnp-org:device:{device}:1\r\nNTS: ssdp:{nts}\r\n\r\n"
        ).encode()
        for number, device in enumerate(DEVICES)
    ]


def hints(sent: Sequence[bytes]) -> int:
    """How many hints come of it."""

    async def main(lab: SimLab) -> int:
        heard: list[float] = []
        loop = asyncio.get_running_loop()
        here = gateway_contexts(lab.network("alice"), families=(4,))
        sockets = await listen_for_restarts(here, lambda: heard.append(loop.time()))
        speaker = await lab.network("home").open_udp(family=4, host=ROUTER)
        for data in sent:
            speaker.send(data, Endpoint(ssdp.GROUPS[4][0], ssdp.PORT))
        await pass_time(1.0)
        for socket in (*sockets, speaker):
            socket.close()
        return len(heard)

    return at_home(main)


@pytest.mark.parametrize("boot", [None, 7])
def test_the_same_told_ever_again_is_no_restart(boot: int | None) -> None:
    assert hints(told("alive", boot) * 5) == 0


def test_another_boot_is_one() -> None:
    assert hints([*told("alive", 7), told("alive", 8)[0]]) == 1


@pytest.mark.parametrize("boots", [(None, None), (7, 8), (7, 7)])
def test_one_that_left_and_is_back_has_restarted_once(boots: tuple[int | None, int | None]) -> None:
    """Those of UPnP Device Architecture 1.0 count no boots."""
    before, after = boots
    gone = [*told("byebye", before)] * 2
    assert hints([*told("alive", before), *gone, *told("alive", after) * 3]) == 1


def test_one_that_has_left_is_not_back() -> None:
    assert hints([*told("alive"), *told("byebye")]) == 0


def test_endless_devices_are_bounded() -> None:
    many = [data.replace(b"uuid:0", b"uuid:9%d" % n) for n in range(500) for data in told("alive", n)[:1]]
    assert hints(many) == 0
