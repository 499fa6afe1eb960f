"""What the mailbox's tests share: two peers and a mailbox in memory, and somebody between them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from nattools.model.endpoint import Endpoint
from nattools.protocols.mailbox import Event, MailboxClient, MailboxFailure, Received
from nattools.protocols.mailbox import messages as m
from nattools.server.mailbox import Mailbox, MailboxLimits, OutgoingText

SOURCE = Endpoint("11.1.0.2", 40000)
SECRET = b"crossover-clockwork"
Tamper = Callable[[str, m.Envelope], list[m.Envelope]]
"""Given who is to hear it and what, says what is heard instead."""


def honest(_: str, envelope: m.Envelope) -> list[m.Envelope]:
    return [envelope]


class Meeting:
    """Alice opens a room and bob joins it. `now` is the time that everybody is told."""

    def __init__(self, bob: bytes = SECRET, tamper: Tamper = honest) -> None:
        self.now = 0.0
        self.tamper = tamper
        self.mailbox = Mailbox(MailboxLimits(), draw=Random(1))
        self.alice = MailboxClient(SECRET)
        self.bob = MailboxClient(bob)
        self.seen: dict[str, list[Event]] = {"alice": [], "bob": []}
        self.passed: list[bytes] = []
        self._numbers: dict[str, int] = {}

    def peer(self, name: str) -> MailboxClient:
        return self.alice if name == "alice" else self.bob

    def meet(self) -> Meeting:
        """Both in one room, and all said that follows from it."""
        self.connect("alice")
        self.bob.nameplate = self.alice.nameplate
        self.connect("bob")
        return self

    def connect(self, name: str) -> None:
        self._connect(name)
        self.settle()

    def _connect(self, name: str) -> None:
        self._numbers[name] = self.mailbox.connect(SOURCE)
        self.peer(name).connected()

    def connected(self, name: str) -> bool:
        return name in self._numbers

    def room_of(self, name: str) -> int:
        """The number of the room that the mailbox has this peer in."""
        room = self.mailbox._connections[self._numbers[name]].room
        assert room is not None
        return room.nameplate

    def lose(self, name: str) -> None:
        """Its connection is gone, if it has one."""
        if name in self._numbers:
            self.disconnect(name)

    def pass_time(self, seconds: float) -> None:
        """For everybody."""
        self.now += seconds
        self._deliver(self.mailbox.sweep(self.now))
        for name in ("alice", "bob"):
            self.peer(name).handle_timeout(self.now)
        self.settle()

    def disconnect(self, name: str) -> None:
        self.peer(name).disconnected()
        self._deliver(self.mailbox.disconnect(self._numbers.pop(name), self.now))
        self.settle()

    def restart(self) -> None:
        """The mailbox forgets everything, and all connections are lost."""
        self.mailbox = Mailbox(MailboxLimits(), draw=Random(2))
        for name in ("alice", "bob"):
            self.peer(name).disconnected()
            self._numbers.pop(name, None)

    def settle(self) -> None:
        """Until nobody has anything more to say."""
        while any([self._speak(name) or self._move(name) for name in ("alice", "bob")]):
            pass

    def _move(self, name: str) -> bool:
        """If it wants another connection to a mailbox that did not end this one, it gets it."""
        if not (self.peer(name).away and name in self._numbers):
            return False
        self.peer(name).disconnected()
        self._deliver(self.mailbox.disconnect(self._numbers.pop(name), self.now))
        self._connect(name)
        return True

    def hear(self, name: str, envelope: m.Envelope) -> None:
        """Have a peer hear this, as if the mailbox had passed it on."""
        self.peer(name).receive(m.encode(m.PeerMessage(m.pack(envelope))), self.now)
        self.settle()

    def payloads(self, name: str) -> list[bytes]:
        return [event.payload for event in self.seen[name] if isinstance(event, Received)]

    def reason(self, name: str) -> str | None:
        """Why this peer's conversation failed, told in an event too."""
        failure = self.peer(name).failure
        told = [event for event in self.seen[name] if isinstance(event, MailboxFailure)]
        assert told == ([] if failure is None else [failure])
        return None if failure is None else failure.reason

    def _speak(self, name: str) -> bool:
        texts = self.peer(name).texts_to_send()
        if name in self._numbers:
            for text in texts:
                self._deliver(self.mailbox.receive(self._numbers[name], text, self.now))
        self.seen[name] += self.peer(name).events()
        return bool(texts)

    def _deliver(self, outgoing: list[OutgoingText]) -> None:
        for out in outgoing:
            name = next((each for each, number in self._numbers.items() if number == out.connection), None)
            if name is not None and out.last:
                del self._numbers[name]
            if name is None or not out.text:
                continue
            message = m.decode_from_mailbox(out.text)
            if not isinstance(message, m.PeerMessage):
                self.peer(name).receive(out.text, self.now)
                continue
            self.passed.append(message.body)
            for envelope in self.tamper(name, m.decode_envelope(message.body)):
                self.peer(name).receive(m.encode(m.PeerMessage(m.pack(envelope))), self.now)
