"""Which machines on the local network answer: its routers, those that were found, and those that the user
names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Literal, Self

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, family_of
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
    closed port. No router passes them on, and one that says so ends it: then the same is asked once more, of
    routers that do."""
    seen = await _Echoes(context, address).ask(ttl=1)
    asks_on = not seen.received and not seen.beyond and not context.glance
    refused = asks_on and await _refuses(context, address)
    through = False
    if seen.beyond:
        far = await _Echoes(context, address).ask(ttl=None)
        through = far.received > 0 or await _refuses(context, address)
    context.recorder.add(
        LanEcho(
            probe="lan",
            address=address,
            role=role,
            sent=seen.sent,
            received=seen.received,
            refused=refused,
            beyond=seen.beyond,
            through=through,
            router=role == "neighbour" and context.is_router(address),
        )
    )


class _Echoes:
    """Requests to one machine. `beyond`: a router said that it does not pass them on."""

    def __init__(self, context: LanContext, address: str) -> None:
        self._context = context
        self._address = address
        self._came = TimedEvent()
        self.sent = self.received = 0
        self.beyond = False

    async def ask(self, ttl: int | None) -> Self:
        """Until one is answered."""
        copies, wait_s = (GLANCE_COPIES, GLANCE_WAIT_S) if self._context.glance else (COPIES, WAIT_S)
        try:
            socket = await self._context.network.open_icmp(family=family_of(self._address))
        except CannotRun:
            return self
        socket.on_reply, socket.on_icmp = self._on_reply, self._on_icmp
        try:
            while self.sent < copies and not self.received and not self.beyond:
                if socket.send_echo(self._address, self.sent + 1, ttl=ttl) is not None:
                    break
                self.sent += 1
                self.received += await self._came.wait(wait_s) and not self.beyond
        finally:
            socket.close()
        return self

    def _on_reply(self, reply: EchoReply) -> None:
        if reply.source.partition("%")[0] == self._address.partition("%")[0]:
            self._came.set()

    def _on_icmp(self, error: IcmpError) -> None:
        if error.kind == "time-exceeded":
            self.beyond = True
            self._came.set()


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
