"""A caller that is gone without a word, while it was connected: the next one who knows the secret has its
place within seconds, and a caller that lives keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Connected, Use, UseResult, Watcher
from nattools.engine.pwnat.connecting import connect, listen
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.lab.backend import open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.pwnat import Pwnat
from nattools.model.report import Report
from nattools.net.base import Network

LISTENER = Endpoint("11.1.0.2", 2222)
SOON_S = 9.0
"""A knock at least every 2.2 s, four seconds of doubt, and the connection itself."""


def run(main: Callable[[SimLab], Awaitable[None]]) -> None:
    """Alice behind a NAT, three callers on the internet."""
    callers = {name: HostSpec(delay_ms=10) for name in ("carol", "dave", "erin")}
    alice = HostSpec(behind="home", delay_ms=10)
    scenario = Scenario(title="t", name="t", nat={"home": NatSpec()}, host={"alice": alice} | callers)
    with open_lab(scenario, "sim") as lab:
        assert isinstance(lab, SimLab)
        lab.run(lambda: main(lab))


def options(wait_s: float) -> PwnatOptions:
    measuring = MeasureOptions("pwnat", (), families=(4,))
    return PwnatOptions(secret="one for all", measuring=measuring, wait_s=wait_s, listener=LISTENER)


@dataclass
class Kept:
    """A use without an end of its own, and when each connection began."""

    repeats: bool = True
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    began_at: list[float] = field(default_factory=list)

    @property
    def use(self) -> Use:
        return Use(self._run, names=("keep",), repeats=self.repeats)

    async def _run(self, connected: Connected) -> UseResult:
        self.began_at.append(asyncio.get_running_loop().time())
        enough = asyncio.ensure_future(self.enough.wait())
        await connected.tunnel.unless_ended(enough)
        enough.cancel()
        return UseResult(problem=connected.tunnel.ended or "")


def listening(lab: SimLab, kept: Kept) -> Coroutine[Any, Any, Report]:
    now = asyncio.get_running_loop().time
    return listen(lab.network("alice"), options(30.0), Watcher(), kept.use, wall=now)


def calling(network: Network, kept: Kept, wait_s: float = 30.0) -> Coroutine[Any, Any, Report]:
    return connect(network, options(wait_s), Watcher(), kept.use, wall=asyncio.get_running_loop().time)


def told(report: Report) -> Pwnat:
    assert report.pwnat is not None
    return report.pwnat


async def ended(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("after_s", [0.5, 5.0, 20.0, 1000.0])
def test_the_next_one_has_its_place_soon(after_s: float) -> None:
    """Whether the listener has noticed the loss by then or not, and while it looks for another path."""

    async def main(lab: SimLab) -> None:
        loop, here, there = asyncio.get_running_loop(), Kept(), Kept()
        one = asyncio.ensure_future(listening(lab, here))
        dead = asyncio.ensure_future(calling(lab.network("carol"), Kept()))
        await asyncio.sleep(20.0)
        assert len(here.began_at) == 1
        lab.unplug("carol")
        await asyncio.sleep(after_s)
        called_at = loop.time()
        other = asyncio.ensure_future(calling(lab.network("dave"), there))
        await asyncio.sleep(SOON_S)
        assert len(here.began_at) == 2
        assert here.began_at[1] - called_at < SOON_S
        here.enough.set()
        there.enough.set()
        await asyncio.wait((one, other))
        assert told(one.result()).connected
        assert told(other.result()).connected
        assert told(one.result()).remote == told(other.result()).local
        await ended(dead)

    run(main)


def test_one_after_the_other() -> None:
    """The one before comes back into the network, and is not followed any more: it is of an old session."""

    async def main(lab: SimLab) -> None:
        here = Kept()
        one = asyncio.ensure_future(listening(lab, here))
        await asyncio.sleep(1.0)
        gone = []
        for number, name in enumerate(("carol", "dave", "erin"), 1):
            gone.append(asyncio.ensure_future(calling(lab.network(name), Kept())))
            await asyncio.sleep(SOON_S)
            assert len(here.began_at) == number
            if name != "erin":
                lab.unplug(name)
        lab.plug("carol")
        await asyncio.sleep(100.0)
        assert len(here.began_at) == 3
        here.enough.set()
        await asyncio.wait((one,))
        assert not [each for each in told(one.result()).stages if "broke the protocol" in each.text]
        await ended(*gone)

    run(main)


def test_a_caller_that_lives_keeps_its_place() -> None:
    """Also where nothing passes for a moment; and where it has lost its path, and knocks for another."""

    async def main(lab: SimLab) -> None:
        here = Kept()
        one = asyncio.ensure_future(listening(lab, here))
        first = asyncio.ensure_future(calling(lab.network("carol"), Kept()))
        await asyncio.sleep(5.0)
        second = asyncio.ensure_future(calling(lab.network("dave"), Kept(), 60.0))
        await asyncio.sleep(8.0)
        lab.unplug("carol")
        await asyncio.sleep(2.0)
        lab.plug("carol")
        await asyncio.sleep(10.0)
        lab.restart("home")
        await asyncio.sleep(40.0)
        assert len(here.began_at) == 1
        assert not told(await second).connected
        here.enough.set()
        await asyncio.wait((one,))
        assert told(one.result()).connected
        await ended(first)

    run(main)


def test_what_cannot_be_begun_again_ends() -> None:
    """A pipe: what the one that is gone has got is lost. That is told within seconds, too."""

    async def main(lab: SimLab) -> None:
        here = Kept(repeats=False)
        one = asyncio.ensure_future(listening(lab, here))
        dead = asyncio.ensure_future(calling(lab.network("carol"), Kept()))
        await asyncio.sleep(5.0)
        lab.unplug("carol")
        other = asyncio.ensure_future(calling(lab.network("dave"), Kept()))
        async with asyncio.timeout(SOON_S):
            report = told(await one)
        assert "start both sides again" in report.advice
        await ended(dead, other)

    run(main)


def test_a_newcomer_that_does_not_come_through_is_no_end() -> None:
    """It is waited for somebody as long as the lost caller would have been waited for."""

    async def main(lab: SimLab) -> None:
        here, there = Kept(), Kept()
        one = asyncio.ensure_future(listening(lab, here))
        dead = asyncio.ensure_future(calling(lab.network("carol"), Kept()))
        await asyncio.sleep(5.0)
        lab.unplug("carol")
        second = asyncio.ensure_future(calling(lab.network("dave"), Kept()))
        await asyncio.sleep(3.9)
        await ended(second)
        await asyncio.sleep(600.0)
        other = asyncio.ensure_future(calling(lab.network("erin"), there))
        await asyncio.sleep(SOON_S)
        assert len(there.began_at) == 1
        here.enough.set()
        there.enough.set()
        await asyncio.wait((one, other))
        assert told(one.result()).connected
        await ended(dead)

    run(main)
