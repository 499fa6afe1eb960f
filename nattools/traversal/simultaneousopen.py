"""TCP through both NATs: both sides connect at once (RFC 9293 3.5, figure 7; RFC 5382 REQ-2).

One side's first SYN has a TTL that brings it through the own outermost NAT alone, so that the peer's router
does not refuse it; when the peer calls, that side has a flow. Where the peer's port is predicted or drawn at
random, several ports are tried from one local port, or many local ports are opened, as over UDP. The local
port that the peer was told of listens too: a side that anybody can call just answers.

A connection counts once both sides have proved on it that they know the ICE credentials: they exchange the
checks that ICE makes over UDP, one after the other. The leading side nominates one of them, and none if it
has nominated a pair over UDP: so both sides have the same path.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nattools.chance import chance
from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.net.base import LowTtlSyn, Network, TcpFailure, TcpListener, TcpStream
from nattools.protocols import ice, stun
from nattools.protocols.ice.candidate import priority
from nattools.protocols.ice.checkmessages import (
    Check,
    build_check,
    build_success,
    read_check,
    why_not_believed,
)
from nattools.traversal.budget import Budget
from nattools.traversal.plan.steps import SendSchedule, Step
from nattools.traversal.plan.tcpstrategies import SYN_S, SYNS
from nattools.traversal.sending import ProbeCounts

RETRY_S = 0.2
"""After a refusal: the peer's router may not know of it yet."""
PROOF_S = 4.0
AGREE_S = 9.0
"""Once the other end has proved to be the peer: a lost segment is repeated after 1, 3 and 7 seconds."""
OPENER_S = 0.03
"""As long as a SYN with a low TTL may still be alive. The next one, a second later, is an ordinary one."""
CALLERS = 128
"""Who calls and proves nothing within `PROOF_S` is a stranger; no more than these are heard at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMeeting:
    """Two machines that know of each other and begin at an agreed moment.

    `leads`: exactly one of them nominates the connection to use. `own` and `peer`: both sides' ICE
    credentials. `local`: the local address and port whose external port the peer was told; `remote`: where
    the peer was seen. `claim` is asked before a connection is nominated: False if another path is; `unclaim`
    says that it came to nothing. The SYNs of attempts to connect are taken from `budget`.
    """

    leads: bool
    own: ice.Credentials
    peer: ice.Credentials
    local: Endpoint
    remote: Endpoint
    claim: Callable[[], bool] = lambda: True
    unclaim: Callable[[], None] = lambda: None
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """`stream` is connected and proven, or None, and `reason` says why. `counts.sent` are attempts to
    connect."""

    stream: TcpStream | None
    reason: Statement | None
    counts: ProbeCounts = field(default_factory=ProbeCounts)

    @property
    def connected(self) -> bool:
        """Is there a connection?"""
        return self.stream is not None


async def simultaneous_open(
    network: Network,
    meeting: StreamMeeting,
    step: Step,
    *,
    counts: ProbeCounts | None = None,
    seed: int | None = None,
) -> StreamOutcome:
    """This side's part of a step over TCP, from now on. The leading side has the first schedule. `counts`
    grows meanwhile. `seed` repeats the draw of ports. ValueError: a step that is not over TCP."""
    if step.schedules is None or step.transport != "tcp":
        raise ValueError(f"{step.strategy} over {step.transport} is no step over TCP")
    schedule = step.schedules[0 if meeting.leads else 1]
    return await _Opening(network, meeting, schedule, step.seconds or 0.5, counts or ProbeCounts()).run(seed)


class _Opening:
    def __init__(
        self,
        network: Network,
        meeting: StreamMeeting,
        schedule: SendSchedule,
        lasts_s: float,
        counts: ProbeCounts,
    ) -> None:
        self.network, self.meeting, self.schedule = network, meeting, schedule
        self.counts = counts
        self.loop = asyncio.get_running_loop()
        self.ends = self.loop.time() + lasts_s
        self.chosen: TcpStream | None = None
        self.done = asyncio.Event()
        self.callers: asyncio.Queue[TcpStream] = asyncio.Queue()
        self.calling = 0
        self.failures: list[TcpFailure] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.picked = False

    async def run(self, seed: int | None) -> StreamOutcome:
        draw = chance() if seed is None else random.Random(seed)
        ports = self.schedule.target_ports(self.meeting.remote, draw)
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
        return StreamOutcome(self.chosen, None if self.chosen else self._why(), self.counts)

    def _why(self) -> Statement:
        if self.counts.seen:
            return statement("stream-unconfirmed")
        if self.counts.refused:
            return statement("stream-to-another")
        outcomes = tuple(sorted({failure.outcome for failure in self.failures}))
        return statement("no-stream", outcomes=outcomes or ("no answer",))

    async def _listen(self) -> TcpListener | None:
        """Some systems do not let a port listen and connect at once; then it only connects."""
        with contextlib.suppress(CannotRun):
            return await self.network.listen_tcp(
                family=self.meeting.remote.family,
                host=self.meeting.local.host,
                port=self.meeting.local.port,
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
            stream = await self.callers.get()
            task = self._spawn(group, self._answer_caller(stream))
            task.add_done_callback(partial(self._forget, stream))  # it may be cancelled before it has begun

    def _forget(self, stream: TcpStream, _: asyncio.Task[None]) -> None:
        if stream is not self.chosen:
            stream.abort()

    async def _answer_caller(self, stream: TcpStream) -> None:
        await self._prove(stream)
        self.calling -= 1

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = group.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _attempts(self, group: asyncio.TaskGroup, ports: list[int]) -> None:
        """Each flow once, no faster than the part's rate; what is refused is tried again by itself."""
        schedule = self.schedule
        if schedule.ttl is None:
            await asyncio.sleep(schedule.hold_s)
        locals_ = [0] * schedule.sockets if schedule.fresh else [self.meeting.local.port]
        if schedule.sources is not None:
            locals_ = list(range(schedule.sources[0], schedule.sources[1] + 1))[: schedule.sockets]
        for port in ports:
            for local in locals_:
                self._spawn(group, self._attempt(local, Endpoint(self.meeting.remote.host, port)))
                await asyncio.sleep(1 / schedule.rate_per_s)

    async def _attempt(self, local: int, to: Endpoint) -> None:
        opener = None if self.schedule.ttl is None else LowTtlSyn(self.schedule.ttl, OPENER_S)
        for _ in range(self.schedule.passes):
            left_s = self.ends - self.loop.time()
            if left_s <= 0 or not self._may_try(to):
                return
            self.counts.sent += 1
            try:
                stream = await self.network.connect_tcp(
                    to,
                    host=self.meeting.local.host,
                    port=local,
                    timeout_s=min(left_s, SYN_S),
                    opener=opener,
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

    def _may_try(self, to: Endpoint) -> bool:
        return self.meeting.budget is None or self.meeting.budget.take(to, SYNS)

    async def _prove(self, stream: TcpStream) -> None:
        """Both say a check and answer the other's; the leading one nominates by its check once it picked."""
        try:
            async with asyncio.timeout(PROOF_S) as patience:
                if await self._proven(stream, patience) and self.chosen is None:
                    self.chosen = stream
                    if self.meeting.budget is not None:
                        self.meeting.budget.proven(stream.remote)
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
            self.picked = self.meeting.claim()
            if not self.picked:
                return False
            patience.reschedule(self.loop.time() + AGREE_S)
            sure = False
            try:
                sure = await self._ask(stream, messages, nominate=True)
            finally:
                self.picked = sure
                if not sure:
                    self.meeting.unclaim()
            return sure
        for _ in range(2):
            request = await self._read(messages)
            if request is None or request.kind != "request":
                return False
            patience.reschedule(self.loop.time() + AGREE_S)
            stream.write(build_success(request.transaction_id, stream.remote, self.meeting.own))
            if request.use_candidate:
                await stream.drain()
                return True
        return False

    async def _ask(self, stream: TcpStream, messages: _Messages, *, nominate: bool) -> bool:
        transaction = stun.new_transaction_id()
        check = Check("controlling", 1, priority("prflx", tcp_type="so"), nominate, None, "")
        stream.write(build_check(transaction, check, self.meeting.own.ufrag, self.meeting.peer))
        answer = await self._read(messages)
        return answer is not None and answer.kind == "success" and answer.transaction_id == transaction

    async def _read(self, messages: _Messages) -> stun.Message | None:
        """The peer's next message; None at the end, or if it is not the peer's."""
        data = await messages.next()
        if data is None:
            return None
        message = self._believed(data)
        if message is not None:
            self.counts.seen += 1
        else:
            self.counts.refused += 1
        return message

    def _believed(self, data: bytes) -> stun.Message | None:
        """A check or an answer that the peer, and nobody else, made; None for anything else."""
        own, peer = self.meeting.own, self.meeting.peer
        try:
            message = stun.decode(data)
            if message.kind == "request":
                check = read_check(message, own, peer.ufrag)
                return message if (check.role == "controlled") == self.meeting.leads else None
        except ProtocolError:
            return None
        return message if why_not_believed(message, peer) is None else None


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
