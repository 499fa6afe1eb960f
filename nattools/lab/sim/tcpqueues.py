"""The two ends of a TCP byte stream: what is to be sent and acknowledged, and what arrives in any order.

Pure. Sequence numbers here are plain integers that only grow; `near` turns the 32 bits of a header into one.
"""

from __future__ import annotations

MASK = 0xFFFFFFFF
_HALF = 1 << 31


def near(reference: int, number: int) -> int:
    """The integer closest to `reference` whose low 32 bits are `number` (RFC 9293 3.4)."""
    return reference + ((number - reference + _HALF) & MASK) - _HALF


class SendQueue:
    """Bytes on their way out. `una` is the oldest sequence number not acknowledged, `following` the next to
    send, `highest` one past the last that was ever sent, `end` one past the last byte: the FIN's number."""

    __slots__ = ("closed", "data", "end", "following", "highest", "una")

    def __init__(self, first: int) -> None:
        self.una = self.following = self.highest = self.end = first
        self.data = bytearray()
        self.closed = False

    @property
    def in_flight(self) -> int:
        """Sequence numbers sent and not acknowledged."""
        return self.highest - self.una

    @property
    def finished(self) -> bool:
        """All bytes and the FIN are acknowledged."""
        return self.una > self.end

    def append(self, data: bytes) -> None:
        """Queue bytes."""
        self.data += data
        self.end += len(data)

    def segment(self, size: int, window: int) -> tuple[int, bytes, bool] | None:
        """The next (sequence number, payload, FIN) of at most `size` bytes, with less than `window` numbers
        outstanding before it; None: nothing to send now."""
        number, offset = self.following, self.following - self.una
        if number > self.end or offset >= window or (number == self.end and not self.closed):
            return None
        payload = bytes(self.data[offset : offset + size])
        fin = self.closed and number + len(payload) == self.end
        self.following += len(payload) + fin
        self.highest = max(self.highest, self.following)
        return number, payload, fin

    def first(self, size: int) -> tuple[int, bytes, bool]:
        """The oldest unacknowledged segment again."""
        payload = bytes(self.data[:size])
        return self.una, payload, self.closed and self.una + len(payload) == self.end

    def acknowledge(self, number: int) -> bool:
        """Take an acknowledgment; True if it is a new one."""
        if not self.una < number <= self.highest:
            return False
        del self.data[: number - self.una]
        self.una = number
        self.following = max(self.following, number)
        return True

    def rewind(self) -> None:
        """Send again from the oldest unacknowledged byte on."""
        self.following = self.una


class ReceiveQueue:
    """Bytes that arrive. `expected` is the next sequence number; `ready` holds what can be read."""

    __slots__ = ("_fin", "_later", "ended", "expected", "ready")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.ready = bytearray()
        self.ended = False
        self._later: dict[int, bytes] = {}
        self._fin: int | None = None

    def accept(self, number: int, payload: bytes, fin: bool) -> bool:
        """Take a segment; True if the stream went on by it."""
        before = self.expected, self.ended
        if fin:
            self._fin = number + len(payload)
        if number + len(payload) > self.expected:
            self._take(number, payload)
        if self._fin == self.expected and not self.ended:
            self.ended = True
            self.expected += 1
        return (self.expected, self.ended) != before

    def _take(self, number: int, payload: bytes) -> None:
        if number > self.expected:
            if len(payload) > len(self._later.get(number, b"")):
                self._later[number] = payload
            return
        self._append(number, payload)
        while self._later:
            earliest = min(self._later)
            if earliest > self.expected:
                return
            self._append(earliest, self._later.pop(earliest))

    def _append(self, number: int, payload: bytes) -> None:
        fresh = payload[self.expected - number :]
        self.ready += fresh
        self.expected += len(fresh)
