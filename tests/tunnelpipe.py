"""Two sessions of a tunnel and the connections between them; bytes go when the test says so."""

from __future__ import annotations

from nattools.protocols import tunnel as p

SESSION = bytes(16)


class Ends:
    """`there[i]` is what session i has been told of each stream, `events[i]` all that it was told."""

    def __init__(self) -> None:
        self.sessions = (p.TunnelSession(SESSION, leads=True), p.TunnelSession(SESSION, leads=False))
        self.events: tuple[list[p.Event], list[p.Event]] = ([], [])
        self.got: tuple[dict[int, bytearray], dict[int, bytearray]] = ({}, {})
        self._flying: tuple[bytearray, bytearray] = (bytearray(), bytearray())

    def connect(self) -> None:
        """A new connection in place of the old one; what was on its way is lost."""
        for session, flying in zip(self.sessions, self._flying, strict=True):
            flying.clear()
            session.connected()

    def pull(self, end: int, size: int = 65_536) -> int:
        """Put on the way what a session wants to send; returns how much."""
        data = self.sessions[end].bytes_to_send(size)
        self._flying[end].extend(data)
        return len(data)

    def deliver(self, end: int, size: int) -> None:
        """Hand the first bytes of what session `end` has sent to the other."""
        flying = self._flying[end]
        self._receive(1 - end, bytes(flying[:size]))
        del flying[:size]

    def _receive(self, end: int, data: bytes) -> None:
        session = self.sessions[end]
        session.receive(data)
        for event in session.events():
            self.events[end].append(event)
            if isinstance(event, p.Data):
                self.got[end].setdefault(event.stream, bytearray()).extend(event.data)
                session.consume(event.stream, len(event.data))

    def settle(self) -> None:
        """Deliver everything until both have nothing more to say."""
        while self.pull(0) + self.pull(1) or any(self._flying):
            for end in (0, 1):
                self.deliver(end, len(self._flying[end]))

    def told(self, end: int, kind: type[p.Event]) -> list[p.Event]:
        """The events of one kind."""
        return [event for event in self.events[end] if isinstance(event, kind)]


def connected() -> Ends:
    """Two sessions that have greeted each other."""
    ends = Ends()
    ends.connect()
    ends.settle()
    return ends
