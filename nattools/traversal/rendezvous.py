"""Two peers meet in a mailbox: the async side of `protocols.mailbox`, over any network.

The connection to the mailbox may break, the mailbox may restart, and a room may expire: the peers come back,
and repeat what the other has not acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Literal

from nattools.model.statement import Statement, statement
from nattools.net.base import Network
from nattools.net.web.websocket import WebSocket
from nattools.protocols import mailbox
from nattools.protocols.mailbox import MailboxClient, MailboxFailure
from nattools.traversal.codes import Code
from nattools.traversal.mailboxconnection import MailboxAddress, open_mailbox
from nattools.traversal.relayaccess import TurnAccess, offered

logger = logging.getLogger(__name__)

_PING_S: Final = 20.0
_PONG_S: Final = 10.0
_DOUBT_S: Final = 3.0
_JOIN_S: Final = 10.0
_SETTLED_S: Final = 10.0
"""A mailbox that ends connections sooner is come back to ever more slowly."""
_BACK_OFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_LONGEST_BACK_OFF_S: Final = 30.0
_MAX_UNREAD: Final = 256

RendezvousStage = Literal["connecting", "open", "met", "confirmed", "interrupted", "ended", "failed"]


@dataclass(frozen=True, slots=True)
class RendezvousTimeouts:
    """How many seconds to try to come back to a mailbox that is gone: `kept_s` once the other side is
    confirmed, `return_s` before. The first connection has to succeed within `first_s`."""

    first_s: float = 15.0
    return_s: float = 60.0
    kept_s: float = 60.0


class Rendezvous:
    """A conversation with the peer that has the same code. Use `rendezvous(...)` to make one. `relays`:
    what the mailbox offers for the two, once the peer has come.

    Only one coroutine should wait in `receive`.
    """

    def __init__(
        self,
        network: Network,
        address: MailboxAddress,
        code: Code,
        patience: RendezvousTimeouts | None = None,
    ) -> None:
        self.failure: MailboxFailure | None = None
        self.relays: tuple[TurnAccess, ...] = ()
        self._network = network
        self._address = address
        self._code = code
        self._patience = patience or RendezvousTimeouts()
        self._client = MailboxClient(code.secret, code.nameplate)
        self._socket: WebSocket | None = None
        self._unread: deque[bytes] = deque()
        self._ended = False
        self._over = False
        self._opened = False
        self._problem = ""
        self._reached: set[RendezvousStage] = set()
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self._doubted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    # For the one who converses.

    async def opened(self) -> Code | MailboxFailure:
        """Wait for the room: the code, with the nameplate that the mailbox chose if the code had none."""
        await self._until(lambda: self.has_reached("open"))
        if self.failure is not None or self._client.nameplate is None:
            return self._why()
        return Code(self._client.nameplate, self._code.words)

    async def confirmed(self) -> MailboxFailure | None:
        """Wait for a peer with the same code; bound the wait from outside."""
        await self._until(lambda: self._client.confirmed)
        return None if self._client.confirmed and self.failure is None else self._why()

    async def receive(self) -> bytes | MailboxFailure | None:
        """The peer's next message, authentic and in order; None: it said that it is done."""
        await self._until(lambda: bool(self._unread) or self._ended)
        if self._unread:
            return self._unread.popleft()
        return self._why() if self.failure is not None else None

    def send(self, payload: bytes) -> bool:
        """Send to the peer, at most `mailbox.MAX_PAYLOAD` bytes; before it is confirmed it waits.

        False: too much is on its way, or the conversation is over."""
        sent = self._client.send(payload)
        self._after()
        return sent

    def doubt(self) -> None:
        """The network has changed, or a path through it broke: ask the mailbox now whether it is there, and
        connect anew if it does not say so soon."""
        self._doubted.set()

    async def renew_relays(self) -> None:
        """Come in again, so that the mailbox offers relays anew to both; at once if it can be reached."""
        before = self.relays
        if self._socket is not None:
            self._socket.stream.abort()
        await self._until(lambda: self.relays is not before)

    def settle(self) -> None:
        """All is quiet: move into the room that follows from the key, where it may last for any time."""
        self._client.settle(self._loop.time())
        self._after()

    async def together(self) -> MailboxFailure | None:
        """Wait until both sides are in the room, so that each hears at once what the other says."""
        await self._until(lambda: self._client.together)
        return None if self._client.together else self._why()

    @property
    def alone(self) -> bool:
        """Is this side in the room, and the other one not?"""
        return self._socket is not None and self._opened and not self._client.together

    @property
    def apart(self) -> Statement:
        """Why they are not together."""
        if self._socket is None and self._problem:
            return self._unreachable(self._problem)
        return statement("mailbox-peer-absent")

    def _unreachable(self, problem: str) -> Statement:
        return statement("mailbox-unreachable", mailbox=str(self._address), problem=problem)

    def export(self, label: str, size: int = 32) -> bytes:
        """Key material that only the confirmed peer has too: binds a connection to this code."""
        return self._client.export(label, size)

    def has_reached(self, stage: RendezvousStage) -> bool:
        """Was this stage reached?"""
        return stage in self._reached

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, or the conversation is over."""
        while not condition() and self.failure is None and not self._over:
            self._changed.clear()
            await self._changed.wait()

    # The driver.

    async def run(self) -> None:
        """Converse with the mailbox until the conversation is over; see `rendezvous`."""
        try:
            await self._come_and_stay()
        finally:
            self._over = True
            self._changed.set()

    def close(self) -> None:
        """Say goodbye to the peer and the mailbox. Idempotent."""
        self._client.end()
        self._after()

    async def _come_and_stay(self) -> None:
        lost_at, patience_s = self._loop.time(), self._patience.first_s
        attempt = 0
        while not self._over:
            if attempt == 0:
                self._note("connecting")
            within_s = lost_at + patience_s - self._loop.time()
            socket = await open_mailbox(self._network, self._address, within_s)
            self._problem = socket if isinstance(socket, str) else ""
            if isinstance(socket, WebSocket):
                began = self._loop.time()
                if await self._stay(socket):
                    lost_at = self._loop.time()
                    attempt = 0 if lost_at - began >= _SETTLED_S else attempt
                    patience_s = self._patience.kept_s if self._client.confirmed else self._patience.return_s
                else:
                    self._problem = "it opens no room"
            elif attempt + 1 >= len(_BACK_OFF_S) and not self.has_reached("open"):
                return self._give_up(self._problem)
            if self._client.over:
                return
            away_s = self._loop.time() - lost_at
            wait_s = _back_off_s(attempt, away_s)
            if away_s + wait_s >= patience_s:
                return self._give_up(self._problem or "it ends every connection")
            attempt += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._doubted.wait()
            self._doubted.clear()

    async def _stay(self, socket: WebSocket) -> bool:
        """Converse on this connection until it ends or goes silent. Was the room open on it?"""
        self._socket = socket
        self._opened = False
        self._heard_at = self._loop.time()
        self._client.connected()
        self._after()
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(socket))
                await self._listen(socket)
                watch.cancel()
        finally:
            moves = self._client.away
            self._socket = None
            self._client.disconnected()
            socket.close()
            if not (self._client.over or moves):
                self._note("interrupted")
        return self._opened

    async def _listen(self, socket: WebSocket) -> None:
        while not (self._client.over or self._client.away):
            text = await socket.receive()
            if text is None:
                return
            self._heard_at = self._loop.time()
            self._client.receive(text, self._heard_at)
            self._after()
            await socket.stream.drain()

    async def _watch(self, socket: WebSocket) -> None:
        """Ask a silent mailbox for a sign of life, leave one that opens no room, and mind the client's
        deadline."""
        asked_at: float | None = None
        patience_s = _PONG_S
        join_by = self._loop.time() + _JOIN_S
        while True:
            now = self._loop.time()
            if not self._opened and now >= join_by:
                return socket.stream.abort()
            if asked_at is not None and self._heard_at >= asked_at:
                asked_at = None
            if asked_at is not None and now >= asked_at + patience_s:
                return socket.stream.abort()
            if asked_at is None and (self._doubted.is_set() or now >= self._heard_at + _PING_S):
                patience_s = _DOUBT_S if self._doubted.is_set() else _PONG_S
                socket.ping()
                asked_at = now
            self._doubted.clear()
            until = self._heard_at + _PING_S if asked_at is None else asked_at + patience_s
            until = until if self._opened else min(until, join_by)
            deadline = self._client.next_timeout()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(until, until if deadline is None else deadline, now + 5)):
                    await self._doubted.wait()
            self._client.handle_timeout(self._loop.time())
            self._after()

    def _after(self) -> None:
        """Send what the client has to say, and take what it noticed."""
        for event in self._client.events():
            self._take(event)
        if self._client.together:
            self._changed.set()
        if self._socket is None:
            return
        for text in self._client.texts_to_send():
            self._socket.send(text)
        if self._client.over or self._client.away:
            self._socket.close()

    def _take(self, event: mailbox.Event) -> None:
        match event:
            case mailbox.RoomOpened():
                self._opened = True
                self._note("open")
            case mailbox.PeerHere():
                self._note("met")
            case mailbox.RelayOffered(offer):
                address = self._address
                self.relays = offered(
                    offer, address.host, address.port, tls=address.tls is not None, now=self._loop.time()
                )
                self._changed.set()
            case mailbox.PeerLost():
                self._note("interrupted")
            case mailbox.Confirmed():
                self._note("confirmed")
            case mailbox.Received(payload):
                self._keep(payload)
            case mailbox.PeerDone():
                self._ended = True
                self._note("ended")
            case mailbox.MailboxFailure():
                self._fail(event)

    def _keep(self, payload: bytes) -> None:
        if len(self._unread) >= _MAX_UNREAD:
            self._client.end()
            self._fail(MailboxFailure("flood", statement("mailbox-flood")))
            return
        self._unread.append(payload)
        self._changed.set()

    def _give_up(self, problem: str) -> None:
        self._client.end()
        self._fail(MailboxFailure("unreachable", self._unreachable(problem)))

    def _fail(self, failure: MailboxFailure) -> None:
        self.failure = failure
        self._note("failed")

    def _note(self, stage: RendezvousStage) -> None:
        logger.debug("mailbox at %s: %s", self._address, stage)
        self._reached.add(stage)
        self._changed.set()

    def _why(self) -> MailboxFailure:
        return self.failure or MailboxFailure("left", statement("mailbox-over"))


def _back_off_s(attempt: int, away_s: float) -> float:
    """Ever longer, up to a tenth of the time that it has been away."""
    step_s = _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
    return max(step_s, min(away_s / 10, _LONGEST_BACK_OFF_S))


@contextlib.asynccontextmanager
async def rendezvous(
    network: Network, address: MailboxAddress, code: Code, patience: RendezvousTimeouts | None = None
) -> AsyncIterator[Rendezvous]:
    """Open or join the room of a code, and leave it at the end of the block."""
    meeting = Rendezvous(network, address, code, patience)
    problem: Exception | None = None
    async with asyncio.TaskGroup() as group:
        running = group.create_task(meeting.run())
        try:
            yield meeting
        except Exception as error:  # raised again below, not as one of a group
            problem = error
        finally:
            meeting.close()
            running.cancel()
    if problem is not None:
        raise problem
