"""A listener that takes the original pwnat's errors for callers: nothing in them says who calls."""

from __future__ import annotations

import asyncio

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.engine.pwnat.connecting import listen
from nattools.engine.pwnat.knockoptions import PwnatCounts, PwnatOptions
from nattools.engine.pwnat.knockreceiver import KnockReceiver
from nattools.engine.pwnat.knocksession import KnockSession
from nattools.engine.pwnat.listener import CHECKS
from nattools.lab.backend import open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError
from nattools.net.trace import Trace, TracedNetwork
from nattools.protocols.pwnat import original
from nattools.protocols.pwnat.secret import keys_of
from nattools.traversal.budget import ADDRESSES

OUTSIDE = "11.1.0.2"


def test_packets_are_bounded_whoever_the_errors_come_from() -> None:
    """Somebody names a thousand others as callers, each with one packet."""
    scenario = Scenario(
        title="t",
        name="t",
        nat={"home": NatSpec()},
        host={"alice": HostSpec(behind="home"), "mallory": HostSpec()},
    )
    options = PwnatOptions(
        secret="the same on both sides",
        measuring=MeasureOptions("pwnat", (), families=(4,)),
        wait_s=8.0,
        compat=True,
    )
    with open_lab(scenario, "sim") as lab:

        async def main() -> list[str]:
            loop, mallory = asyncio.get_running_loop(), lab.network("mallory")
            network = TracedNetwork(lab.network("alice"), trace := Trace(0.0))
            async with asyncio.TaskGroup() as group:
                group.create_task(listen(network, options, Watcher(), wall=loop.time))
                await asyncio.sleep(1.0)
                for number in range(1000):
                    named = f"11.66.{number // 250}.{number % 250 + 1}"
                    assert mallory.send_packet(original.original_error(named, OUTSIDE)) is None
                    await asyncio.sleep(0.005)
            sent = [each for each in trace.events if each.kind == "datagram" and each.outgoing]
            return [each.remote.host for each in sent if each.remote.host.startswith("11.66.")]

        to = lab.run(main)
    assert 0 < len(set(to)) <= ADDRESSES
    assert len(to) <= CHECKS


def test_a_caller_is_heard_when_the_clock_was_set_back() -> None:
    async def main() -> list[bool]:
        keys, counts, at = keys_of("the same on both sides"), PwnatCounts(), [0.0]
        receiver = KnockReceiver(keys, KnockSession(keys), counts, lambda: at[0], lambda why: None)
        error = IcmpError("time-exceeded", 11, 0, "11.101.0.2", Endpoint(original.TARGET, 0), b"")
        heard = []
        for at[0] in (5000.0, 5000.5, 1400.0):
            receiver.take_original(error, original.PORT)
            waiting = asyncio.ensure_future(receiver.next())
            await asyncio.sleep(0)
            heard.append(waiting.done())
            waiting.cancel()
        return heard

    assert asyncio.run(main()) == [True, False, True]
