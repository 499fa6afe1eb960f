"""Parts of a TCP connection: what is to be sent and acknowledged, what arrives in any order, the round trip.

Pure. Sequence numbers here are plain integers that only grow; `near` turns the 32 bits of a header into one.
"""

from __future__ import annotations

MASK = 0xFFFFFFFF
_HALF = 1 << 31
INITIAL_RTO_S = 1.0  # RFC 6298 2.1
SHORTEST_RTO_S = 0.2
LONGEST_RTO_S = 60.0


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
        if self.following > self.highest:
            self.highest = self.following
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
        if number > self.following:
            self.following = number
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
        self._later: dict[int, bytes] | None = None  # made when first needed: segments seldom overtake
        self._fin: int | None = None

    def accept(self, number: int, payload: bytes, fin: bool) -> bool:
        """Take a segment; True if the stream went on by it."""
        before = self.expected
        if fin:
            self._fin = number + len(payload)
        if number + len(payload) > before:
            self._take(number, payload)
        if self._fin == self.expected and not self.ended:
            self.ended = True
            self.expected += 1
        return self.expected != before

    def _take(self, number: int, payload: bytes) -> None:
        later = self._later
        if number > self.expected:
            if later is None:
                later = self._later = {}
            if len(payload) > len(later.get(number, b"")):
                later[number] = payload
            return
        self._append(number, payload)
        while later:
            earliest = min(later)
            if earliest > self.expected:
                return
            self._append(earliest, later.pop(earliest))

    def _append(self, number: int, payload: bytes) -> None:
        fresh = payload[self.expected - number :]
        self.ready += fresh
        self.expected += len(fresh)


class RtoEstimator:
    """How long an answer takes, and so how long to wait for one (RFC 6298 section 2). One segment is
    timed, and only if it was sent once (Karn's rule). Times in seconds."""

    __slots__ = ("_sent_to", "_srtt_s", "rto_s", "sent_at")

    def __init__(self) -> None:
        self.rto_s = INITIAL_RTO_S
        self.sent_at = 0.0
        self._sent_to = 0
        self._srtt_s: float | None = None

    def sent(self, queue: SendQueue, now: float) -> None:
        """A segment left for the first time: time it if none is being timed."""
        if self._sent_to <= queue.una:
            self._sent_to, self.sent_at = queue.following, now

    def acknowledged(self, number: int, now: float) -> None:
        """Everything before this number has arrived."""
        if self._sent_to and number >= self._sent_to:
            self.sample(now - self.sent_at)

    def discard(self) -> None:
        """What is being timed is sent again."""
        self._sent_to = 0

    def back_off(self) -> None:
        """Nothing was acknowledged in time (RFC 6298 5.5)."""
        self.rto_s = min(LONGEST_RTO_S, self.rto_s * 2)
        self._sent_to = 0

    def sample(self, seconds: float) -> None:
        """A measured round trip."""
        self._srtt_s = seconds if self._srtt_s is None else 0.875 * self._srtt_s + 0.125 * seconds
        self.rto_s = max(SHORTEST_RTO_S, 2 * self._srtt_s)
