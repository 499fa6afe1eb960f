"""How long does the NAT keep a silent UDP mapping (RFC 4787 4.3), and does inbound traffic keep it?

Parallel bisecting: many ports fall silent at the same moment, and each is tried from outside after another
idle time, by asking the server from a helper port to answer to it (RESPONSE-PORT, RFC 5780 7.5). The answer
comes from an address that the port itself has written to, so a filter lets it in while the mapping lives.
A dead mapping counts only beside a younger one that lives: else the NAT has lost all that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.model.observation import Gap, Idle
from nattools.net.eventloop import TimeLimit
from nattools.probes.probe import EVERY_COMMAND, LaneProbe, ProbeContext, ProbeOptions
from nattools.probes.question import Question, StunClient, open_stun_client
from nattools.probes.target import Target

ORDINARY_S = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 420.0, 600.0)
"""Lifetimes that NATs are built with: each is tried from just below and just above."""
MARGIN = 0.04
STEP = 1.3
INBOUND_EVERY_S = 2.0


def idle_times(longest_s: float) -> list[float]:
    """Idle times to try, in seconds, ascending: around every ordinary lifetime, and no gap wider than a
    factor of 1.3."""
    marks = {round(value * (1 + side * MARGIN), 3) for value in ORDINARY_S for side in (-1, 1)}
    times: list[float] = [2.5]
    for mark in sorted(marks):
        while mark / times[-1] > STEP:
            times.append(round(times[-1] * STEP, 3))
        times.append(mark)
    return [time for time in times if time <= longest_s * (1 + MARGIN) + 1e-9]


class _Sleeper(msgspec.Struct):
    """A port that keeps silent for `idle_s` and is then tried: does the answer of `server` to `question`,
    which another port asks, arrive here? Nothing else proves that the mapping lives."""

    client: StunClient
    server: Endpoint
    mapped: Endpoint
    idle_s: float
    slept_from: float
    question: Question | None = None
    arrived: bool = False
    alive: bool | None = None
    sent: int = 0

    def receive(self, data: bytes, source: Endpoint) -> None:
        """What arrives at the port once it is silent."""
        if self.question is not None and source == self.server and self.question.answered_by(data):
            self.arrived = True


class _Watch(msgspec.Struct):
    """All sleepers of a run, and the shortest idle time after which one was dead. `death` comes with it.
    `forgot`: the NAT has lost its mappings, so that no sleeper tells anything any more."""

    sleepers: list[_Sleeper] = msgspec.field(default_factory=list)
    dead_s: float | None = None
    forgot: bool = False
    death: asyncio.Event = msgspec.field(default_factory=asyncio.Event)


class Lifetime(LaneProbe):
    """Takes as long as the mapping lives, or the longest time asked for; whichever is shorter."""

    name = "lifetime"
    commands = EVERY_COMMAND
    text = "how long does an idle mapping live?"
    transport = "udp"
    tells_loss = False

    def wanted(self, options: ProbeOptions) -> bool:
        """Only on demand: it takes minutes."""
        return options.lifetime and super().wanted(options)

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Let many ports fall silent, and try each after another idle time."""
        target, longest_s = targets[0], context.options.max_lifetime_s
        watch = _Watch()
        with ExitStack() as opened:
            helper = opened.enter_context(await open_stun_client(context))
            if not await _can_answer_elsewhere(context, target, helper):
                return
            for idle_s in [*idle_times(longest_s), longest_s * 1.04]:
                client = opened.enter_context(await open_stun_client(context))
                if (sleeper := await _fall_asleep(target, client, idle_s)) is not None:
                    watch.sleepers.append(sleeper)
            kept = watch.sleepers.pop() if watch.sleepers else None
            async with asyncio.TaskGroup() as group:
                known_s = [0.0, *(each.idle_s for each in watch.sleepers)]
                tries = [
                    group.create_task(_try(context, target, each, watch, shorter_s))
                    for each, shorter_s in zip(watch.sleepers, known_s, strict=False)
                ]
                inbound = group.create_task(_keep_by_inbound(context, target, kept, watch)) if kept else None
                await asyncio.wait(tries)
                if inbound is not None and watch.dead_s is None:
                    inbound.cancel()


async def _can_answer_elsewhere(context: ProbeContext, target: Target, helper: StunClient) -> bool:
    """Does the server answer to the port that RESPONSE-PORT names? Tried on a mapping just made."""
    with await open_stun_client(context) as client:
        sleeper = await _fall_asleep(target, client, 0.0)
        if sleeper is None or await _knock(context, target, helper, sleeper):
            return sleeper is not None
    context.recorder.add(
        Gap(
            probe="lifetime",
            question="How long does the NAT keep a silent mapping?",
            reason="the server does not answer to another port when asked to (RESPONSE-PORT)",
            settle="a server that does: `nattools serve` on a machine with a public address",
            server=str(target.endpoint),
        )
    )
    return False


async def _fall_asleep(
    target: Target, client: StunClient, idle_s: float, *, noted: bool = True
) -> _Sleeper | None:
    """Make the mapping of a port that keeps silent from then on; None if the server did not tell it. `noted`:
    it goes on record, as one of those made at the beginning, side by side."""
    question = await client.expect(client.prepare(target.endpoint, "control"))
    if noted:
        client.record(question)
    mapped = question.outside(client.local)
    if mapped is None:
        return None
    sleeper = _Sleeper(client, target.endpoint, mapped, idle_s, question.sent_at[-1])
    client.on_other = sleeper.receive
    return sleeper


async def _knock(context: ProbeContext, target: Target, helper: StunClient, sleeper: _Sleeper) -> bool:
    """Have the server send to the sleeper's outside port until something arrives or silence counts. The next
    copy waits for the answer to the last one: more than one copy tells of loss."""
    question = helper.prepare(target.endpoint, "control", response_port=sleeper.mapped.port)
    sleeper.question, sleeper.arrived = question, False
    estimate = context.estimate
    while len(question.sent_at) < estimate.copies() and not sleeper.arrived:
        helper.send(question)
        sleeper.sent += 1
        await asyncio.sleep(estimate.retry_s)
    if not sleeper.arrived:
        await asyncio.sleep(estimate.last_wait_s)
    return sleeper.arrived


async def _try(
    context: ProbeContext, target: Target, sleeper: _Sleeper, watch: _Watch, shorter_s: float
) -> None:
    """Sleep, then knock, unless a shorter sleep was deadly already. `shorter_s` is survived, as is known then
    (0: no time is)."""
    wake_at = sleeper.slept_from + sleeper.idle_s
    with ExitStack() as opened:
        if not await _slept(watch, sleeper, wake_at - shorter_s):
            return
        helper, client, other = [opened.enter_context(await open_stun_client(context)) for _ in range(3)]
        younger = await _fall_asleep(target, client, shorter_s, noted=False) if shorter_s else None
        if not await _slept(watch, sleeper, wake_at):
            return
        context.progress(f"testing whether a mapping survives {sleeper.idle_s:.0f} s of silence", None)
        async with asyncio.TaskGroup() as group:
            knocked = group.create_task(_knock(context, target, helper, sleeper))
            if younger is not None:
                lives = group.create_task(_knock(context, target, other, younger))
        sleeper.alive = knocked.result()
        if not sleeper.alive:
            forgot = not lives.result() if younger is not None else await _survives(context, target, sleeper)
            sleeper.alive, watch.forgot = (None, True) if forgot else (False, watch.forgot)
    if sleeper.alive is False and (watch.dead_s is None or sleeper.idle_s < watch.dead_s):
        watch.dead_s = sleeper.idle_s
    if not sleeper.alive:
        watch.death.set()
    _record(context, sleeper, "nothing", sleeper.idle_s)


async def _slept(watch: _Watch, sleeper: _Sleeper, until: float) -> bool:
    """Wait until then. False: there is nothing more to be learnt from this one."""
    loop = asyncio.get_running_loop()
    async with TimeLimit(until - loop.time()):
        await watch.death.wait()
    if watch.forgot or (watch.dead_s is not None and watch.dead_s < sleeper.idle_s):
        return False
    await asyncio.sleep(max(0.0, until - loop.time()))
    return True


async def _survives(context: ProbeContext, target: Target, dead: _Sleeper) -> bool:
    """Does another mapping survive the same silence, right afterwards?"""
    with await open_stun_client(context) as client, await open_stun_client(context) as helper:
        again = await _fall_asleep(target, client, dead.idle_s, noted=False)
        if again is None:
            return False
        await asyncio.sleep(again.idle_s)
        return await _knock(context, target, helper, again)


async def _keep_by_inbound(context: ProbeContext, target: Target, kept: _Sleeper, watch: _Watch) -> None:
    """Send in every two seconds without a word from inside; once a silent mapping of that age is dead, is
    this one alive?"""
    loop = asyncio.get_running_loop()
    with await open_stun_client(context) as helper:
        while watch.dead_s is None or loop.time() - kept.slept_from < watch.dead_s * 1.05:
            helper.send(helper.prepare(target.endpoint, "control", response_port=kept.mapped.port))
            await asyncio.sleep(INBOUND_EVERY_S)
        kept.alive = await _knock(context, target, helper, kept)
        _record(context, kept, "inbound", loop.time() - kept.slept_from)


def _record(
    context: ProbeContext, sleeper: _Sleeper, refreshed_by: Literal["nothing", "inbound"], idle_s: float
) -> None:
    context.recorder.add(
        Idle(
            probe="lifetime",
            transport="udp",
            family=context.family,
            local=str(sleeper.client.local),
            mapped=str(sleeper.mapped),
            idle_s=round(idle_s, 3),
            refreshed_by=refreshed_by,
            sent=sleeper.sent,
            alive=sleeper.alive,
        )
    )
