"""Which checksums routers' true errors quote, through kernel NAT, the lab's own and the simulator's."""

from __future__ import annotations

import asyncio

import pytest

from nattools.lab.backend import Backend, open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint
from nattools.net.eventloop import TimedEvent
from nattools.net.system.expiring import CONTENTS, ExpiringDatagrams
from nattools.protocols.outsidesum import port_behind, sum_behind, sum_of

APD = "address-and-port-dependent"
NATS = {
    "plain": NatSpec(),
    "random": NatSpec(mapping=APD, allocation="random"),
    "sequential": NatSpec(mapping=APD, allocation="sequential"),
    "leaking": NatSpec(quotes="translated"),
    "drawing": NatSpec(mapping=APD, allocation="random", quotes="translated"),
    "zeroing": NatSpec(quotes="zero"),
    "cutting": NatSpec(quotes="short"),
}
TO = Endpoint("3.3.3.3", 443)
TRIES = 10


@pytest.mark.parametrize("backend", ["sim", pytest.param("netns", marks=pytest.mark.netns)])
def test_what_is_quoted(backend: Backend) -> None:
    """Linux restores the checksum, however it draws ports; so does the lab's router unless told otherwise."""
    scenario = Scenario(
        title="t",
        name="t",
        nat=NATS,
        host={f"h-{name}": HostSpec(behind=name) for name in NATS} | {"open": HostSpec()},
    )
    with open_lab(scenario, backend) as lab:

        async def seen(host: str) -> set[int | None]:
            """The sums that the quotes of one flow give, a hop beyond the router."""
            network = lab.network(host)
            socket = await network.open_udp(family=4)
            with await ExpiringDatagrams.open(network) as datagrams:
                for _ in range(TRIES):
                    for content in range(CONTENTS):
                        assert (
                            datagrams.send(socket.local.port, TO, 2 if host != "open" else 1, content) is None
                        )
                    for _ in range(TRIES):  # a busy machine is given its time
                        await TimedEvent().wait(0.1)
                        if len(datagrams.quotes) == CONTENTS:
                            break
                    else:
                        continue
                    break
                found = {sum_behind(each.sent, each.checksum) for each in datagrams.quotes.values()}
                assert len(datagrams.quotes) == CONTENTS
            own = sum_of(network.route(TO.host)[1], socket.local.port)  # type: ignore[index]
            socket.close()
            return {None if each is None else (each - own) % 0xFFFF for each in found}

        async def main() -> dict[str, set[int | None]]:
            async with asyncio.TaskGroup() as group:
                tasks = {host: group.create_task(seen(host)) for host in scenario.host}
            return {host: task.result() for host, task in tasks.items()}

        found = lab.run(main)
    for host in ("open", "h-plain", "h-random", "h-sequential", "h-cutting"):
        assert found[host] == {0}, host
    assert found["h-zeroing"] == {None}
    for host in ("h-leaking", "h-drawing"):
        assert len(found[host]) == 1
        assert found[host] not in ({0}, {None})
    assert port_behind(sum_of("11.1.0.2", 40000), "11.1.0.2") == 40000
