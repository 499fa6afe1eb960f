"""The largest packet that gets through, by trying several sizes at once (RFC 8899 5.3), whatever carries and
answers them.

ICMP errors (RFC 1191, RFC 8201) say where to look and are believed only if a packet of that size is answered:
a router may say anything. Silence counts in as many copies as the path's loss asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from nattools.model.endpoint import Family
from nattools.net.base import IcmpError
from nattools.net.eventloop import AllEvents, TimedEvent

LARGEST = 9216
"""Of jumbo frames; what goes to this machine itself may be larger still."""
ORDINARY = 1500
LEAST = 576
AT_ONCE = 8
HEADERS: dict[Family, int] = {4: 28, 6: 48}
"""IP and UDP."""


class SizeTimeouts(Protocol):
    """How often to try, and how long to wait."""

    def copies(self) -> int:
        """So many packets in vain say that none arrives."""

    @property
    def gap_s(self) -> float:
        """Between two copies."""

    @property
    def last_wait_s(self) -> float:
        """After the last one."""


class SizeSearch(ABC):
    """`passed` is the largest IP packet in bytes that was answered, `failed` the smallest that was not;
    `told` the least MTU that an ICMP error told, `refused` the sizes that this machine itself does not send.
    Sizes are whole words, as those of STUN messages are."""

    def __init__(self, patience: SizeTimeouts) -> None:
        self.passed: int | None = None
        self.failed: int | None = None
        self.told: int | None = None
        self.told_by: str | None = None
        self.refused: set[int] = set()
        self.copies = 0
        self._patience = patience
        self._answered: dict[int, TimedEvent] = {}

    @abstractmethod
    def _send(self, size: int) -> bool:
        """An IP packet of so many bytes; False: this machine itself refuses the size."""

    def answered(self, size: int) -> None:
        """A packet of this size has arrived at the other end."""
        self._answered[size].set()

    def note_told(self, error: IcmpError) -> None:
        """Packet Too Big."""
        told = error.mtu or self.told
        if self.told is None or (told is not None and told < self.told):
            self.told, self.told_by = told, error.offender or self.told_by

    async def narrow(self, largest: int, *, least: int = LEAST) -> None:
        """Until `passed` and `failed` are neighbours, or nothing is answered. `least` is tried with the
        first ones unless it is known to pass."""
        await self._try(tuple(sorted({*(() if self.passed == least else (least,)), largest})))
        if self.passed == largest:
            self.failed = None
            return
        if self.told is not None and self.passed is not None and self.passed < self.told <= largest:
            whole = _whole(self.told)
            await self._try((whole, whole + 4) if whole + 4 < largest else (whole,))
        while self.passed is not None and self.failed is not None and self.failed - self.passed > 4:
            before = self.passed, self.failed
            await self._try(between(self.passed, self.failed))
            if before == (self.passed, self.failed):
                return

    async def _try(self, sizes: Sequence[int]) -> None:
        """All at once, each until it is answered, or as often as makes silence count."""
        estimate = self._patience
        events = {size: self._answered.setdefault(size, TimedEvent()) for size in sizes}
        refused, count = self.refused, 0
        while count < estimate.copies():
            count += 1
            waiting = [size for size in sizes if not events[size].is_set and size not in refused]
            refused |= {size for size in waiting if not self._send(size)}
            if await AllEvents([events[size] for size in waiting if size not in refused]).wait(
                estimate.gap_s
            ):
                break
        left = [events[size] for size in sizes if size not in refused and not events[size].is_set]
        if left:
            await AllEvents(left).wait(estimate.last_wait_s)
        self.copies = max(self.copies, count)
        for size in sizes:
            if events[size].is_set:
                self.passed = max(size, self.passed or 0)
            else:
                self.failed = min(size, self.failed or size)
        if self.passed is not None and self.failed is not None and self.failed <= self.passed:
            self.failed = None


def largest_for(link: int | None) -> int:
    """What to try first where the interface's MTU is `link` (None: not known)."""
    return _whole(min(link or ORDINARY, LARGEST))


def _whole(size: int) -> int:
    """Without the bytes that no STUN message fills."""
    return size // 4 * 4


def between(passed: int, failed: int) -> tuple[int, ...]:
    """Sizes evenly between the two, so that a few rounds find the limit."""
    room = (failed - passed) // 4
    count = min(AT_ONCE, room - 1)
    step = room / (count + 1)
    return tuple(sorted({passed + 4 * max(1, round(step * number)) for number in range(1, count + 1)}))
