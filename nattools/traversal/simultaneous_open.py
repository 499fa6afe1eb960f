"""TCP through both NATs: both sides connect at once (RFC 9293 3.5, figure 7; RFC 5382 REQ-2).

One side's first SYN has a TTL that brings it through the own outermost NAT alone, so that the peer's router
does not refuse it; when the peer calls, that side has a flow. Where the peer's port is foretold or drawn at
random, several ports are tried from one local port, or many local ports are opened, as over UDP. The told
local port listens too: a side that anybody can call just answers.

A connection counts once both sides proved on it that they know the secret; the leading side picks one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, Opener, TcpFailure, TcpListener, TcpStream
from nattools.protocols import stun
from nattools.protocols.stun.constants import USE_CANDIDATE
from nattools.traversal.checks import Checks
from nattools.traversal.meeting import Counts
from nattools.traversal.steps import Part
from nattools.traversal.volley import targets

RETRY_S = 0.2
"""After a refusal: the peer's router may not know of it yet."""
PROOF_S = 4.0
AGREE_S = 9.0
"""Once the other end has proved to be the peer: a lost segment is repeated after 1, 3 and 7 seconds."""
OPENER_S = 0.03
"""As long as a SYN with a low TTL may still be alive. The next one, a second later, is an ordinary one."""
CALLERS = 128
"""Who calls and proves nothing within `PROOF_S` is a stranger; no more than these are heard at a time."""


@dataclass(frozen=True, slots=True)
class StreamMeeting:
    """As `Meeting`, over TCP: `port` is the local port whose outside port the peer was told; `host` the
    local address (None: the system's choice)."""

    secret: bytes
    leads: bool
    port: int
    peer: Endpoint
    host: str | None = None


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """`stream` is connected and proven, or None, and `reason` says why. `counts.sent` are attempts to
    connect."""

    stream: TcpStream | None
    reason: str
    elapsed_s: float
    counts: Counts = field(default_factory=Counts)

    @property
    def connected(self) -> bool:
        """Is there a connection?"""
        return self.stream is not None


async def simultaneous_open(
    network: Network, meeting: StreamMeeting, part: Part, *, lasts_s: float, seed: int | None = None
) -> StreamOutcome:
    """This side's part, from now on, for `lasts_s` seconds at most. `seed` repeats the draw of ports."""
    return await _Opening(network, meeting, part, lasts_s).run(seed)


class _Opening:
    def __init__(self, network: Network, meeting: StreamMeeting, part: Part, lasts_s: float) -> None:
        self.network, self.meeting, self.part = network, meeting, part
        self.checks = Checks(meeting.secret, leads=meeting.leads)
        self.counts = Counts()
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self.ends = self.started + lasts_s
        self.chosen: TcpStream | None = None
        self.done = asyncio.Event()
        self.callers: asyncio.Queue[TcpStream] = asyncio.Queue()
        self.calling = 0
        self.failures: list[TcpFailure] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.picked = False

    async def run(self, seed: int | None) -> StreamOutcome:
        draw = random.SystemRandom() if seed is None else random.Random(seed)
        ports = targets(self.part, self.meeting.peer, draw)
        listener = await self._listen()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._answer_callers(group)),
                    group.create_task(self._attempts(group, ports)),
                ]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self.ends):
                        await self.done.wait()
                for task in (*tasks, *self.tasks):
                    task.cancel()
        finally:
            if listener is not None:
                listener.close()
            while not self.callers.empty():
                self.callers.get_nowait().abort()
        elapsed = self.loop.time() - self.started
        return StreamOutcome(self.chosen, "" if self.chosen else self._why(), elapsed, self.counts)

    def _why(self) -> str:
        if self.counts.seen:
            return "A connection came about, but the peer did not confirm that it uses it."
        if self.counts.refused:
            return "A connection came about, but not with the peer."
        outcomes = sorted({failure.outcome for failure in self.failures})
        return f"No attempt to connect came through ({', '.join(outcomes) or 'no answer'})."

    async def _listen(self) -> TcpListener | None:
        """Some systems do not let a port listen and connect at once; then it only connects."""
        with contextlib.suppress(CannotRun):
            return await self.network.listen_tcp(
                family=self.meeting.peer.family,
                host=self.meeting.host,
                port=self.meeting.port,
                on_stream=self._called,
            )
        return None

    def _called(self, stream: TcpStream) -> None:
        if self.calling >= CALLERS or self.done.is_set():
            stream.abort()
            return
        self.calling += 1
        self.callers.put_nowait(stream)

    async def _answer_callers(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._spawn(group, self._answer_caller(await self.callers.get()))

    async def _answer_caller(self, stream: TcpStream) -> None:
        await self._prove(stream)
        self.calling -= 1

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        task = group.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _attempts(self, group: asyncio.TaskGroup, ports: list[int]) -> None:
        """Each flow once, no faster than the part's rate; what is refused is tried again by itself."""
        part = self.part
        if part.ttl is None:
            await asyncio.sleep(part.hold_s)
        locals_ = [0] * part.sockets if part.fresh else [self.meeting.port]
        if part.sources is not None:
            locals_ = list(range(part.sources[0], part.sources[1] + 1))[: part.sockets]
        for port in ports:
            for local in locals_:
                self._spawn(group, self._attempt(local, Endpoint(self.meeting.peer.host, port)))
                await asyncio.sleep(1 / part.rate_per_s)

    async def _attempt(self, local: int, to: Endpoint) -> None:
        opener = None if self.part.ttl is None else Opener(self.part.ttl, OPENER_S)
        for _ in range(self.part.passes):
            left_s = self.ends - self.loop.time()
            if left_s <= 0:
                return
            self.counts.sent += 1
            try:
                stream = await self.network.connect_tcp(
                    to, host=self.meeting.host, port=local, timeout_s=left_s, opener=opener
                )
            except CannotRun:
                self.counts.unsent += 1
                return
            if not isinstance(stream, TcpFailure):
                await self._prove(stream)
            else:
                self.failures.append(stream)
            opener = None
            await asyncio.sleep(RETRY_S)

    async def _prove(self, stream: TcpStream) -> None:
        """Both say a check and answer the other's; the leading one nominates by its check once it picked."""
        try:
            async with asyncio.timeout(PROOF_S) as patience:
                if await self._proven(stream, patience) and self.chosen is None:
                    self.chosen = stream
                    self.done.set()
        except (TimeoutError, ProtocolError):
            self.counts.refused += 1
        finally:
            if self.chosen is not stream:
                stream.abort()

    async def _proven(self, stream: TcpStream, patience: asyncio.Timeout) -> bool:
        messages = _Messages(stream)
        if self.meeting.leads:
            if not await self._ask(stream, messages, nominate=False) or self.picked:
                return False
            self.picked = True
            patience.reschedule(self.loop.time() + AGREE_S)
            try:
                sure = await self._ask(stream, messages, nominate=True)
            finally:
                self.picked = self.chosen is not None
            return sure
        for _ in range(2):
            request = await self._read(messages)
            if request is None or request.kind != "request":
                return False
            patience.reschedule(self.loop.time() + AGREE_S)
            stream.write(self.checks.answer(request, stream.remote))
            if request.get(USE_CANDIDATE) is not None:
                await stream.drain()
                return True
        return False

    async def _ask(self, stream: TcpStream, messages: _Messages, *, nominate: bool) -> bool:
        transaction = stun.new_transaction_id()
        stream.write(self.checks.request(transaction, nominate=nominate))
        answer = await self._read(messages)
        return answer is not None and answer.kind == "success" and answer.transaction_id == transaction

    async def _read(self, messages: _Messages) -> stun.Message | None:
        """The peer's next message; None at the end, or if it is not the peer's."""
        data = await messages.next()
        message = None if data is None else self.checks.read(data)
        if message is not None:
            self.counts.seen += 1
        elif data is not None:
            self.counts.refused += 1
        return message


class _Messages:
    """The STUN messages that arrive on a stream. What the peer says behind the last one, as soon as it has
    chosen this stream, stays there for whoever uses it next."""

    def __init__(self, stream: TcpStream) -> None:
        self._stream = stream
        self._framer = stun.Framer()
        self._waiting: list[bytes] = []

    async def next(self) -> bytes | None:
        """The next one, None at the end. ProtocolError: what arrives is not STUN."""
        while not self._waiting:
            data = await self._stream.read(self._framer.missing)
            if not data:
                return None
            self._waiting += self._framer.feed(data)
        return self._waiting.pop(0)
