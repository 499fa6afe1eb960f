"""Hairpinning counts only the packets that it sent, however much else arrives."""

from __future__ import annotations

import asyncio

from simulated import behind_nat, udp

from nattools.engine.options import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.lab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Hairpin
from nattools.model.report import Report
from nattools.model.serveruri import parse_server


def test_what_others_send_does_not_end_it_early() -> None:
    """The NAT hairpins with a long delay: strangers' packets arrive before the first of its own."""

    async def main(lab: SimLab) -> Report:
        bob = await udp(lab.network("bob"))

        async def bother() -> None:
            while True:
                for port in range(40000, 40060):
                    bob.send(b"hello", Endpoint("11.1.0.2", port))
                await asyncio.sleep(0.001)

        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bother())
            report = await measure(lab.network("alice"), MeasureOptions("nat", servers), lambda event: None)
            task.cancel()
        return report

    with SimLab(behind_nat(NatSpec(filtering="endpoint-independent"), delay_ms=30)) as lab:
        report = lab.run(lambda: main(lab))
    trials = [each for each in report.observations if isinstance(each, Hairpin)]
    assert trials
    assert all(trial.sent == 3 and trial.received == 0 for trial in trials), trials
    assert report.nat.udp4 is not None
    assert report.nat.udp4.hairpinning is False
