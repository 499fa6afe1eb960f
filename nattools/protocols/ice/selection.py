"""Which of the working pairs carries the data: nomination (RFC 8445 8), and its renewal when another pair is
better or the nominated one is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nattools.protocols.ice.checklist import Pair
from nattools.protocols.ice.icesession import IceSession, Selected, SelectionReason

_HOLD_S: Final = 0.2
"""A pair in use is left to itself for so long, unless it is doubted."""
_GAIN: Final = 0.9
_GAIN_S: Final = 0.001
"""Another pair takes over if its round trip is shorter by a tenth and a millisecond."""
_SETTLE_TRIPS: Final = 3
_SETTLE_MAX_S: Final = 0.3
_DOUBTED: Final = 2

Nominate = Callable[[Pair, int], None]


class Selection:
    """`selected` is the pair for data. `nominate(pair, counter)` sends a check with USE-CANDIDATE.

    With `renomination` both sides understand that the last nomination counts: the first pair that works is
    nominated at once and a better one later. Without it (RFC 8445 8.1.1: one nomination for good) the choice
    is made a little later, and only a loss undoes it.
    """

    def __init__(self, session: IceSession, nominate: Nominate, *, renomination: bool) -> None:
        self._session = session
        self._nominate = nominate
        self._renomination = renomination
        self.selected: Pair | None = None
        self._selected_at = 0.0
        self._role = session.role
        self._agreed = False
        self._pending: Pair | None = None
        self._counter = 0
        self._peer_counter = -1
        self._first_valid_at: float | None = None
        self.wake: float | None = None
        self.held = False

    # --- the controlling side

    def consider(self, now: float) -> None:
        """Nominate if that is due. Harmless at any time."""
        self.wake = None
        self._note_role()
        valid = sorted((pair for pair in self._session.check_list if pair.valid), key=rank)
        if valid and self._session.role == "controlled":
            self._fall_back(valid[0])
        if not valid or self._session.role != "controlling" or self._pending is not None or self.held:
            return
        if self._first_valid_at is None:
            self._first_valid_at = now
        best, current = valid[0], self.selected
        if current is None or not self._agreed:
            if self._has_settled(best, now):
                self._begin(best)
        elif best is not current and self._takes_over(best, current, now):
            self._begin(best)

    def _note_role(self) -> None:
        """After a switch of roles nothing is agreed that the other side had nominated or was about to."""
        if self._role != self._session.role:
            self._role, self._pending, self._agreed = self._session.role, None, False

    def _has_settled(self, best: Pair, now: float) -> bool:
        """Is there no use in waiting for a better pair?"""
        if self._renomination or self._first_valid_at is None:
            return True
        trip = best.round_trip.smoothed_s or 0.0
        until = self._first_valid_at + min(_SETTLE_MAX_S, _SETTLE_TRIPS * trip)
        better = (pair for pair in self._session.check_list if pair.priority > best.priority)
        hopeful = any(pair.state in ("waiting", "in-progress") for pair in better)
        if hopeful and now < until:
            self.wake = until
            return False
        return True

    def _takes_over(self, best: Pair, current: Pair, now: float) -> bool:
        if current.unanswered >= _DOUBTED > best.unanswered:
            return True
        if not self._renomination or not better(best, current):
            return False
        if now < self._selected_at + _HOLD_S:
            self.wake = self._selected_at + _HOLD_S
            return False
        return True

    def _begin(self, pair: Pair) -> None:
        self._pending = pair
        self._counter += 1
        self._nominate(pair, self._counter)

    def hold(self) -> bool:
        """Nominate nothing for now. False: there is a nomination already."""
        self.held = self.selected is None and self._pending is None
        return self.held

    def confirmed(self, pair: Pair) -> None:
        """The peer answered our nomination."""
        if self._pending is not pair or self._session.role != "controlling":
            return
        self._pending, self._agreed = None, True
        self._select(pair, self._why())

    def _why(self) -> SelectionReason:
        before = self.selected
        if before is None:
            return "first"
        return "lost" if before.unanswered >= _DOUBTED or not before.valid else "nearer"

    # --- the controlled side

    def nominated_by_peer(self, pair: Pair, counter: int | None) -> None:
        """A check with USE-CANDIDATE came; it takes effect once our own check has succeeded (7.3.1.5)."""
        pair.nominated_by_peer = -1 if counter is None else counter
        if pair.valid:
            self._accept(pair)

    def _accept(self, pair: Pair) -> None:
        """Take the last nomination; among those without a counter the pair of the highest priority (as
        peers of RFC 5245 may nominate several)."""
        counter, current = pair.nominated_by_peer, self.selected
        if counter is None or counter < self._peer_counter:
            return
        if counter == -1 and current is not None and self._stays(current, pair):
            return
        self._peer_counter = counter
        self._select(pair, "nominated")

    def _fall_back(self, best: Pair) -> None:
        """When the pair in use is not answered and another is. The controlling side cannot know: if its NAT
        gave it another outside port, its own pair works all the same."""
        current = self.selected
        if current is not None and current.unanswered >= _DOUBTED > best.unanswered:
            self._select(best, "lost")

    def _stays(self, current: Pair, other: Pair) -> bool:
        return (
            current.valid
            and current.nominated_by_peer == -1
            and current.unanswered < _DOUBTED
            and current.priority >= other.priority
        )

    # --- both

    def works(self, pair: Pair) -> None:
        """A pair was answered."""
        if self._session.role == "controlled" and pair is not self.selected:
            self._accept(pair)

    def lost(self, pair: Pair) -> None:
        """A pair does not work any more, or its nomination came to nothing."""
        if self._pending is pair:
            self._pending = None
        if pair is not self.selected or pair.valid:
            return
        pair.nominated = False
        spares = sorted((other for other in self._session.check_list if other.valid), key=rank)
        self._agreed = False
        self._select(spares[0] if spares else None, "lost")

    def _select(self, pair: Pair | None, reason: SelectionReason) -> None:
        before = self.selected
        if before is pair:
            return
        if before is not None:
            before.nominated = False
        if pair is not None:
            pair.nominated = True
        self.selected, self._selected_at = pair, self._session.now
        self._session.tell(Selected(time_s=self._session.now, pair=pair, before=before, reason=reason))


def rank(pair: Pair) -> tuple[bool, bool, float, int]:
    """Sorts working pairs, best first: not doubted, not relayed, near, preferred."""
    trip = pair.round_trip.smoothed_s
    return pair.unanswered >= _DOUBTED, pair.relayed, 1e9 if trip is None else trip, -pair.priority


def better(one: Pair, other: Pair) -> bool:
    """Is one pair better than another by enough to move?"""
    if one.relayed != other.relayed:
        return other.relayed
    ours, theirs = one.round_trip.smoothed_s, other.round_trip.smoothed_s
    return ours is not None and theirs is not None and ours < theirs * _GAIN - _GAIN_S
