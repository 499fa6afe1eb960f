"""Which machines on the local network answer: its routers, those that were found, and those that the user
names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Literal

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.lanseen import LanEcho, YggdrasilHeard
from nattools.net.base import EchoReply, IcmpError, TcpFailure
from nattools.net.eventloop import TimedEvent
from nattools.probes.lan.lancontext import LanContext

COPIES: Final = 3
WAIT_S: Final = 0.4
GLANCE_COPIES: Final = 2
GLANCE_WAIT_S: Final = 0.2
CLOSED_PORT: Final = 9
"""Discard: nobody listens there, and a machine that is there says so."""
YGGDRASIL: Final = ("ff02::114", 9001)
Role = Literal["gateway", "neighbour", "named"]


async def echo(context: LanContext, address: str, role: Role) -> None:
    """A few requests, one after the other, until one is answered; then, but for a glance, a connection to a
    closed port. No router passes them on, and one that says so ends it."""
    copies, wait_s = (GLANCE_COPIES, GLANCE_WAIT_S) if context.glance else (COPIES, WAIT_S)
    sent = received = 0
    beyond = False
    family: Family = family_of(address)
    try:
        socket = await context.network.open_icmp(family=family)
    except CannotRun:
        socket = None
    if socket is not None:
        came = TimedEvent()

        def on_reply(reply: EchoReply) -> None:
            if reply.source.partition("%")[0] == address.partition("%")[0]:
                came.set()

        def on_icmp(error: IcmpError) -> None:
            nonlocal beyond
            if error.kind == "time-exceeded":
                beyond = True
                came.set()

        socket.on_reply, socket.on_icmp = on_reply, on_icmp
        try:
            while sent < copies and not received and not beyond:
                if socket.send_echo(address, sent + 1, ttl=1) is not None:
                    break
                sent += 1
                received += await came.wait(wait_s) and not beyond
        finally:
            socket.close()
    asks_on = not received and not beyond and not context.glance
    refused = asks_on and await _refuses(context, address)
    context.recorder.add(
        LanEcho(
            probe="lan",
            address=address,
            role=role,
            sent=sent,
            received=received,
            refused=refused,
            beyond=beyond,
            router=role == "neighbour" and context.is_router(address),
        )
    )


async def _refuses(context: LanContext, address: str) -> bool:
    try:
        found = await context.network.connect_tcp(Endpoint(address, CLOSED_PORT), timeout_s=WAIT_S)
    except CannotRun:
        return False
    if isinstance(found, TcpFailure):
        return found.outcome in ("refused", "reset")
    found.abort()
    return True


async def echo_all(context: LanContext, addresses: Iterable[str], role: Role) -> None:
    """Side by side."""
    async with asyncio.TaskGroup() as group:
        for address in addresses:
            group.create_task(echo(context, address, role))


async def listen_for_yggdrasil(context: LanContext) -> None:
    """Yggdrasil's multicast beacons, of which each node sends one every second at first, then more rarely."""
    if 6 not in context.own:
        return
    group, port = YGGDRASIL
    sources: dict[str, None] = {}
    try:
        socket = await context.network.open_udp(
            family=6, host=context.own[6], port=port, group=context.group(group)
        )
    except CannotRun as error:
        context.recorder.add(YggdrasilHeard(probe="lan", detail=str(error)))
        return

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if len(sources) < 64 and not context.is_own(source.host):
            sources[source.host] = None

    socket.on_datagram = on_datagram
    try:
        await asyncio.sleep(context.listen_s)
    finally:
        socket.close()
        context.recorder.add(
            YggdrasilHeard(probe="lan", sources=tuple(sources), listened_s=round(context.listen_s, 3))
        )
