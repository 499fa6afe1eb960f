"""When a trial over TCP is planned."""

from __future__ import annotations

import asyncio
from typing import cast

from nattools.engine.measureoptions import MeasureOptions
from nattools.model.endpoint import Endpoint
from nattools.model.observation import PunchTrial
from nattools.net.base import Network
from nattools.probes.estimate import PathEstimate
from nattools.probes.probe import ProbeContext, Recorder
from nattools.probes.target import Target
from nattools.probes.tcppunch import TcpPunch
from nattools.probes.udppunch import PunchPlan

SERVER = Target(
    "stun:192.0.2.1", Endpoint("192.0.2.1", 3478), "tcp", None, 0.02, other=Endpoint("192.0.2.2", 3479)
)


class Trial(TcpPunch):
    """Notes the plan instead of trying it."""

    def __init__(self, known: asyncio.Event) -> None:
        super().__init__(lambda *_: PunchPlan(step=1) if known.is_set() else "the rule is not known")
        self.plan: PunchPlan | None = None

    async def punch(self, context: ProbeContext, target: Target, plan: PunchPlan) -> None:
        self.plan = plan


async def planned(*, answer_tells: bool) -> tuple[PunchPlan | None, list[str]]:
    """The plan, and why there is none, where one question is still under way when the trial is due."""
    known, recorder = asyncio.Event(), Recorder(asyncio.get_running_loop().time())
    estimate = PathEstimate()
    context = ProbeContext(
        cast(Network, None), recorder, estimate, 4, MeasureOptions(command="diagnose", servers=())
    )
    context.loss_known.set()
    trial = Trial(known)
    with estimate.tcp_questions:
        with estimate.tcp_questions:
            running = asyncio.create_task(trial.run(context, [SERVER]))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not running.done()
        if answer_tells:
            known.set()
    await running
    return trial.plan, [seen.detail for seen in recorder.observations if isinstance(seen, PunchTrial)]


def test_where_the_port_rule_is_not_known_yet_what_is_under_way_is_waited_for() -> None:
    assert asyncio.run(planned(answer_tells=True)) == (PunchPlan(step=1), [])


def test_what_stays_unknown_then_is_said() -> None:
    assert asyncio.run(planned(answer_tells=False)) == (None, ["the rule is not known"])
