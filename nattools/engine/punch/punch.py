"""`nattools punch`: measure, meet the other side, find a way, secure it, use it."""

from __future__ import annotations

import asyncio

from nattools.engine.portmap.journal import AnyJournal
from nattools.engine.punch.attempt import Failed
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.mapping import RouterMapping
from nattools.engine.punch.meeting import mailbox_of, met
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.own import own_side
from nattools.engine.punch.partner import MailboxPartner
from nattools.engine.punch.telling import Standing
from nattools.engine.punch.timeline import Timeline
from nattools.engine.punch.use import Use, echoing
from nattools.engine.punch.using import connect_and_use
from nattools.engine.run import CompletedRun, new_run, observe
from nattools.engine.servers import MeasurementRun, primary_error
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.traversal.rendezvous import MailboxAddress


async def punch(
    network: Network,
    options: PunchOptions,
    watcher: Watcher,
    journal: AnyJournal | None = None,
    use: Use | None = None,
) -> Report:
    """Connect this machine with the one that has the same code, use the connection, and report. `journal`:
    where to write down what is asked of routers; None: they are left alone.

    CannotRun: no mailbox can be reached, or this machine has no network."""
    standing = Standing(Timeline(watcher.stage))
    run = new_run(network, options.measuring, watcher.emit)
    asking = options.ask_router and options.udp
    router = RouterMapping(run, journal, standing.timeline) if asking and journal is not None else None
    try:
        async with asyncio.timeout(options.measuring.timeout_s):
            await _punch(standing, run, options, watcher, router, use or echoing(options.echoes))
    except TimeoutError:
        standing.timeline.note("end", "the time given is over")
    except BaseExceptionGroup as errors:
        raise primary_error(errors) from None
    finally:
        if router is not None:
            await router.part()
    return standing.report()


async def _punch(
    standing: Standing,
    run: MeasurementRun,
    options: PunchOptions,
    watcher: Watcher,
    router: RouterMapping | None,
    use: Use,
) -> None:
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(observe(run))
        asking = group.create_task(_ask(router))
        address = options.mailbox or await mailbox_of(looking, options)
        async with met(run.network, address, options, watcher, standing.timeline) as meeting:
            standing.looked = await looking
            if isinstance(meeting, Failed):
                standing.result = meeting
            else:
                partner = MailboxPartner(meeting)
                hearing = group.create_task(partner.run())
                if options.tcp and _missed_tcp(standing.looked, address):
                    standing.looked = await observe(new_run(run.network, options.measuring, watcher.emit))
                own = await own_side(standing.looked, options, standing.timeline)
                connector = Connector(own, partner, standing.timeline, watcher.plan, router)
                await connect_and_use(standing, connector, use)
                hearing.cancel()
        asking.cancel()


def _missed_tcp(looked: CompletedRun, address: MailboxAddress) -> bool:
    """Did a server give no answer over TCP, at the very port where its mailbox does? Then packets were lost,
    and with UDP blocked nothing would be known of this network."""
    if address.tls is not None or any(each.transport == "tcp" for each in looked.run.reached):
        return False
    asked = [server for server in looked.run.options.servers if server.host == address.host]
    return any(server.port_or_default == address.port for server in asked)


async def _ask(router: RouterMapping | None) -> None:
    if router is not None:
        await router.look()
