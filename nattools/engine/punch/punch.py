"""`nattools punch`: measure, meet the other side, find a way, secure it, use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from nattools.engine.events import Event
from nattools.engine.portmap.journal import AnyJournal
from nattools.engine.punch.attempt import Attempt, Failed, Own
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.gathering import may_bind_low_ports
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.partner import MailboxPartner
from nattools.engine.punch.planning import as_told
from nattools.engine.punch.timeline import Timeline
from nattools.engine.punch.way import Way, spares_of
from nattools.engine.run import Looked, look
from nattools.errors import CannotRun
from nattools.model.punch import Punch
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.traversal.codes import new_code
from nattools.traversal.rendezvous import Failure, MailboxAddress, Rendezvous, rendezvous

MAILBOX_BIT = 0x04
NO_MAILBOX = (
    "Name a nattools server with --server HOST (`nattools serve` on any machine that both sides reach makes "
    "one), or swap tokens with --manual."
)


async def punch(
    network: Network, options: PunchOptions, watcher: Watcher, journal: AnyJournal | None = None
) -> Report:
    """Connect this machine with the one that has the same code, and report.

    CannotRun: no mailbox can be reached, or this machine has no network."""
    timeline = Timeline(watcher.stage)
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look(network, options.measuring, watcher.emit))
        address = options.mailbox or await _mailbox(looking, options)
        async with _met(network, address, options, watcher, timeline) as meeting:
            looked = await looking
            if isinstance(meeting, Failed):
                return _report(looked, timeline, None, meeting)
            own = await _own(looked, options, timeline)
            partner = MailboxPartner(meeting)
            hearing = group.create_task(partner.run())
            connector = Connector(own, partner, timeline, watcher.plan)
            way = await connector.connect()
            report = _report(looked, timeline, connector, way)
            hearing.cancel()
            return report


async def _mailbox(looking: asyncio.Task[Looked], options: PunchOptions) -> MailboxAddress:
    """The only server named, or else the first that says that it has a mailbox."""
    servers = options.measuring.servers
    if len(servers) == 1 and not options.measuring.default_servers:
        return MailboxAddress(servers[0].host, servers[0].port_or_default)
    looked = await looking
    for target in looked.run.reached:
        if target.nattools and target.services & MAILBOX_BIT:
            return MailboxAddress(target.endpoint.host, target.endpoint.port)
    raise CannotRun("none of the servers has a mailbox in which the two sides could meet", NO_MAILBOX)


@asynccontextmanager
async def _met(
    network: Network, address: MailboxAddress, options: PunchOptions, watcher: Watcher, timeline: Timeline
) -> AsyncIterator[Rendezvous | Failed]:
    """The other side, met in the mailbox; or why not."""
    joining = options.code is not None and options.code.nameplate is not None
    async with rendezvous(network, address, options.code or new_code()) as meeting:
        opened = await meeting.opened()
        if isinstance(opened, Failure):
            yield _not_met(opened)
            return
        timeline.note("mailbox", f"room {opened.nameplate} is open at {address}", ok=True)
        if not joining:
            watcher.code(str(opened))
        watcher.emit(Event("started", "peer", "the other machine, with the same code"))
        problem = await _confirmed(meeting, options.wait_s)
        watcher.emit(Event("finished", "peer"))
        if problem is not None:
            timeline.note("mailbox", problem.why, ok=False)
            yield problem
            return
        timeline.note("mailbox", "the other side is there and has the same code", ok=True)
        yield meeting


async def _confirmed(meeting: Rendezvous, wait_s: float) -> Failed | None:
    try:
        async with asyncio.timeout(wait_s):
            failure = await meeting.confirmed()
    except TimeoutError:
        return Failed(f"Nobody came with the code in {wait_s:.0f} s.")
    return None if failure is None else _not_met(failure)


def _not_met(failure: Failure) -> Failed:
    if failure.reason == "unreachable":
        raise CannotRun(failure.detail, NO_MAILBOX)
    return Failed(failure.detail)


async def _own(looked: Looked, options: PunchOptions, timeline: Timeline) -> Own:
    nat = looked.report().nat
    low = options.low_ports
    if low is None:
        low = await may_bind_low_ports(looked.run.network)
    timeline.note("behaviour", _behaviour(looked))
    return Own(looked.run, nat, low, options)


def _behaviour(looked: Looked) -> str:
    nat = looked.report().nat.udp4 or looked.report().nat.udp6
    if nat is None:
        return "this network was not measured: no server answered"
    if nat.reachable is False:
        return "this network lets no UDP out"
    name = nat.classic if nat.classic != "unknown" else f"mapping {nat.mapping}, filtering {nat.filtering}"
    return f"this network is: {name}"


def _report(looked: Looked, timeline: Timeline, connector: Connector | None, way: Way | Failed) -> Report:
    found = Punch(
        connected=isinstance(way, Way),
        stages=timeline.stages,
        probes_sent=0 if connector is None else connector.sent,
    )
    if connector is not None and connector.last is not None:
        found = _with_plan(found, connector.last)
    if isinstance(way, Failed):
        found = msgspec.structs.replace(found, why=way.why, advice=way.advice)
    else:
        found = _with_way(found, way)
    return msgspec.structs.replace(looked.report(), command="punch", punch=found)


def _with_plan(found: Punch, attempt: Attempt) -> Punch:
    made = attempt.made
    if made is None:
        return found
    direct = [step for step in made.steps if step.strategy != "relay"]
    return msgspec.structs.replace(
        found,
        plan=tuple(as_told(step, leads=attempt.leads) for step in made.steps),
        odds=round(made.odds, 4) if direct else None,
    )


def _with_way(found: Punch, way: Way) -> Punch:
    pair = None if way.driver is None else way.driver.agent.selected
    rtt_s = None if pair is None else pair.round_trip.smoothed_s
    return msgspec.structs.replace(
        found,
        path="direct",
        transport=way.transport,
        family=way.family,
        strategy=way.strategy,
        local=str(way.local),
        remote=str(way.remote),
        elapsed_s=way.elapsed_s,
        rtt_ms=None if rtt_s is None else round(rtt_s * 1000, 3),
        spares=() if way.driver is None else spares_of(way.driver),
    )
