"""Both sides end with the same path, also where a UDP pair and a TCP connection are found at the same
time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from punching import acquainted, pair
from simulated import run

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.statement import statement
from nattools.protocols import ice
from nattools.protocols.packet import Packet
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.plan.steps import SendSchedule, Step
from nattools.traversal.simultaneousopen import StreamMeeting, simultaneous_open

RTT_S = 0.08
PORTS = Endpoint("11.101.0.2", 4000), Endpoint("11.102.0.2", 4000)
STEP = Step(
    strategy="simultaneous-open",
    transport="tcp",
    reason=statement("step-tcp-both-open"),
    odds=1.0,
    schedules=(SendSchedule(passes=4), SendSchedule(hold_s=0.3, passes=4)),
    seconds=6.0,
)
Claims = Callable[[IceDriver], dict[str, Callable[[], object]]]


def asking(driver: IceDriver) -> dict[str, Callable[[], object]]:
    """As an attempt does."""
    return {"claim": driver.agent.hold_nomination, "unclaim": driver.resume_nomination}


def not_asking(driver: IceDriver) -> dict[str, Callable[[], object]]:
    return {}


async def _settled(
    lab: SimLab, side: int, driver: IceDriver, credentials: ice.Credentials, claims: Claims
) -> Transport | None:
    """What one side ends with: whichever of both is first."""
    meeting = StreamMeeting(
        leads=side == 0,
        own=driver.agent.credentials,
        peer=credentials,
        local=PORTS[side],
        remote=PORTS[1 - side],
        **claims(driver),  # type: ignore[arg-type]
    )
    async with asyncio.TaskGroup() as group:
        checks = group.create_task(driver.connected(6.0))
        opening = group.create_task(
            simultaneous_open(lab.network(("alice", "bob")[side]), meeting, STEP, seed=1)
        )
        await asyncio.wait((checks, opening), return_when=asyncio.FIRST_COMPLETED)
        used: Transport | None = None
        if opening.done() and opening.result().connected:
            used = "tcp"
        elif checks.done() and checks.result() is not None:
            used = "udp"
        checks.cancel()
        opening.cancel()
    if used == "tcp":
        driver.close()
    return used


def answers_lost(lab: SimLab, until_s: float) -> None:
    """Bob's checks come to nothing for a while: he is nominated a pair that he does not know to work."""
    node, loop = lab.net.node("bob"), asyncio.get_running_loop()
    honest, until = node.stack.input, loop.time() + until_s

    def arrived(packet: Packet) -> None:
        answer = packet.protocol == "udp" and packet.payload[:2] == b"\x01\x01"
        if not answer or loop.time() >= until:
            honest(packet)

    node.input = arrived


def both(udp_at_s: float, claims: Claims) -> set[Transport | None]:
    """What the two sides end with if the UDP candidates become known at that time, and the answers to bob's
    checks are lost for the first second and a half."""

    async def main(lab: SimLab) -> set[Transport | None]:
        drivers = acquainted()
        answers_lost(lab, 1.5)
        for name, driver in zip(("alice", "bob"), drivers, strict=True):
            driver.add_socket(await lab.network(name).open_udp(family=4))
        loop = asyncio.get_running_loop()
        for driver, other in (drivers, drivers[::-1]):
            (candidate,) = other.agent.local_candidates
            loop.call_later(udp_at_s, driver.add_peer_candidate, ice.encode(candidate))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    _settled(lab, side, drivers[side], drivers[1 - side].agent.credentials, claims)
                )
                for side in (0, 1)
            ]
        return {task.result() for task in tasks}

    return run(pair(None, None, delay_ms=250 * RTT_S), main)


MOMENTS = [0.02 * index for index in range(40)]


def test_the_leading_side_nominates_only_one() -> None:
    found = [both(at, asking) for at in MOMENTS]
    assert all(len(each) == 1 for each in found)
    assert {used for each in found for used in each} == {"udp", "tcp"}


def test_otherwise_they_would_differ() -> None:
    """The moments of this test are those that count."""
    assert any(len(both(at, not_asking)) == 2 for at in MOMENTS)
