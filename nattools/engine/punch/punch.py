"""`nattools punch`: measure, exchange candidates by a mailbox or by tokens, connect, use the connection."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from nattools.chance import random_bytes
from nattools.engine.measurement import (
    MeasurementRun,
    learn_translation,
)
from nattools.engine.portals import behind_portal, look_for_portal
from nattools.engine.portmap.journal import Journal
from nattools.engine.punch.attempt import close_all, prepare
from nattools.engine.punch.bothsides import both_sides
from nattools.engine.punch.candidates import Base, seen_over_tcp, server_of
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.localside import RouterMapping, local_side
from nattools.engine.punch.meeting import choose_mailbox, join_mailbox
from nattools.engine.punch.options import PunchOptions, Use, Watcher, echoing
from nattools.engine.punch.relayopening import hold_relay
from nattools.engine.punch.signaling import MailboxSignaling
from nattools.engine.punch.signals import Introduction
from nattools.engine.punch.state import PunchState, connect_and_use
from nattools.engine.punch.timeline import NoPath, Timeline
from nattools.engine.punch.tokensignaling import (
    StepSockets,
    TokenSignaling,
    as_read_by_peer,
    nonce_from_key,
    token_from_introduction,
)
from nattools.engine.run import CompletedRun, new_run, observe, within_time_limit
from nattools.errors import CannotRun, UsageError
from nattools.model.report import Report
from nattools.model.statement import statement
from nattools.net.base import Network, UdpSocket
from nattools.net.eventloop import TimeLimit
from nattools.protocols import ice, stun
from nattools.traversal.codes import parse_code
from nattools.traversal.icedriver import open_path_socket
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.relayaccess import AnyAccess, HeldAccess
from nattools.traversal.serverreflexive import server_reflexive
from nattools.traversal.tokens import MAX_CANDIDATES, Token, decode_token, encode_token

MOST_IN_TOKEN: Final = MAX_CANDIDATES - 1
"""Beside the port for the steps over TCP."""
REFRESH_S: Final = 15.0
"""While a person copies a token, the ports that it tells of are kept open: some NATs forget them in 20 s."""


async def punch(
    network: Network,
    options: PunchOptions,
    watcher: Watcher,
    journal: Journal | None = None,
    use: Use | None = None,
) -> Report:
    """Connect this machine with the one that has the same code, use the connection, and report. `journal`:
    where to write down what is asked of routers; None: they are left alone.

    CannotRun: no mailbox can be reached, or this machine has no network."""
    state = PunchState(Timeline(watcher.stage))
    run = new_run(network, options.measuring, watcher.emit)
    asking = options.ask_router and options.udp
    router = RouterMapping(run, journal, state.timeline) if asking and journal is not None else None
    work = _by_mailbox(state, run, options, watcher, router, use or echoing(options.echoes))
    try:
        if await within_time_limit(run, work):
            state.timeline.note("end", statement("punch-time-over"))
    except CannotRun:
        met = await look_for_portal(run)
        if met is None:
            raise
        raise behind_portal(met) from None
    finally:
        if router is not None:
            await router.release()
    return state.report()


async def _by_mailbox(
    state: PunchState,
    run: MeasurementRun,
    options: PunchOptions,
    watcher: Watcher,
    router: RouterMapping | None,
    use: Use,
) -> None:
    await learn_translation(run)  # the mailbox may be reached by it alone
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(observe(run))
        asking = group.create_task(_ask(router))
        address = options.mailbox or await choose_mailbox(looking, options)
        async with join_mailbox(run.network, address, options, watcher, state.timeline) as meeting:
            state.looked = await looking
            if isinstance(meeting, NoPath):
                state.result = meeting
            else:
                partner = MailboxSignaling(meeting)
                hearing = group.create_task(partner.run())
                if options.tcp and _missed_tcp(state.looked, address):
                    state.looked = await observe(new_run(run.network, options.measuring, watcher.emit))
                own = await local_side(state.looked, options, state.timeline)
                connector = Connector(own, partner, state.timeline, watcher.plan, router)
                await connect_and_use(state, connector, use)
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
        await router.discover()


async def punch_by_tokens(
    network: Network,
    options: PunchOptions,
    watcher: Watcher,
    journal: Journal | None = None,
    use: Use | None = None,
    *,
    wall: Callable[[], float] = time.time,
) -> Report:
    """Show this side's token, take the other's, connect, use the connection, and report.

    UsageError: what was pasted is no token, or our own. CannotRun: no socket can be had."""
    if watcher.ask_token is None:
        raise UsageError("the peer's token is needed")
    state = PunchState(Timeline(watcher.stage))
    run = new_run(network, options.measuring, watcher.emit)
    work = _by_tokens(state, run, options, watcher, use or echoing(options.echoes), wall)
    if await within_time_limit(run, work):
        state.timeline.note("end", statement("punch-time-over"))
    return state.report()


async def _by_tokens(
    state: PunchState,
    run: MeasurementRun,
    options: PunchOptions,
    watcher: Watcher,
    use: Use,
    wall: Callable[[], float],
) -> None:
    timeline = state.timeline
    state.looked = await _look(run)
    own = await local_side(state.looked, options, timeline)
    if options.relaying != "never":
        options = replace(options, relays=await hold_relay(run, options.relays, timeline))
        own = replace(own, options=options)
    keys = _Keys()
    agent = ice.Agent("controlling")  # for its choice of credentials
    bases, told = list[Base](), StepSockets()
    try:
        introduction, bases = await prepare(own, 0, agent.credentials)
        introduction = _with_relay(introduction, options.relays)
        if options.relaying != "only":
            told = await _told(run, bases)
        ours = _token(introduction, keys.public, told)
        watcher.code(encode_token(ours))
        timeline.note("token", statement("token-made"))
        peer = await _asked(watcher, options, [base.socket for base in bases], told, run)
        if peer is None:
            state.result = NoPath((statement("token-missing", wait_s=options.wait_s),))
            return
        if peer.public_key == ours.public_key:
            raise UsageError("that is this side's own token; the peer's is needed")
        timeline.note("token", statement("token-received"), ok=True)
        partner = TokenSignaling(peer, keys.secret(peer.public_key), told, wall)
        prepared = (as_read_by_peer(introduction, ours), bases)
        connector = Connector(own, partner, timeline, watcher.plan, prepared=prepared)
        await connect_and_use(state, connector, use)
    finally:
        close_all(bases)
        told.close()
        for each in options.relays:
            if isinstance(each, HeldAccess):
                each.socket.close()


def _with_relay(introduction: Introduction, relays: tuple[AnyAccess, ...]) -> Introduction:
    """And with the address that a relay has given, which the peer cannot be told later."""
    held = [
        ice.encode(ice.local_candidate("relay", each.socket.local))
        for each in relays
        if isinstance(each, HeldAccess)
    ]
    own = introduction.candidates[: MOST_IN_TOKEN - len(held)]
    return msgspec.structs.replace(introduction, candidates=(*own, *held))


class _Keys:
    """X25519 (RFC 7748), for this one connection."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private = X25519PrivateKey.from_private_bytes(random_bytes(32))
        self.public = self._private.public_key().public_bytes_raw()

    def secret(self, peer: bytes) -> bytes:
        """What only the two know. UsageError: the peer's key is none (RFC 7748 6.1)."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise UsageError("the key in that token is invalid; ask for a new token") from None
        return hashlib.sha256(b"nattools token" + shared + b"".join(sorted((self.public, peer)))).digest()


async def _look(run: MeasurementRun) -> CompletedRun:
    """Without any server, or without a way to the internet, machines on one LAN can connect all the same."""
    try:
        return await observe(run)
    except CannotRun:
        return CompletedRun(run, run.options.families, datetime.now(UTC), False)


async def _told(run: MeasurementRun, bases: list[Base]) -> StepSockets:
    """A socket for the steps over UDP, and a connection whose port they use over TCP."""
    hosts = [base.socket.local.host for base in bases if base.socket.local.family == 4]
    udp_server = server_of(run, "udp", 4)
    if udp_server is None or not hosts:
        return StepSockets(None, await seen_over_tcp(run, 4))
    with contextlib.ExitStack() as closing:
        socket = await open_path_socket(run.network, family=4, host=hosts[0], interface=run.options.interface)
        closing.callback(socket.close)
        seen = await server_reflexive(socket, udp_server)
        tcp = await seen_over_tcp(run, 4)
        if seen is None:
            return StepSockets(None, tcp)
        closing.pop_all()
    return StepSockets((socket, seen), tcp)


def _token(introduction: Introduction, public: bytes, told: StepSockets) -> Token:
    return token_from_introduction(
        msgspec.structs.replace(introduction, nonce=nonce_from_key(public)),
        public,
        None if told.udp is None else told.udp[1],
        None if told.tcp is None else told.tcp[1],
    )


async def _asked(
    watcher: Watcher, options: PunchOptions, sockets: list[UdpSocket], told: StepSockets, run: MeasurementRun
) -> Token | None:
    """The peer's token; None: none came in time. Meanwhile the own ports are kept open."""
    assert watcher.ask_token is not None
    all_sockets = sockets if told.udp is None else [*sockets, told.udp[0]]
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(_keep_open(all_sockets, run))
        try:
            async with TimeLimit(options.wait_s):
                return decode_token(await watcher.ask_token())
        finally:
            keeping.cancel()
    return None


async def _keep_open(sockets: list[UdpSocket], run: MeasurementRun) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        for socket in sockets:
            server = server_of(run, "udp", socket.local.family)
            if server is not None:
                socket.send(stun.binding_request(stun.new_transaction_id(), hello=False), server)


# --- both sides in one process, as in a lab


PunchSide = tuple[Network, PunchOptions, Watcher]


async def punch_both(
    first: PunchSide,
    second: PunchSide,
    journals: tuple[Journal | None, Journal | None] = (None, None),
    uses: tuple[Use | None, Use | None] = (None, None),
) -> tuple[Report, Report]:
    """The first side makes a code, the second one joins by it. Errors are those of `punch`."""

    async def join(code: str) -> Report:
        chosen = replace(second[1], code=parse_code(code))
        return await punch(second[0], chosen, second[2], journals[1], uses[1])

    return await both_sides(
        first[2], lambda watcher: punch(first[0], first[1], watcher, journals[0], uses[0]), join
    )
