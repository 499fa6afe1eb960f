"""The other side, as an attempt at a connection sees it: somebody to introduce oneself to and to begin each
step with at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from nattools.engine.punch.messages import (
    Again,
    Found,
    Introduction,
    Message,
    Ready,
    Story,
    decode,
    encode,
    endpoint_of,
)
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.traversal.rendezvous import Failure, Rendezvous

SECRET_LABEL = "nattools punch"
STEP_PATIENCE_S = 20.0
INTRODUCTION_PATIENCE_S = 90.0
"""It may still be measuring, or be cut off for a while."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The conversation is over, for this reason."""

    why: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """The other side has begun a later attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Step number `step`, counted from 0, of so many, over this transport."""

    step: int
    of: int
    transport: Transport


class Partner(Protocol):
    """`secret` is known to both sides and to nobody else. `live`: what is said arrives within a round trip,
    so that the sides can begin at the same moment. `attempt` is the one under way, `heard_of` the latest that
    the other side has begun."""

    secret: bytes
    live: bool
    attempt: int
    heard_of: int

    def begin(self, attempt: int) -> None:
        """From now on this attempt counts."""

    def doubt(self) -> None:
        """Something is wrong with the network; the conversation may be broken, too."""

    def settle(self) -> None:
        """All is well; the conversation may be needed again much later."""

    async def within_reach(self) -> Gone | None:
        """Wait until the other side hears at once what is said; or the conversation is over."""

    @property
    def apart(self) -> str:
        """Why it is not within reach, in a sentence."""
        ...

    async def introduce(self, own: Introduction) -> Introduction | Gone | Superseded:
        """Say who we are in this attempt, and hear the same."""

    async def ready(self, attempt: int, turn: Turn, told: Endpoint | None) -> Endpoint | Gone | None:
        """Wait for the moment at which a step begins: where the peer's socket for it is seen, None if the
        peer does not know."""

    def on_candidate(self, attempt: int, take: Callable[[str], None]) -> None:
        """Candidates of the peer that come later are given to `take`."""

    def tell_candidate(self, attempt: int, candidate: str) -> None:
        """One more of ours."""

    async def swap_stories(self, own: Story) -> Story | None:
        """Each side tells how the attempt went; None: the other one does not."""


class MailboxPartner:
    """By a mailbox. Let `run` run; it ends when the conversation does."""

    live = True

    def __init__(self, meeting: Rendezvous) -> None:
        self._meeting = meeting
        self.secret = meeting.export(SECRET_LABEL)
        self.attempt = 0
        self.heard_of = 0
        self._gone: Gone | None = None
        self._changed = asyncio.Event()
        self._introduction: Introduction | None = None
        self._ready: dict[tuple[int, int], Ready] = {}
        self._stories: dict[int, Story] = {}
        self._late: list[Found] = []
        self._take: Callable[[str], None] | None = None

    # --- hearing

    async def run(self) -> None:
        """Hear what the other side says until it has no more to say."""
        while True:
            data = await self._meeting.receive()
            if not isinstance(data, bytes):
                self._gone = Gone(data.detail if isinstance(data, Failure) else "the other side has left")
                self._changed.set()
                return
            try:
                self._hear(decode(data))
            except ProtocolError as error:
                self._gone = Gone(str(error))
                self._changed.set()
                return

    def _hear(self, message: Message) -> None:
        if message.attempt < self.attempt:
            return
        self.heard_of = max(self.heard_of, message.attempt)
        match message:
            case Introduction():
                self._introduction = message
            case Ready():
                if len(self._ready) < 200:
                    self._ready[message.attempt, message.step] = message
            case Story():
                self._stories = {message.attempt: message}
            case Found():
                self._found(message)
            case Again():
                pass
        self._changed.set()

    def _found(self, message: Found) -> None:
        if message.attempt == self.attempt and self._take is not None:
            self._take(message.candidate)
        elif len(self._late) < 16:
            self._late.append(message)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def doubt(self) -> None:
        """Something is wrong with the network; the conversation may be broken, too."""
        self._meeting.doubt()

    def settle(self) -> None:
        """See `Partner`."""
        self._meeting.settle()

    async def within_reach(self) -> Gone | None:
        """See `Partner`."""
        failure = await self._meeting.together()
        if self._gone is None and failure is not None:
            return Gone(failure.detail)
        return self._gone

    @property
    def apart(self) -> str:
        """See `Partner`."""
        return self._meeting.apart

    # --- saying

    def begin(self, attempt: int) -> None:
        """From now on this attempt counts, and what belongs to earlier ones is forgotten."""
        if attempt > self.attempt:
            self._meeting.send(encode(Again(attempt=attempt)))
        self.attempt = attempt
        self._take = None
        self._ready = {key: each for key, each in self._ready.items() if key[0] >= attempt}
        self._late = [each for each in self._late if each.attempt >= attempt]

    async def introduce(self, own: Introduction) -> Introduction | Gone | Superseded:
        """See `Partner`."""
        known = self._introduction is not None and self._introduction.attempt == own.attempt
        self._meeting.send(encode(msgspec.structs.replace(own, second=known)))
        try:
            async with asyncio.timeout(INTRODUCTION_PATIENCE_S):
                return await self._introduced(own.attempt)
        except TimeoutError:
            return Gone("The other side did not say who it is.")

    async def _introduced(self, attempt: int) -> Introduction | Gone | Superseded:
        while True:
            if self._gone is not None:
                return self._gone
            if self.heard_of > attempt:
                return Superseded(self.heard_of)
            heard = self._introduction
            if heard is not None and heard.attempt == attempt:
                return heard
            await self._change()

    async def ready(self, attempt: int, turn: Turn, told: Endpoint | None) -> Endpoint | Gone | None:
        """See `Partner`."""
        self._meeting.send(
            encode(Ready(attempt=attempt, step=turn.step, told=None if told is None else str(told)))
        )
        try:
            async with asyncio.timeout(STEP_PATIENCE_S):
                while (attempt, turn.step) not in self._ready and self._gone is None:
                    await self._change()
        except TimeoutError:
            return Gone("the other side did not come to this step")
        if (attempt, turn.step) not in self._ready:
            return self._gone
        return endpoint_of(self._ready[attempt, turn.step].told)

    def on_candidate(self, attempt: int, take: Callable[[str], None]) -> None:
        """See `Partner`."""
        self._take = take
        for each in [late for late in self._late if late.attempt == attempt]:
            take(each.candidate)
        self._late = [each for each in self._late if each.attempt != attempt]

    def tell_candidate(self, attempt: int, candidate: str) -> None:
        """See `Partner`."""
        self._meeting.send(encode(Found(attempt=attempt, candidate=candidate)))

    async def swap_stories(self, own: Story) -> Story | None:
        """See `Partner`."""
        self._meeting.send(encode(own))
        while own.attempt not in self._stories and self._gone is None:
            await self._change()
        return self._stories.get(own.attempt)
