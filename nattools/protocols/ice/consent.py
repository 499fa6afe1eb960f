"""Does the peer still want what we send, and does the path still work? (RFC 7675)

The checks double as keepalives (RFC 8445 11) and as measurements of the round trip, on the pair in use and on
the spares alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nattools.protocols.ice.checker import Checker
from nattools.protocols.ice.checklist import Pair
from nattools.protocols.ice.icesession import IceSession
from nattools.protocols.ice.selection import rank

INTERVAL_S: Final = 5.0
"""RFC 7675 5.1: randomised by a fifth in both directions."""
EXPIRY_S: Final = 30.0
MAX_KEPT: Final = 8
"""Working pairs that are kept alive; the others are let go."""
_QUICK_S: Final = 0.1
_SLOWEST_S: Final = 1.0


class Consent:
    """`on_lost(pair)`: no answer for 30 s, the pair has failed. Sooner, `Pair.unanswered` tells of doubt."""

    def __init__(
        self,
        session: IceSession,
        checker: Checker,
        on_lost: Callable[[Pair], None],
    ) -> None:
        self._session = session
        self._checker = checker
        self._on_lost = on_lost
        self._due: dict[Pair, float] = {}
        self._awaited: dict[Pair, float] = {}

    def watch(self, pair: Pair, now: float) -> None:
        """An answer came on a pair: it is watched from now on. One whose round trip could not be measured is
        asked at once."""
        self._awaited.pop(pair, None)
        known = pair.round_trip.smoothed_s is not None
        self._due[pair] = now + (self._interval() if known else 0.0)

    def ask(self, pair: Pair, now: float) -> None:
        """Ask without waiting for the interval, as when the data's own protocol has lost touch."""
        if pair in self._due:
            self._due[pair] = now

    def next_due(self) -> float | None:
        """When to call `run`."""
        times = [*self._due.values(), *self._awaited.values()]
        times += [pair.answered_at + EXPIRY_S for pair in self._due if pair.answered_at is not None]
        return min(times, default=None)

    def run(self, now: float) -> None:
        """Ask, doubt and end what is due."""
        for pair in [pair for pair in self._due if not pair.valid]:
            self._drop(pair)
        for pair in list(self._due):
            if pair.answered_at is not None and now >= pair.answered_at + EXPIRY_S:
                self._expire(pair)
        for pair in [pair for pair, when in self._awaited.items() if now >= when]:
            self._doubt(pair, now)
        kept = sorted(self._due, key=rank)[:MAX_KEPT]
        for pair in [pair for pair, when in self._due.items() if now >= when]:
            if pair in kept or pair.nominated:
                self._check(pair, now)
            else:
                self._due[pair] = now + self._interval()

    def _check(self, pair: Pair, now: float) -> None:
        self._checker.start(pair, "consent", now)
        rto = self._session.pacer.rto_s(pair.round_trip)
        self._awaited.setdefault(pair, now + rto)
        self._due[pair] = now + self._interval()

    def _doubt(self, pair: Pair, now: float) -> None:
        """No answer in time: ask again soon, ever more slowly."""
        del self._awaited[pair]
        pair.unanswered += 1
        pause = min(_SLOWEST_S, _QUICK_S * 2.0 ** min(pair.unanswered, 8))
        self._due[pair] = min(self._due[pair], now + pause)

    def _expire(self, pair: Pair) -> None:
        self._drop(pair)
        self._session.check_list.change(pair, "failure", f"no consent for {EXPIRY_S:.0f} s")
        self._on_lost(pair)

    def _drop(self, pair: Pair) -> None:
        self._due.pop(pair, None)
        self._awaited.pop(pair, None)

    def _interval(self) -> float:
        return INTERVAL_S * self._session.rng.uniform(0.8, 1.2)
