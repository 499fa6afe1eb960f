"""Two sides that meet by tokens which their people copy: no mailbox is needed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from nattools.engine.portmap.journal import AnyJournal
from nattools.engine.punch.attempt import Failed, close_all, prepare
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.gathering import Base, server_of
from nattools.engine.punch.messages import Introduction
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.own import own_side
from nattools.engine.punch.telling import Standing
from nattools.engine.punch.timeline import Timeline
from nattools.engine.punch.tokenpartner import TokenPartner, Told
from nattools.engine.punch.tokenterms import as_told_to_others, nonce_of, token_of
from nattools.engine.punch.use import Use, echoing
from nattools.engine.punch.using import connect_and_use
from nattools.engine.run import CompletedRun, new_run, observe
from nattools.engine.servers import MeasurementRun, primary_error
from nattools.errors import CannotRun, UsageError
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.net.base import Network, UdpSocket
from nattools.protocols import ice, stun
from nattools.traversal.sample import where_seen, where_seen_over_tcp
from nattools.traversal.tokens import Token, decode_token, encode_token

REFRESH_S: Final = 15.0
"""While a person copies a token, the ports that it tells of are kept open: some NATs forget them in 20 s."""


async def punch_by_tokens(
    network: Network,
    options: PunchOptions,
    watcher: Watcher,
    journal: AnyJournal | None = None,
    use: Use | None = None,
    *,
    wall: Callable[[], float] = time.time,
) -> Report:
    """Show this side's token, take the other's, connect, use the connection, and report.

    UsageError: what was pasted is no token, or our own. CannotRun: no socket can be had."""
    if watcher.ask_token is None:
        raise UsageError("a token of the other side is needed")
    standing = Standing(Timeline(watcher.stage))
    try:
        async with asyncio.timeout(options.measuring.timeout_s):
            run = new_run(network, options.measuring, watcher.emit)
            await _by_tokens(standing, run, options, watcher, use or echoing(options.echoes), wall)
    except TimeoutError:
        standing.timeline.note("end", "the time given is over")
    except BaseExceptionGroup as errors:
        raise primary_error(errors) from None
    return standing.report()


async def _by_tokens(
    standing: Standing,
    run: MeasurementRun,
    options: PunchOptions,
    watcher: Watcher,
    use: Use,
    wall: Callable[[], float],
) -> None:
    timeline = standing.timeline
    standing.looked = await _look(run)
    own = await own_side(standing.looked, options, timeline)
    keys = _Keys()
    agent = ice.Agent("controlling")  # for its choice of credentials
    introduction, bases = await prepare(own, 0, agent.credentials)
    told = await _told(run, bases)
    try:
        ours = _token(introduction, keys.public, told)
        watcher.code(encode_token(ours))
        timeline.note("token", "this side's token is made; the other side's is waited for")
        peer = await _asked(watcher, options, [base.socket for base in bases], told, run)
        if peer is None:
            standing.result = Failed(f"No token came in {options.wait_s:.0f} s.")
            return
        if peer.public_key == ours.public_key:
            raise UsageError("that is this side's own token; the other side's is needed")
        timeline.note("token", "the other side's token is here", ok=True)
        partner = TokenPartner(peer, keys.secret(peer.public_key), told, wall)
        prepared = (as_told_to_others(introduction, ours), bases)
        connector = Connector(own, partner, timeline, watcher.plan, prepared=prepared)
        await connect_and_use(standing, connector, use)
    finally:
        close_all(bases)
        told.close()


class _Keys:
    """X25519 (RFC 7748), for this one connection."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def secret(self, peer: bytes) -> bytes:
        """What only the two know. UsageError: the peer's key is none (RFC 7748 6.1)."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise UsageError("the key in that token is none; ask the other side for a new token") from None
        return hashlib.sha256(b"nattools token" + shared + b"".join(sorted((self.public, peer)))).digest()


async def _look(run: MeasurementRun) -> CompletedRun:
    """Without any server, or without a way to the internet, machines on one LAN can connect all the same."""
    try:
        return await observe(run)
    except CannotRun:
        return CompletedRun(run, run.options.families, datetime.now(UTC), False)


async def _told(run: MeasurementRun, bases: list[Base]) -> Told:
    """A socket for the steps over UDP, and a connection whose port they use over TCP."""
    hosts = [base.socket.local.host for base in bases if base.socket.local.family == 4]
    udp_server, tcp_server = server_of(run, "udp", 4), server_of(run, "tcp", 4)
    udp: tuple[UdpSocket, Endpoint] | None = None
    if udp_server is not None and hosts:
        socket = await run.network.open_udp(family=4, host=hosts[0], interface=run.options.interface)
        seen = await where_seen(socket, udp_server)
        udp = None if seen is None else (socket, seen)
        if seen is None:
            socket.close()
    tcp = None if tcp_server is None else await where_seen_over_tcp(run.network, tcp_server)
    return Told(udp, tcp)


def _token(introduction: Introduction, public: bytes, told: Told) -> Token:
    return token_of(
        msgspec.structs.replace(introduction, nonce=nonce_of(public)),
        public,
        None if told.udp is None else told.udp[1],
        None if told.tcp is None else told.tcp[1],
    )


async def _asked(
    watcher: Watcher, options: PunchOptions, sockets: list[UdpSocket], told: Told, run: MeasurementRun
) -> Token | None:
    """The peer's token; None: none came in time. Meanwhile the own ports are kept open."""
    assert watcher.ask_token is not None
    all_sockets = sockets if told.udp is None else [*sockets, told.udp[0]]
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(_keep_open(all_sockets, run))
        try:
            async with asyncio.timeout(options.wait_s):
                return decode_token(await watcher.ask_token())
        except TimeoutError:
            return None
        finally:
            keeping.cancel()


async def _keep_open(sockets: list[UdpSocket], run: MeasurementRun) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        for socket in sockets:
            server = server_of(run, "udp", socket.local.family)
            if server is not None:
                socket.send(stun.binding_request(stun.new_transaction_id(), hello=False), server)
