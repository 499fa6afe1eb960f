"""Whoever knocks with the secret and does not connect keeps nobody else out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.engine.pwnat.connecting import connect, listen
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.lab.backend import open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.pwnat import Pwnat
from nattools.model.report import Report
from nattools.protocols import pwnat
from nattools.protocols.pwnat.knock import CallerNat, Knock, encode_knock
from nattools.protocols.pwnat.secret import keys_of

SECRET = "the same on both sides"
LISTENER = Endpoint("11.1.0.2", 2222)
KEYS = keys_of(SECRET)


def run(main: Callable[[SimLab], Awaitable[Any]]) -> Any:
    """Alice behind a NAT, two callers on the internet."""
    scenario = Scenario(
        title="t",
        name="t",
        nat={"home": NatSpec()},
        host={"alice": HostSpec(behind="home", delay_ms=10), "carol": HostSpec(), "dave": HostSpec()},
    )
    with open_lab(scenario, "sim") as lab:
        assert isinstance(lab, SimLab)
        return lab.run(lambda: main(lab))


def listening(lab: SimLab, wait_s: float = 30.0) -> Coroutine[Any, Any, Report]:
    return listen(lab.network("alice"), options(wait_s), Watcher(), wall=asyncio.get_running_loop().time)


def calling(lab: SimLab, host: str, wait_s: float = 30.0) -> Coroutine[Any, Any, Report]:
    return connect(lab.network(host), options(wait_s), Watcher(), wall=asyncio.get_running_loop().time)


def options(wait_s: float) -> PwnatOptions:
    measuring = MeasureOptions("pwnat", (), families=(4,))
    return PwnatOptions(secret=SECRET, measuring=measuring, wait_s=wait_s, listener=LISTENER)


def told(report: Report) -> Pwnat:
    assert report.pwnat is not None
    return report.pwnat


async def session(lab: SimLab, first: Callable[[], Awaitable[None]], host: str) -> tuple[Pwnat, Pwnat, float]:
    """A listener, what comes first, then a caller; and how long that took to come through."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(listening(lab))
        await asyncio.sleep(1.0)
        await first()
        began = loop.time()
        other = group.create_task(calling(lab, host))
    report = told(other.result())
    met_s = next((each.at_s for each in report.stages if each.stage == "nomination"), 99.0)
    assert loop.time() >= began
    return told(one.result()), report, met_s


@pytest.mark.parametrize("host", ["carol", "dave"])
@pytest.mark.parametrize("after_s", [0.005, 0.015, 0.025, 0.035, 0.045])
def test_the_same_person_calls_again(after_s: float, host: str) -> None:
    """The first call was broken off at any moment before there was a connection. The program, run again,
    draws another session."""

    async def main(lab: SimLab) -> None:
        async def broken_off() -> None:
            task = asyncio.ensure_future(calling(lab, "carol"))
            await asyncio.sleep(after_s)
            task.cancel()

        listener, caller, met_s = await session(lab, broken_off, host)
        assert listener.connected
        assert caller.connected
        assert met_s < 6.0

    run(main)


def knock(now: float, number: int, session: bytes, **more: Any) -> bytes:
    fields: dict[str, Any] = {"caller": "11.101.0.2", "port": 4000, "sent_ms": int(now * 1000)}
    return encode_knock(Knock(session=session, number=number, **fields | more), KEYS.knock)


@pytest.mark.parametrize("step", [0, 1])
def test_a_knock_and_then_silence(step: int) -> None:
    """Also by somebody who tells of a NAT that takes a plan."""
    nat = CallerNat("address-and-port-dependent", "address-and-port-dependent", "random")

    async def main(lab: SimLab) -> None:
        async def knocks() -> None:
            data = knock(asyncio.get_running_loop().time(), 1, b"m" * 12, step=step, nat=nat)
            packet = pwnat.time_exceeded("11.101.0.2", LISTENER, pwnat.TARGETS[0], data)
            lab.network("carol").send_packet(packet)
            await asyncio.sleep(0.1)

        listener, caller, met_s = await session(lab, knocks, "dave")
        assert listener.connected
        assert caller.connected
        assert met_s < (2.0 if step == 0 else 8.0)
        assert any("next one is let in" in each.text for each in listener.stages)

    run(main)


def test_somebody_who_knocks_on_and_on_and_answers_nothing() -> None:
    """He has his turn, and then it is the next one's."""

    async def main(lab: SimLab) -> None:
        ended = asyncio.Event()

        async def knocks() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                data = knock(asyncio.get_running_loop().time(), number, b"m" * 12)
                packet = pwnat.time_exceeded("11.101.0.2", LISTENER, pwnat.TARGETS[0], data)
                lab.network("carol").send_packet(packet)
                await asyncio.sleep(0.3)

        async def began() -> None:
            tasks.append(asyncio.ensure_future(knocks()))
            await asyncio.sleep(0.5)

        tasks: list[asyncio.Future[None]] = []
        listener, caller, met_s = await session(lab, began, "dave")
        ended.set()
        await tasks[0]
        assert listener.connected
        assert caller.connected
        assert met_s < 8.0

    run(main)


@pytest.mark.parametrize("after_s", [0.005, 0.015, 0.025, 0.035, 0.045])
def test_the_listener_is_started_again_while_the_caller_knocks(after_s: float) -> None:
    """It ended at any moment before there was a connection: the caller knocks on, and meets the new one."""

    async def main(lab: SimLab) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            other = group.create_task(calling(lab, "carol"))
            await asyncio.sleep(0.48)
            first = asyncio.ensure_future(listening(lab))
            await asyncio.sleep(after_s)
            first.cancel()
            await asyncio.wait((first,))
            began = loop.time()
            one = group.create_task(listening(lab))
        assert told(one.result()).connected
        assert told(other.result()).connected
        assert loop.time() - began < 8.0

    run(main)


def test_two_live_callers_do_not_keep_each_other_out() -> None:
    """One of them is let in, whichever it is, and the listener stays with it."""

    async def main(lab: SimLab) -> None:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(listening(lab))
            await asyncio.sleep(1.0)
            callers = [group.create_task(calling(lab, host, 8.0)) for host in ("carol", "dave")]
        assert told(one.result()).connected
        assert sum(told(each.result()).connected for each in callers) == 1

    run(main)


def test_sessions_by_the_hundred_stay_within_the_budget() -> None:
    """By somebody with the secret, each told to be at another place."""

    async def main(lab: SimLab) -> None:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(listening(lab, 30.0))
            await asyncio.sleep(1.0)
            for number in range(300):
                data = knock(
                    asyncio.get_running_loop().time(),
                    number,
                    number.to_bytes(12, "big"),
                    caller=f"11.200.{number // 200}.{1 + number % 200}",
                )
                packet = pwnat.time_exceeded("11.101.0.2", LISTENER, pwnat.TARGETS[0], data)
                lab.network("carol").send_packet(packet)
                await asyncio.sleep(0.1)
        found = told(one.result())
        assert not found.connected
        assert found.probes_sent <= 400

    run(main)
