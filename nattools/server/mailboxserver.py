"""The mailbox's WebSocket connections, on the port of STUN over TCP, plain or within TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.net.web import websocket
from nattools.net.web.tls import HANDSHAKE_BYTE, start_tls
from nattools.net.web.websocket import WebSocket
from nattools.protocols import mailbox as protocol
from nattools.server.connections import Answer, converse, report_fault
from nattools.server.limits import Slot, Slots
from nattools.server.mailbox import Mailbox, MailboxLimits, OutgoingText

_HANDSHAKE_S: Final = 10.0
_JOIN_S: Final = 10.0


SILENT_S: Final = 75.0
"""So long a client may be silent: it pings every 20 s."""
UNREAD_S: Final = 10.0
"""So long it may leave what it gets unread."""


class MailboxConnections:
    """Serves the mailbox's connections, and those within TLS; `slots` bounds how many there are. Without
    `rooms` there is no mailbox. `patience_s` adds to how long one may be silent."""

    def __init__(
        self,
        limits: MailboxLimits | None,
        slots: Slots,
        *,
        tls: ssl.SSLContext | None,
        rooms: bool,
        offer: Callable[[], protocol.RelayOffer | None],
        patience_s: Callable[[TcpStream], float],
    ) -> None:
        self._mailbox = Mailbox(limits, offer=offer)
        self._has_rooms = rooms
        self._patience_s = patience_s
        self._slots = slots
        self._tls = tls
        self._visited = asyncio.Event()
        self._sockets: dict[int, WebSocket] = {}
        self._time = asyncio.get_running_loop().time

    async def serve(self, stream: TcpStream, first: bytes, answer: Answer, streams: Slots) -> None:
        """Serve a connection that begins with `first`: WebSocket, or TLS and within it WebSocket or STUN.

        A source beyond its share of slots is reset."""
        slot = self._slots.enter(stream.remote, stream.abort)
        if slot is None:
            stream.abort()
            return
        try:
            if first[0] == HANDSHAKE_BYTE and self._tls is not None:
                secured = await start_tls(stream, self._tls, timeout_s=_HANDSHAKE_S, first=first)
                if not isinstance(secured, str):
                    await self._within_tls(secured, slot, answer, streams)
            elif first[:1] == b"G" and self._has_rooms:
                await self._accept(stream, slot, first)
        finally:
            slot.leave()
            stream.close()

    async def sweep_forever(self) -> None:
        """Close rooms whose time is over; as long as there is nothing to sweep, without waking up. Nobody
        is waited for, and a fault does not end it."""
        while True:
            await self._visited.wait()
            await asyncio.sleep(self._mailbox.sweep_s)
            try:
                for out in self._mailbox.sweep(self._time()):
                    self._send(out)
            except Exception as error:
                report_fault("the mailbox could not be swept", error)
            if self._mailbox.empty:
                self._visited.clear()

    async def _within_tls(self, stream: TcpStream, slot: Slot, answer: Answer, streams: Slots) -> None:
        async def accept(stream: TcpStream, first: bytes) -> None:
            if self._has_rooms:
                await self._accept(stream, slot, first)

        def patience_s(stream: TcpStream) -> float:
            return max(SILENT_S, self._patience_s(stream))

        try:
            await converse(stream, answer, streams, patience_s=patience_s, other=accept)
        finally:
            stream.close()

    async def _accept(self, stream: TcpStream, slot: Slot, first: bytes) -> None:
        socket = await websocket.accept(
            stream, first, path=protocol.PATH, max_size=protocol.MAX_TEXT, timeout_s=_HANDSHAKE_S
        )
        if socket is None:
            return
        number = self._mailbox.connect(stream.remote)
        self._visited.set()
        self._sockets[number] = socket
        try:
            await self._converse(number, socket, slot)
        finally:
            self._sockets.pop(number, None)
            for out in self._mailbox.disconnect(number, self._time()):
                self._send(out)
            socket.close()
        await socket.wait_closed(UNREAD_S)

    async def _converse(self, number: int, socket: WebSocket, slot: Slot) -> None:
        """Serve a connection until it ends. A sender waits until the other side has read what came before;
        one that joins no room in time is gone, whatever else it says."""
        join_by = self._time() + _JOIN_S
        while number in self._sockets:
            seated = self._mailbox.is_seated(number)
            text: bytes | None = None
            async with TimeLimit(SILENT_S if seated else join_by - self._time()):
                text = await socket.receive()
            if text is None:
                return
            slot.use()
            await self._deliver(self._mailbox.receive(number, text, self._time()))

    async def _deliver(self, outgoing: Iterable[OutgoingText]) -> None:
        for out in outgoing:
            socket = self._send(out)
            if socket is None:
                continue
            async with TimeLimit(UNREAD_S) as limit:
                await socket.stream.drain()
            if limit.expired():
                socket.stream.abort()

    def _send(self, out: OutgoingText) -> WebSocket | None:
        socket = self._sockets.get(out.connection)
        if socket is None:
            return None
        if out.last:
            del self._sockets[out.connection]
        try:
            if out.text:
                socket.send(out.text)
            if out.last:
                socket.close()
        except Exception as error:  # of this connection alone, whoever's turn it was
            report_fault("a connection to the mailbox failed", error)
            socket.stream.abort()
        return socket
