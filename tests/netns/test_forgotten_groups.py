"""A bridge that looks who has joined which group (IGMP and MLD snooping), and nobody who asks again: groups
stop being heard, and the look at the network says so."""

from __future__ import annotations

import asyncio

import pytest
from leftopen import LeftOpenError

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, LanSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint
from nattools.model.lan import Lan

pytestmark = [pytest.mark.netns, pytest.mark.again]
REMEMBERED_S = 2.0
LIMIT_S = 10.0
LISTEN_S = 40.0
"""A machine says twice that it has joined, the second time up to 10 s later (RFC 2236 8.10); then multicast
goes on for REMEMBERED_S, and has stopped when nothing came for 20 s."""


def drawn(lan: LanSpec) -> Scenario:
    return Scenario(
        title="LAN",
        nat={"home": NatSpec(lan=lan)},
        host={"alice": HostSpec(behind="home"), "bob": HostSpec(behind="home", nattools_lan=True)},
        server={},
    )


FORGETS = LanSpec(multicast="forgotten", remembered_s=REMEMBERED_S)


@pytest.mark.parametrize(
    ("lan", "group", "passes"),
    [
        (FORGETS, "239.192.7.7", False),
        (FORGETS, "224.0.0.251", True),
        (LanSpec(), "239.192.7.7", True),
    ],
)
def test_a_group_that_was_joined_is_heard_until_it_is_forgotten(
    lan: LanSpec, group: str, passes: bool
) -> None:
    """Those of 224.0.0.0/24 no switch may forget (RFC 4541 2.1.2). A group lives on for REMEMBERED_S after
    the member said for the second time that it has joined: that is waited for."""

    async def main() -> tuple[set[str], set[str]]:
        alice, bob = lab.network("alice"), lab.network("bob")
        member = await alice.open_udp(family=4, host="10.0.1.2", port=7007, group=group)
        speaker = await bob.open_udp(family=4, host="10.0.1.3")
        came: asyncio.Queue[str] = asyncio.Queue()
        member.on_datagram = lambda data, source: came.put_nowait(data.decode())
        loop = asyncio.get_running_loop()

        async def heard(text: str) -> set[str]:
            """What is said to the group comes before what is said to the member alone, or not at all."""
            speaker.send(f"{text} group".encode(), Endpoint(group, 7007), ttl=1)
            speaker.send(f"{text} alone".encode(), Endpoint("10.0.1.2", 7007))
            told: set[str] = set()
            async with asyncio.timeout(LIMIT_S):
                while f"{text} alone" not in told:
                    told.add(await came.get())
            return told

        began = loop.time()
        first = await heard("first")
        while "first group" not in first and loop.time() < began + REMEMBERED_S:
            await asyncio.sleep(0.05)
            first |= await heard("first")
        if "first group" not in first and lan.multicast == "forgotten":
            raise LeftOpenError("nothing was said while the group was remembered")
        await asyncio.sleep(began + REMEMBERED_S + 1.0 - loop.time())
        later = await heard("later 0")
        number = 0
        while (len(later) > 1) is not passes and loop.time() < began + LISTEN_S:
            await asyncio.sleep(0.5)
            number += 1
            later = await heard(f"later {number}")
        member.close()
        speaker.close()
        return first, {each.rsplit(" ", 1)[1] for each in later}

    with NetnsLab(drawn(lan), start_servers=False) as lab:
        first, later = lab.run(main)
    assert first == {"first group", "first alone"}
    assert later == ({"group", "alone"} if passes else {"alone"})


def test_the_look_at_the_network_says_that_multicast_dies() -> None:
    async def main(lab: NetnsLab) -> Lan:
        options = MeasureOptions(command="lan", servers=(), listen_s=LISTEN_S)
        report = await measure_lan(lab.network("alice"), options, lambda event: None)
        assert report.lan is not None
        return report.lan

    with NetnsLab(drawn(FORGETS)) as lab:
        found = lab.run(lambda: main(lab))
    assert (found.unicast, found.multicast, found.multicast_lasts) == (True, True, False)
    assert "lan-multicast-dies" in [each.code for each in found.reason]
    assert "lan-set-querier" in [each.code for each in found.actions]
