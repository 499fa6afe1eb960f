"""Two people who exchange tokens, simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import structs
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_by_tokens
from nattools.lab.scenario import Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.punch import Punch
from nattools.traversal.tokens import Token, decode_token, encode_token

Edit = Callable[[Token], Token]
Each = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Person:
    """Somebody who pastes what the other side shows, `after_s` seconds later and changed by `edit`."""

    after_s: float = 0.0
    edit: Edit = lambda token: token
    own: bool = False
    clock_off_s: float = 0.0


async def swap(
    lab: SimLab,
    people: tuple[Person, Person],
    measuring: MeasureOptions,
    flows: int,
    *,
    each: Each = ({}, {}),
    **chosen: Any,
) -> tuple[Punch, Punch]:
    """`chosen`: options of both sides; `each`: those of one."""
    loop = asyncio.get_running_loop()
    shown: list[asyncio.Future[str]] = [loop.create_future() for _ in people]

    async def side(number: int) -> Punch:
        person = people[number]

        async def paste() -> str:
            text = await shown[number if person.own else 1 - number]
            await take_ports(lab, flows if number == 0 else 0)
            await asyncio.sleep(person.after_s)
            return encode_token(person.edit(decode_token(text)))

        report = await punch_by_tokens(
            lab.network(("alice", "bob")[number]),
            PunchOptions(measuring=measuring, **chosen, **each[number]),
            Watcher(code=shown[number].set_result, ask_token=paste),
            wall=lambda: 1_700_000_003.0 + loop.time() + person.clock_off_s,
        )
        assert report.punch is not None
        return report.punch

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(side(number)) for number in (0, 1)]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tasks[0].result(), tasks[1].result()


async def take_ports(lab: SimLab, count: int) -> None:
    """New flows of alice's, to nobody in particular."""
    for _ in range(count):
        socket = await lab.network("alice").open_udp(family=4)
        socket.send(b"something else", Endpoint("11.9.9.9", 9))
        socket.close()


def swapped(
    scenario: Scenario,
    *people: Person,
    seed: int = 1,
    limit_s: float | None = None,
    flows: int = 0,
    **chosen: Any,
) -> tuple[Punch, Punch]:
    with SimLab(scenario, seed=seed) as lab:
        measuring = structs.replace(punching(lab), timeout_s=limit_s)
        both = (*people, Person(), Person())[:2]
        return lab.run(lambda: swap(lab, (both[0], both[1]), measuring, flows, **chosen))


def kinds(first: str, second: str) -> Scenario:
    return pair(MATRIX_KINDS[first], MATRIX_KINDS[second])
