"""Where the two of a punch meet: which mailbox, and the conversation in it once both are there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nattools.engine.measureoptions import Event
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.timeline import NoPath, Timeline
from nattools.engine.run import CompletedRun
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import ServerUri, parse_server
from nattools.model.statement import statement
from nattools.net.base import Network
from nattools.net.eventloop import TimeLimit
from nattools.protocols.mailbox import MailboxFailure
from nattools.protocols.stun.constants import SERVICE_MAILBOX
from nattools.traversal.codes import new_code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import Rendezvous, RendezvousTimeouts, rendezvous
from nattools.wording import sentence

PATIENCE = RendezvousTimeouts(return_s=120.0, kept_s=math.inf)
"""Once the peer is there, the connection decides how long to wait for a mailbox that is gone."""
NO_MAILBOX = (
    "Name a nattools server with --server HOST (`nattools serve` on any machine that both sides reach makes "
    "one), or swap tokens with --manual."
)


async def choose_mailbox(looking: asyncio.Task[CompletedRun], options: PunchOptions) -> MailboxAddress:
    """The only server named, or else the first that says that it has a mailbox. CannotRun: none does."""
    servers = options.measuring.servers
    if len(servers) == 1 and not options.measuring.default_servers:
        return _mailbox_at(servers[0], Endpoint(servers[0].host, servers[0].port_or_default))
    looked = await looking
    for target in looked.run.reached:
        if target.services & SERVICE_MAILBOX:
            return _mailbox_at(parse_server(target.uri), target.endpoint)
    raise CannotRun("none of the servers has a mailbox in which the two sides could meet", NO_MAILBOX)


def _mailbox_at(server: ServerUri, place: Endpoint) -> MailboxAddress:
    """Where STUN is within TLS the mailbox is, too, with a certificate for the name that the user gave."""
    if not server.secure:
        return MailboxAddress(place.host, place.port)
    from nattools.net.web.tls import client_context

    return MailboxAddress(server.host, place.port, client_context)


@asynccontextmanager
async def join_mailbox(
    network: Network, address: MailboxAddress, options: PunchOptions, watcher: Watcher, timeline: Timeline
) -> AsyncIterator[Rendezvous | NoPath]:
    """The conversation with the peer, once it is there; or why there is none.

    CannotRun: the mailbox cannot be reached."""
    code = options.code or new_code()
    async with rendezvous(network, address, code, PATIENCE) as meeting:
        opened = await meeting.opened()
        if isinstance(opened, MailboxFailure):
            yield _not_met(opened)
            return
        timeline.note(
            "mailbox", statement("mailbox-room-open", room=opened.nameplate, mailbox=str(address)), ok=True
        )
        if code.nameplate is None:
            watcher.code(str(opened))
        elif not meeting.has_reached("met"):
            timeline.note("mailbox", statement("mailbox-nobody-yet"))
        watcher.emit(Event("started", "peer", "the other machine, with the same code", alone=True))
        problem = await _confirmed(meeting, options.wait_s)
        watcher.emit(Event("finished", "peer"))
        if problem is not None:
            timeline.note("mailbox", *problem.reasons, ok=False)
            yield problem
            return
        timeline.note("mailbox", statement("mailbox-peer-confirmed"), ok=True)
        yield meeting


async def _confirmed(meeting: Rendezvous, wait_s: float) -> NoPath | None:
    async with TimeLimit(wait_s) as limit:
        failure = await meeting.confirmed()
    if limit.expired():
        return NoPath((statement("mailbox-nobody-came", wait_s=wait_s),))
    return None if failure is None else _not_met(failure)


def _not_met(failure: MailboxFailure) -> NoPath:
    if failure.reason == "unreachable":
        raise CannotRun(sentence(failure.statement).removesuffix("."), NO_MAILBOX)
    return NoPath((failure.statement,))
