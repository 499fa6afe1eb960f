"""Two machines in one simulator that look at their NATs, plan, and punch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from typing import Any

from simulated import STUN

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.natkinds import MATRIX_KINDS
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, RouterSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.nat import NatByTransport
from nattools.model.serveruri import parse_server
from nattools.net.base import Network, TcpFailure, UdpSocket
from nattools.protocols import ice, stun
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.plan.punchplan import MeasuredEnd, plan
from nattools.traversal.plan.steps import Plan, Step
from nattools.traversal.sending import ProbeOutcome, send_step
from nattools.traversal.serverreflexive import server_reflexive
from nattools.traversal.simultaneousopen import StreamMeeting, StreamOutcome, simultaneous_open

APDM = "address-and-port-dependent"


def pair(first: RouterSpec | None, second: RouterSpec | None, **impairment: float) -> Scenario:
    """Alice behind the first, bob behind the second, each in a site of its own."""
    routers = {"a": first, "b": second}
    return Scenario(
        title="two sites",
        nat={name: spec for name, spec in routers.items() if isinstance(spec, NatSpec)},
        firewall={name: spec for name, spec in routers.items() if isinstance(spec, FirewallSpec)},
        host={
            "alice": HostSpec(behind="a" if first else None, **impairment),
            "bob": HostSpec(behind="b" if second else None, **impairment),
        },
        server={"stun": ServerSpec()},
    )


def punching(lab: SimLab) -> MeasureOptions:
    """What a punch measures with in a lab: its first server, over IPv4."""
    return MeasureOptions("punch", (parse_server(lab.server_uris()[0]),), families=(4,))


async def look(lab: SimLab, host: str) -> NatByTransport:
    """What a real measurement finds of the host's network."""
    options = MeasureOptions("nat", (parse_server(lab.server_uris()[0]),), families=(4,))
    return (await measure(lab.network(host), options, lambda _: None)).nat


@cache
def measured(kind: str) -> NatByTransport:
    """The same, once for each kind."""
    with SimLab(pair(MATRIX_KINDS[kind], None), seed=7) as lab:
        return lab.run(lambda: look(lab, "alice"))


async def seen_at(socket: UdpSocket) -> Endpoint:
    """Where a STUN server sees the socket; asks until it is answered."""
    answered: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()

    def arrived(data: bytes, _: Endpoint) -> None:
        mapped = stun.decode(data).mapped
        if mapped is not None and not answered.done():
            answered.set_result(mapped)

    socket.on_datagram = arrived
    for _ in range(12):
        socket.send(stun.binding_request(stun.new_transaction_id()), STUN)
        done, _pending = await asyncio.wait([answered], timeout=0.3)
        if done:
            break
    return answered.result()


@dataclass(frozen=True)
class Result:
    """What became of a plan: `step` is the one that connected, with both sides' outcomes."""

    plan: Plan
    step: Step | None
    outcomes: tuple[ProbeOutcome, ProbeOutcome] | tuple[StreamOutcome, StreamOutcome] | None

    @property
    def connected(self) -> bool:
        return self.step is not None


async def punch(lab: SimLab, made: Plan, *, seed: int = 0, between: int = 0, most: int = 9) -> Result:
    """Both sides at once, step after step. `between`: flows of others through each NAT just before."""
    outcomes: Any = None
    for step in [each for each in made.steps if each.schedules is not None][:most]:
        over = _try if step.transport == "udp" else _try_tcp
        outcomes = await over(lab, step, seed, between)
        if all(outcome.connected for outcome in outcomes):
            return Result(made, step, outcomes)
        assert not any(outcome.connected for outcome in outcomes), outcomes
    return Result(made, None, outcomes)


def acquainted() -> tuple[IceDriver, IceDriver]:
    """Two agents that know each other's credentials; the first one is controlling."""
    first, second = IceDriver(ice.Agent("controlling")), IceDriver(ice.Agent("controlled"))
    first.set_peer(*second.agent.credentials)
    second.set_peer(*first.agent.credentials)
    return first, second


async def offer(driver: IceDriver, network: Network, server: Endpoint = STUN) -> None:
    """A socket of the driver's, and where the server sees it, as candidates."""
    socket = await network.open_udp(family=server.family)
    seen = await server_reflexive(socket, server)
    driver.add_socket(socket)
    if seen not in (None, socket.local):
        driver.offer(ice.local_candidate("srflx", seen, base=socket.local))


async def _try(lab: SimLab, step: Step, seed: int, between: int) -> tuple[ProbeOutcome, ProbeOutcome]:
    networks = (lab.network("alice"), lab.network("bob"))
    sockets = [await network.open_udp(family=4) for network in networks]
    seen = [await seen_at(socket) for socket in sockets]
    drivers = acquainted()
    for network, driver, socket in zip(networks, drivers, sockets, strict=True):
        await _others(network, between)
        driver.listen(socket)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                send_step(
                    networks[side],
                    drivers[side],
                    sockets[side],
                    seen[1 - side],
                    step,
                    first=side == 0,
                    seed=seed + side,
                )
            )
            for side in (0, 1)
        ]
    for driver in drivers:
        driver.close()
    return tasks[0].result(), tasks[1].result()


async def tcp_seen_at(network: Network) -> tuple[Endpoint, Endpoint]:
    """A local address and TCP port, and where a STUN server sees it; the connection is over."""
    stream = await network.connect_tcp(STUN, timeout_s=9.0)
    assert not isinstance(stream, TcpFailure)
    stream.write(stun.binding_request(stun.new_transaction_id()))
    mapped = stun.decode(await stream.read()).mapped
    assert mapped is not None
    return stream.local, mapped


async def _try_tcp(lab: SimLab, step: Step, seed: int, between: int) -> tuple[StreamOutcome, StreamOutcome]:
    networks = (lab.network("alice"), lab.network("bob"))
    seen = [await tcp_seen_at(network) for network in networks]
    credentials = [ice.Agent("controlling").credentials for _ in networks]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                simultaneous_open(
                    networks[side],
                    StreamMeeting(
                        leads=side == 0,
                        own=credentials[side],
                        peer=credentials[1 - side],
                        local=seen[side][0],
                        remote=seen[1 - side][1],
                    ),
                    step,
                    seed=seed + side,
                )
            )
            for side in (0, 1)
        ]
    return tasks[0].result(), tasks[1].result()


async def _others(network: Network, count: int) -> None:
    """Flows that take outside ports."""
    for _ in range(count):
        socket = await network.open_udp(family=4)
        socket.send(b"something else", STUN)
        socket.close()
    await asyncio.sleep(0.01)


def meet(first: str, second: str, *, low_ports: bool = False, seed: int = 0, between: int = 0,
         **impairment: float) -> Result:  # fmt: skip
    """Plan from the two kinds' measurements, and punch."""
    made = plan(*(MeasuredEnd(nat=measured(kind), low_ports=low_ports) for kind in (first, second)))
    with SimLab(pair(MATRIX_KINDS[first], MATRIX_KINDS[second], **impairment), seed=seed) as lab:
        return lab.run(lambda: punch(lab, made, seed=seed, between=between))


def meet_as_measured_there(
    first: RouterSpec | None, second: RouterSpec | None, *, low_ports: bool = False, seed: int = 0
) -> Result:
    """The same for routers whose measurement does not hold elsewhere (a block of ports is drawn anew in each
    simulator): measured and punched in one, with the measurement's own mappings still alive."""

    async def all_of_it(lab: SimLab) -> Result:
        ends = [MeasuredEnd(nat=await look(lab, host), low_ports=low_ports) for host in ("alice", "bob")]
        return await punch(lab, plan(*ends), seed=seed)

    with SimLab(pair(first, second), seed=seed) as lab:
        return lab.run(lambda: all_of_it(lab))
