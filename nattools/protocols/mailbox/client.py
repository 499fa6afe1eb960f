"""A peer's side of the mailbox, pure: what to say, and what to make of what is heard.

The mailbox is not trusted. It can withhold and it can end the conversation; whatever else it does is detected
and named. After a failure nothing more is sent but the goodbye, and the code is used up: a peer makes one
SPAKE2 exchange in its life, so that whoever guesses at the code has one guess.

A conversation that lasts moves from the code's room into another, whose number follows from the key.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.model.statement import Statement, statement
from nattools.protocols.mailbox import messages as m
from nattools.protocols.mailbox.keys import Agreement, Channel
from nattools.protocols.mailbox.messages import (
    Confirmed,
    Event,
    MailboxFailure,
    PeerDone,
    PeerHere,
    PeerLost,
    Reason,
    Received,
    RelayOffered,
    RoomOpened,
)

CONFIRM_WITHIN_S: Final = 30.0
MAX_UNACKNOWLEDGED: Final = 64
_ACKNOWLEDGE_EVERY: Final = 16
_MAX_HEARD: Final = 1024
"""Messages from the mailbox without a new and authentic one among them; and one more each second."""
_PASSING: Final = frozenset(("expired", "full", "rate", "taken"))
"""Why a mailbox may close a connection to a peer who can go on all the same, now or later."""

_CLOSINGS: Final[dict[m.Closing, Reason]] = {"left": "left", "wrong-code": "wrong-code", "failed": "left"}
"""What a closed room means; with any other reason the mailbox refuses."""


@dataclass(slots=True)
class _Inbound:
    """How far the other side's messages have come.

    `in_step`: since the last connection of either side its SPAKE2 message was heard; what comes before that
    belongs to an older connection. `repeats`: it may repeat what was not acknowledged.
    """

    expected: int = 0
    acknowledged: int = 0
    in_step: bool = False
    repeats: bool = False


class MailboxClient:
    """One peer with one code, through as many connections to the mailbox as it takes.

    Driving contract: call `connected` for each new connection, then `receive` for every message on it, and
    `disconnected` when it is lost. After each call send `texts_to_send()`, in order, and look at `events()`.
    Call `handle_timeout` at `next_timeout()`. When `over`, close the connection; when `away`, close it and
    make another one. `secret` is the code's words.

    Moving: the room of the code is left for the one that follows from the key when `settle` says so, or when
    the other is not in it (any more), but not within `CONFIRM_WITHIN_S` after the other was confirmed. By
    then it has confirmed this side, too, or has given up; so both know where to look.
    """

    def __init__(self, secret: bytes, nameplate: int | None = None) -> None:
        self.nameplate = nameplate
        self.failure: MailboxFailure | None = None
        self.confirmed = False
        self.over = False
        self.away = False
        self._secret = secret
        self._member = random_bytes(m.MEMBER_SIZE)
        self._joined = False
        self._present = False
        self._kept: int | None = None
        self._may_move_at: float | None = None
        self._settles = False
        self._agreement: Agreement | None = None
        self._peer_element: bytes | None = None
        self._channel: Channel | None = None
        self._deadline: float | None = None
        self._in = _Inbound()
        self._sent = 0
        self._unacknowledged: deque[m.Sealed] = deque()
        self._early: list[bytes] = []
        self._heard = 0.0
        self._heard_at: float | None = None
        self._texts: list[bytes] = []
        self._events: list[Event] = []

    # What the driver calls.

    def connected(self) -> None:
        """A connection to the mailbox stands."""
        self._texts.clear()
        self._joined = self._present = self.away = False
        self._in.in_step = False
        if not self.over:
            self._say(m.Join(m.VERSION, self._member, self._room))

    def disconnected(self) -> None:
        """The connection is gone; what was not sent is repeated on the next one."""
        self._texts.clear()
        self._joined = self._present = False

    def receive(self, text: bytes, now: float) -> None:
        """A message of the mailbox; an empty one (a control message of its connection) only counts."""
        if self.over or self.away:
            return
        since_s = 0.0 if self._heard_at is None else now - self._heard_at
        self._heard = max(0.0, self._heard - since_s) + 1
        self._heard_at = now
        if self._heard > _MAX_HEARD:
            return self._fail("flood")
        if not text:
            return
        try:
            message = m.decode_from_mailbox(text)
        except ProtocolError as error:
            return self._invalid(str(error))
        match message:
            case m.Joined():
                self._on_joined(message, now)
            case m.Closed():
                self._on_closed(message.reason, now)
            case _ if not self._joined:
                self._invalid("a message of a room that is not open yet")
            case m.Peer():
                self._on_peer(message.present, message.relay, now)
            case m.PeerMessage():
                self._on_relay(message.body, now)

    def send(self, payload: bytes) -> bool:
        """Send a message of at most MAX_PAYLOAD bytes, now or once the other side is confirmed.

        False: too many are on their way, or the conversation is over."""
        if len(payload) > m.MAX_PAYLOAD:
            raise ValueError(f"a message of {len(payload)} bytes; {m.MAX_PAYLOAD} are allowed")
        if self.over or len(self._unacknowledged) + len(self._early) >= MAX_UNACKNOWLEDGED:
            return False
        if self.confirmed:
            self._seal("data", payload)
        else:
            self._early.append(payload)
        return True

    def settle(self, now: float) -> None:
        """All is quiet: a good moment to move into the room that follows from the key, as soon as may be."""
        self._settles = True
        self._move_if_wanted(now)

    @property
    def together(self) -> bool:
        """Is the confirmed other side in the same room, so that it hears at once what is said?"""
        return self.confirmed and self._joined and self._in.in_step and not self.over

    def end(self) -> None:
        """Say goodbye to the other side, verifiably, and to the mailbox. Idempotent."""
        if self.over:
            return
        if self.confirmed:
            self._seal("end")
        self._leave("done")

    def texts_to_send(self) -> list[bytes]:
        """What to send to the mailbox, each a WebSocket text message."""
        texts, self._texts = self._texts, []
        return texts

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        if self._deadline is None and self._joined and self._wants_to_move():
            return self._may_move_at
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """A peer that starts an exchange and then proves nothing may have tried a guess."""
        if self._deadline is not None and now >= self._deadline and not self.over:
            self._fail("unconfirmed", statement("mailbox-unconfirmed", limit_s=CONFIRM_WITHIN_S))
        self._move_if_wanted(now)

    def export(self, label: str, size: int = 32) -> bytes:
        """Key material that only the confirmed other side has too, the same there."""
        if self._channel is None or not self.confirmed:
            raise ValueError("the other side is not confirmed")
        return self._channel.export(label, size)

    # Which room.

    @property
    def _room(self) -> int | None:
        return self.nameplate if self._kept is None else self._kept

    def _wants_to_move(self) -> bool:
        """Is the code's room of no more use?"""
        return self.confirmed and self._kept is None and (self._settles or not self._present)

    def _move_if_wanted(self, now: float) -> None:
        if self.over or not (self._joined and self._wants_to_move()):
            return
        if self._may_move_at is not None and now >= self._may_move_at:
            self._move()

    def _move(self) -> None:
        assert self._channel is not None
        self._kept = self._channel.room
        self._joined = self._present = False
        self.away = True
        self._texts.clear()

    # What the mailbox says.

    def _on_joined(self, message: m.Joined, now: float) -> None:
        if self._joined or self._room not in (None, message.nameplate):
            return self._invalid("another room than the code's")
        if self._room is None and message.nameplate > m.MAX_NAMEPLATE:
            return self._invalid("a room number that no code can have")
        self._joined = True
        if self.nameplate is None:
            self.nameplate = message.nameplate
        self._events.append(RoomOpened(message.nameplate, self._kept is not None))
        if message.present:
            self._on_peer(True, message.relay, now)
        self._move_if_wanted(now)

    def _on_peer(self, present: bool, relay: m.RelayOffer | None, now: float) -> None:
        self._in.in_step = False
        self._present = present
        if not present:
            self._events.append(PeerLost())
            return self._move_if_wanted(now)
        self._events.append(PeerHere())
        if relay is not None:
            self._events.append(RelayOffered(relay))
        if self._agreement is None:
            assert self.nameplate is not None
            self._agreement = Agreement(self._secret, self.nameplate)
        self._pass_on(m.Pake(self._agreement.element))
        if self._channel is not None:
            self._pass_on(m.Proof(self._channel.proof))
        for sealed in self._unacknowledged:
            self._pass_on(sealed)

    def _on_closed(self, reason: m.Closing, now: float) -> None:
        spent = reason == "used-up"
        if self.confirmed and self._kept is None and (spent or reason in _PASSING):
            self.away = True
            if self._may_move_at is not None and now >= self._may_move_at:
                self._move()
        elif self.confirmed and reason in _PASSING:
            self.away = True
        else:
            why: m.Closing = "left" if self.confirmed and spent else reason
            code = "mailbox-gave-up" if why == "failed" else f"mailbox-{why}"
            self._fail(_CLOSINGS.get(why, "refused"), statement(code), leave=False)

    # What the other side says through it.

    def _on_relay(self, body: bytes, now: float) -> None:
        try:
            envelope = m.decode_envelope(body)
        except ProtocolError:
            return self._fail("garbage")
        if isinstance(envelope, m.Pake):
            self._on_pake(envelope.element, now)
        elif not self._in.in_step:
            return  # sent to an older connection of ours; it comes again after the SPAKE2 message
        elif isinstance(envelope, m.Proof):
            self._on_proof(envelope.value, now)
        else:
            self._on_sealed(envelope)

    def _on_pake(self, element: bytes, now: float) -> None:
        if self._agreement is None:
            return self._invalid("a peer's message before there was a peer")
        if element == self._agreement.element:
            return self._fail("reflected")
        if self._peer_element is None:
            self._agree(self._agreement, element, now)
        elif element != self._peer_element:
            return self._fail("another-peer")
        self._in.in_step = self._in.repeats = True

    def _agree(self, agreement: Agreement, element: bytes, now: float) -> None:
        self._peer_element = element
        try:
            self._channel = agreement.finish(element)
        except ProtocolError:
            return self._fail("garbage")
        self._deadline = now + CONFIRM_WITHIN_S
        self._pass_on(m.Proof(self._channel.proof))

    def _on_proof(self, proof: bytes, now: float) -> None:
        assert self._channel is not None
        if not self._channel.proves(proof):
            return self._fail("altered" if self.confirmed else "wrong-code")
        if self.confirmed:
            return
        self.confirmed = True
        self._deadline = None
        self._may_move_at = now + CONFIRM_WITHIN_S
        self._events.append(Confirmed())
        early, self._early = self._early, []
        for payload in early:
            self._seal("data", payload)

    def _on_sealed(self, sealed: m.Sealed) -> None:
        if self._channel is None or not self.confirmed:
            return self._fail("reordered")
        try:
            plaintext = self._channel.open(sealed)
        except ProtocolError:
            if self._channel.is_own(sealed):
                return self._fail("reflected")
            return self._fail("altered")
        if sealed.sequence < self._in.expected:
            if not self._in.repeats:
                self._fail("replayed")
            return
        if sealed.sequence > self._in.expected:
            return self._fail("reordered")
        self._in.repeats = False
        self._in.expected += 1
        self._heard = 0.0
        self._on_inside(plaintext)

    def _on_inside(self, plaintext: bytes) -> None:
        try:
            inside = m.decode_inside(plaintext)
        except ProtocolError:
            return self._fail("garbage")
        if inside.received > self._sent:
            return self._fail("garbage")
        while self._unacknowledged and self._unacknowledged[0].sequence < inside.received:
            self._unacknowledged.popleft()
        if inside.kind == "end":
            self._events.append(PeerDone())
            return self._leave("done")
        if inside.kind == "data":
            self._events.append(Received(inside.payload))
        if self._in.expected - self._in.acknowledged >= _ACKNOWLEDGE_EVERY:
            self._seal("ack")

    # What we say.

    def _seal(self, kind: Literal["data", "end", "ack"], payload: bytes = b"") -> None:
        assert self._channel is not None
        inside = m.Inside(kind, self._in.expected, payload)
        sealed = self._channel.seal(self._sent, m.pack(inside))
        self._sent += 1
        self._in.acknowledged = self._in.expected
        self._unacknowledged.append(sealed)
        if self._joined:
            self._pass_on(sealed)

    def _pass_on(self, envelope: m.Envelope) -> None:
        self._say(m.PeerMessage(m.pack(envelope)))

    def _say(self, message: m.ToMailbox) -> None:
        self._texts.append(m.encode(message))

    def _leave(self, reason: m.Parting) -> None:
        if self._joined:
            self._say(m.Leave(reason))
        self.over = True
        self._deadline = None

    def _invalid(self, problem: str) -> None:
        self._fail("mailbox", statement("mailbox-invalid", problem=problem))

    def _fail(self, reason: Reason, why: Statement | None = None, *, leave: bool = True) -> None:
        """`why` None: the sentence of the reason."""
        self.failure = MailboxFailure(reason, why or statement(f"mailbox-{reason}"))
        self._events.append(self.failure)
        self._texts.clear()
        if leave:
            self._leave("wrong-code" if reason in ("wrong-code", "unconfirmed") else "failed")
        self.over = True
        self._deadline = None
