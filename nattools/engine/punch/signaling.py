"""The conversation of the two sides before they are connected (signaling, as RFC 8445 calls it), in a mailbox
or by other means."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from nattools.engine.punch.signals import (
    A_PATH,
    AttemptAim,
    AttemptBegun,
    Introduction,
    LateCandidate,
    Message,
    RemoteTimeline,
    StepReady,
    decode,
    encode,
    endpoint_of,
)
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.statement import Statement, statement
from nattools.protocols.mailbox import MailboxFailure
from nattools.traversal.relayaccess import AnyAccess
from nattools.traversal.rendezvous import Rendezvous

T = TypeVar("T")
CandidateHandler = Callable[[str, str], None]
"""(candidate, its relay's URI or "")."""
SECRET_LABEL = "nattools punch"
STEP_PATIENCE_S = 20.0
INTRODUCTION_PATIENCE_S = 90.0
"""It may still be measuring, or be cut off for a while."""
GONE_S = 8.0
LOOK_S = 0.5
"""Who is away for so long is not just between two connections to the mailbox; looked at so often."""


@dataclass(frozen=True, slots=True)
class SignalingEnded:
    """The conversation is over, for these reasons."""

    reasons: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Superseded:
    """The peer has begun a later attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StepPosition:
    """Step number `step`, counted from 0, of so many, over this transport."""

    step: int
    of: int
    transport: Transport


class PeerConversation(ABC):
    """What there is with a peer beside the connection itself; what is not overridden is as if nothing more
    could be said. `secret` is known to both sides and to nobody else. `live`: messages arrive within a round
    trip. `attempt` is the one under way, `heard_of` the latest that the peer has begun, and `heard_aim`
    what that is for."""

    live = False

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.attempt = self.heard_of = 0
        self.heard_aim = A_PATH

    @property
    def relays(self) -> tuple[AnyAccess, ...]:
        """What the mailbox offers for the two."""
        return ()

    async def renew_relays(self) -> None:  # noqa: B027
        """Have the mailbox offer relays again, with new credentials."""

    def doubt(self) -> None:  # noqa: B027
        """Something is wrong with the network; the conversation may be broken, too."""

    def settle(self) -> None:  # noqa: B027
        """The connection is quiet; the conversation may be needed again much later."""

    async def within_reach(self) -> SignalingEnded | None:
        """Wait until the peer gets at once what is sent; or the conversation is over."""
        return None

    @property
    @abstractmethod
    def apart(self) -> Statement:
        """Why the peer is not within reach."""

    async def exchange_timelines(self, own: RemoteTimeline) -> RemoteTimeline | None:
        """Exchange how the attempt went; None: the peer does not tell."""
        return None


class Signaling(PeerConversation):
    """One in which the two introduce themselves and agree on what to try. Where it is not `live`, the sides
    begin a step within `apart_s`."""

    apart_s = 0.0

    def begin(self, attempt: int, aim: AttemptAim = A_PATH) -> None:
        """From now on this attempt counts, and what belongs to earlier ones is forgotten."""

    @abstractmethod
    async def introduce(self, own: Introduction) -> Introduction | SignalingEnded | Superseded:
        """Exchange the introductions of an attempt."""

    @abstractmethod
    async def ready(
        self, attempt: int, position: StepPosition, told: Endpoint | None
    ) -> Endpoint | SignalingEnded | None:
        """Wait for the moment at which a step begins: where the peer's socket for it is seen, None if the
        peer does not know. `told`: where ours is."""

    def on_candidate(self, attempt: int, take: CandidateHandler) -> None:
        """`take` gets candidates of the peer that come later."""

    def tell_candidate(self, attempt: int, candidate: str, relay: str = "") -> None:
        """One more of ours."""


class MailboxSignaling(Signaling):
    """In a mailbox. Let `run` run; it ends when the conversation does."""

    live = True

    def __init__(self, meeting: Rendezvous) -> None:
        super().__init__(meeting.export(SECRET_LABEL))
        self._meeting = meeting
        self._ended: SignalingEnded | None = None
        self._changed = asyncio.Event()
        self._introduction: Introduction | None = None
        self._ready: dict[tuple[int, int], StepReady] = {}
        self._timelines: dict[int, RemoteTimeline] = {}
        self._late: list[LateCandidate] = []
        self._take: CandidateHandler | None = None

    # --- hearing

    async def run(self) -> None:
        """Take the peer's messages until the conversation is over."""
        while True:
            data = await self._meeting.receive()
            if not isinstance(data, bytes):
                left = statement("mailbox-peer-left")
                return self._end(data.statement if isinstance(data, MailboxFailure) else left)
            try:
                self._hear(decode(data))
            except ProtocolError as error:
                return self._end(statement("peer-unknown-message", problem=str(error)))

    def _end(self, reason: Statement) -> None:
        self._ended = SignalingEnded((reason,))
        self._changed.set()

    def _hear(self, message: Message) -> None:
        if message.attempt < self.attempt:
            return
        if message.attempt > self.heard_of:
            self.heard_of, self.heard_aim = message.attempt, A_PATH
        match message:
            case Introduction():
                self._introduction = message
            case StepReady():
                if len(self._ready) < 200:
                    self._ready[message.attempt, message.step] = message
            case RemoteTimeline():
                self._timelines = {message.attempt: message}
            case LateCandidate():
                self._found(message)
            case AttemptBegun():
                if message.attempt == self.heard_of:
                    self.heard_aim = message.aim
        self._changed.set()

    def _found(self, message: LateCandidate) -> None:
        if message.attempt == self.attempt and self._take is not None:
            self._take(message.candidate, message.relay)
        elif len(self._late) < 16:
            self._late.append(message)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def doubt(self) -> None:
        self._meeting.doubt()

    def settle(self) -> None:
        self._meeting.settle()

    async def within_reach(self) -> SignalingEnded | None:
        failure = await self._meeting.together()
        if self._ended is None and failure is not None:
            return SignalingEnded((failure.statement,))
        return self._ended

    @property
    def apart(self) -> Statement:
        return self._meeting.apart

    @property
    def relays(self) -> tuple[AnyAccess, ...]:
        return self._meeting.relays

    async def renew_relays(self) -> None:
        await self._meeting.renew_relays()

    # --- saying

    def begin(self, attempt: int, aim: AttemptAim = A_PATH) -> None:
        if attempt > self.attempt:
            self._meeting.send(encode(AttemptBegun(attempt=attempt, search=aim.search, renews=aim.renews)))
        self.attempt = attempt
        self._take = None
        self._ready = {key: each for key, each in self._ready.items() if key[0] >= attempt}
        self._late = [each for each in self._late if each.attempt >= attempt]

    async def introduce(self, own: Introduction) -> Introduction | SignalingEnded | Superseded:
        known = self._introduction is not None and self._introduction.attempt == own.attempt
        self._meeting.send(encode(msgspec.structs.replace(own, second=known)))
        answer = await self._while_there(self._introduced(own.attempt), INTRODUCTION_PATIENCE_S)
        return answer or SignalingEnded((statement("mailbox-peer-silent"),))

    async def _while_there(
        self, hearing: Coroutine[Any, Any, T], patience_s: float
    ) -> T | SignalingEnded | None:
        """What is heard of the peer; None: nothing in time. Who has left the room does not say anything."""
        async with asyncio.TaskGroup() as group:
            tasks = (group.create_task(hearing), group.create_task(self._left()))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=patience_s)
            for task in tasks:
                task.cancel()
        return next((task.result() for task in tasks if not task.cancelled()), None)

    async def _left(self) -> SignalingEnded:
        """Until the peer has been away for too long."""
        away_s = 0.0
        while away_s < GONE_S:
            await asyncio.sleep(LOOK_S)
            away_s = away_s + LOOK_S if self._meeting.alone else 0.0
        return SignalingEnded((statement("mailbox-peer-gone", limit_s=GONE_S),))

    async def _introduced(self, attempt: int) -> Introduction | SignalingEnded | Superseded:
        while True:
            if self._ended is not None:
                return self._ended
            if self.heard_of > attempt:
                return Superseded(self.heard_of)
            heard = self._introduction
            if heard is not None and heard.attempt == attempt:
                return heard
            await self._change()

    async def ready(
        self, attempt: int, position: StepPosition, told: Endpoint | None
    ) -> Endpoint | SignalingEnded | None:
        self._meeting.send(
            encode(StepReady(attempt=attempt, step=position.step, told=None if told is None else str(told)))
        )
        ready = await self._while_there(self._at(attempt, position.step), STEP_PATIENCE_S)
        if isinstance(ready, StepReady):
            return endpoint_of(ready.told)
        return ready or SignalingEnded((statement("peer-not-at-step"),))

    async def _at(self, attempt: int, step: int) -> StepReady | SignalingEnded:
        while (attempt, step) not in self._ready and self._ended is None:
            await self._change()
        return self._ready.get((attempt, step)) or self._ended or SignalingEnded(())

    def on_candidate(self, attempt: int, take: CandidateHandler) -> None:
        self._take = take
        for each in [late for late in self._late if late.attempt == attempt]:
            take(each.candidate, each.relay)
        self._late = [each for each in self._late if each.attempt != attempt]

    def tell_candidate(self, attempt: int, candidate: str, relay: str = "") -> None:
        self._meeting.send(encode(LateCandidate(attempt=attempt, candidate=candidate, relay=relay)))

    async def exchange_timelines(self, own: RemoteTimeline) -> RemoteTimeline | None:
        self._meeting.send(encode(own))
        while own.attempt not in self._timelines and self._ended is None:
            await self._change()
        return self._timelines.get(own.attempt)
