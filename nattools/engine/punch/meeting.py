"""Meeting the other side in a mailbox."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nattools.engine.options import Event
from nattools.engine.punch.attempt import Failed
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.timeline import Timeline
from nattools.engine.run import CompletedRun
from nattools.errors import CannotRun
from nattools.net.base import Network
from nattools.traversal.codes import new_code
from nattools.traversal.rendezvous import Failure, MailboxAddress, Patience, Rendezvous, rendezvous

MAILBOX_BIT = 0x04
PATIENCE = Patience(return_s=120.0, kept_s=math.inf)
"""With the other side met it is the connection that says how long a mailbox that is gone is waited for."""
NO_MAILBOX = (
    "Name a nattools server with --server HOST (`nattools serve` on any machine that both sides reach makes "
    "one), or swap tokens with --manual."
)


async def mailbox_of(looking: asyncio.Task[CompletedRun], options: PunchOptions) -> MailboxAddress:
    """The only server named, or else the first that says that it has a mailbox. CannotRun: none does."""
    servers = options.measuring.servers
    if len(servers) == 1 and not options.measuring.default_servers:
        return MailboxAddress(servers[0].host, servers[0].port_or_default)
    looked = await looking
    for target in looked.run.reached:
        if target.nattools and target.services & MAILBOX_BIT:
            return MailboxAddress(target.endpoint.host, target.endpoint.port)
    raise CannotRun("none of the servers has a mailbox in which the two sides could meet", NO_MAILBOX)


@asynccontextmanager
async def met(
    network: Network, address: MailboxAddress, options: PunchOptions, watcher: Watcher, timeline: Timeline
) -> AsyncIterator[Rendezvous | Failed]:
    """The other side, met in the mailbox; or why not. CannotRun: the mailbox cannot be reached."""
    code = options.code or new_code()
    async with rendezvous(network, address, code, PATIENCE) as meeting:
        opened = await meeting.opened()
        if isinstance(opened, Failure):
            yield _not_met(opened)
            return
        timeline.note("mailbox", f"room {opened.nameplate} is open at {address}", ok=True)
        if code.nameplate is None:
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
