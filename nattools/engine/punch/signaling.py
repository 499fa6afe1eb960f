"""What the two sides tell each other before they are connected (signaling, as RFC 8445 calls it): the
messages, JSON within an encrypted conversation, and the conversation in a mailbox.

The peer is known to have the code, no more: what it sends is bounded and checked like any stranger's.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport, parse_endpoint
from nattools.model.nat import Nat, NatByTransport
from nattools.model.punch import Stage
from nattools.model.statement import Statement, statement
from nattools.protocols.mailbox import MAX_PAYLOAD, MailboxFailure
from nattools.traversal.relayaccess import AnyAccess
from nattools.traversal.rendezvous import Rendezvous

VERSION: Final = 1
MAX_CANDIDATES: Final = 48
MAX_STAGES: Final = 60
MAX_ATTEMPTS: Final = 1_000_000
Relaying = Literal["reserve", "only", "never"]
"""When nothing direct works; whatever else works; not at all."""

T = TypeVar("T")
CandidateHandler = Callable[[str, str], None]
"""(candidate, its relay's URI or "")."""
Short = Annotated[str, Meta(max_length=512)]
Number = Annotated[int, Meta(ge=0, le=MAX_ATTEMPTS)]


class Introduction(msgspec.Struct, frozen=True, kw_only=True, tag="introduction"):
    """All that the peer plans with. `attempt` counts from 0 as connections are lost and made again. The side
    with the larger `nonce` leads. `candidates` as text (RFC 8839 5.1); `asks_router`: a router may still
    map one more. `resumes`: the secure connection of the attempt before is
    there and only lacks a path. `udp` and `tcp`: what this side is willing to use. `second`: it knew the
    other introduction already, and sends its first packets now. `relaying`: when this side is willing to use
    a relay, and `relay` the URI of one that it can use itself."""

    version: int = VERSION
    program: Short = ""
    attempt: Number = 0
    nonce: Annotated[int, Meta(ge=0, lt=2**62)]
    nat: NatByTransport
    low_ports: bool = False
    udp: bool = True
    tcp: bool = True
    asks_router: bool = False
    resumes: bool = False
    ufrag: Short
    password: Short
    candidates: Annotated[tuple[Short, ...], Meta(max_length=MAX_CANDIDATES)] = ()
    second: bool = False
    relaying: Relaying = "reserve"
    relay: Short = ""


class LateCandidate(msgspec.Struct, frozen=True, kw_only=True, tag="candidate"):
    """One more candidate of an attempt; of a relayed one `relay` is the relay's URI."""

    attempt: Number
    candidate: Short
    relay: Short = ""


class StepReady(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """This side has what it needs for a step of the plan, which begins when both have sent and received this.
    `told`: where a server sees the socket for it, None if no server answered."""

    attempt: Number
    step: Annotated[int, Meta(ge=0, le=99)]
    told: Short | None = None


class AttemptBegun(msgspec.Struct, frozen=True, kw_only=True, tag="again"):
    """The connection is lost here, and this attempt at a new one has begun; or it is relayed, and this is the
    `search`th attempt at a direct one."""

    attempt: Number
    search: Number = 0


class RemoteTimeline(msgspec.Struct, frozen=True, kw_only=True, tag="story"):
    """What happened on this side, for the timeline of the other; times since the attempt began here."""

    attempt: Number
    stages: Annotated[tuple[Stage, ...], Meta(max_length=MAX_STAGES)] = ()


def remote_timeline(attempt: int, stages: tuple[Stage, ...]) -> RemoteTimeline:
    """As much of what happened as fits into one message."""
    kept = stages[:MAX_STAGES]
    while len(encode(message := RemoteTimeline(attempt=attempt, stages=kept))) > MAX_PAYLOAD:
        kept = kept[: len(kept) * 3 // 4]
    return message


Message = Introduction | LateCandidate | StepReady | AttemptBegun | RemoteTimeline

_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """The bytes to send."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """What the peer sent. ProtocolError: this version knows no such message."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(str(error)) from None


def endpoint_of(text: str | None) -> Endpoint | None:
    """An address and a port as the peer wrote them; None for anything else."""
    if text is None:
        return None
    try:
        return parse_endpoint(text)
    except ValueError:
        return None


def without_evidence(nat: NatByTransport) -> NatByTransport:
    """What a peer needs to know of a network to plan, and no more."""
    return nat.each(_bare)


def _bare(nat: Nat) -> Nat:
    return msgspec.structs.replace(
        nat,
        external=nat.external if nat.pooling == "arbitrary" else (),
        layers=(),
        unknowns={},
        unknown_reasons={},
        evidence={},
        cgnat=None,
        double_nat=None,
    )


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


class Signaling(ABC):
    """The conversation with the peer; what is not overridden is as if nothing more could be said. `secret` is
    known to both sides and to nobody else. `live`: messages arrive within a round trip, so the sides can
    begin at the same moment, else within `apart_s`. `attempt` is the one under way, `heard_of` the latest
    that the peer has begun, and `heard_search` is above 0 if that is for a direct path instead of a relayed
    one."""

    live = False
    apart_s = 0.0

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.attempt = self.heard_of = self.heard_search = 0

    @property
    def relays(self) -> tuple[AnyAccess, ...]:
        """What the mailbox offers for the two."""
        return ()

    def begin(self, attempt: int, search: int = 0) -> None:  # noqa: B027
        """From now on this attempt counts, and what belongs to earlier ones is forgotten. `search`: as in
        `AttemptBegun`."""

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

    @abstractmethod
    async def introduce(self, own: Introduction) -> Introduction | SignalingEnded | Superseded:
        """Exchange the introductions of an attempt."""

    @abstractmethod
    async def ready(
        self, attempt: int, position: StepPosition, told: Endpoint | None
    ) -> Endpoint | SignalingEnded | None:
        """Wait for the moment at which a step begins: where the peer's socket for it is seen, None if the
        peer does not know. `told`: where ours is."""

    def on_candidate(self, attempt: int, take: CandidateHandler) -> None:  # noqa: B027
        """`take` gets candidates of the peer that come later."""

    def tell_candidate(self, attempt: int, candidate: str, relay: str = "") -> None:  # noqa: B027
        """One more of ours."""

    async def exchange_timelines(self, own: RemoteTimeline) -> RemoteTimeline | None:
        """Exchange how the attempt went; None: the peer does not tell."""
        return None


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
            self.heard_of, self.heard_search = message.attempt, 0
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
                    self.heard_search = message.search
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

    # --- saying

    def begin(self, attempt: int, search: int = 0) -> None:
        if attempt > self.attempt:
            self._meeting.send(encode(AttemptBegun(attempt=attempt, search=search)))
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
