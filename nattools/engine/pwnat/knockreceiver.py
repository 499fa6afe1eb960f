"""Which of the ICMP errors that reach the listener are a caller's."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from nattools.engine.pwnat.knockoptions import PwnatCounts
from nattools.engine.pwnat.knocksession import ORIGINAL_SESSION, KnockSession
from nattools.errors import ProtocolError
from nattools.model.statement import Statement, statement
from nattools.net.base import IcmpError
from nattools.protocols import pwnat
from nattools.protocols.outsidesum import MARK
from nattools.protocols.pwnat import original
from nattools.protocols.pwnat.knock import Knock, decode_knock, looks_like_knock
from nattools.protocols.pwnat.replay import KnockFilter
from nattools.protocols.pwnat.secret import SharedKeys

MOST_WAITING: Final = 64
PAUSE_S: Final = 1.0
MOST_SOURCES: Final = 256
HOLD_S: Final = 1.2
"""A caller without a plan knocks every 0.55 s at first: who has been silent for longer makes room."""
TURN_S: Final = 6.0
"""Nor does a caller keep others out for longer, however much it knocks, if it has not got through."""
LONGEST_TURN_S: Final = 40.0
"""With a plan, whose steps take their time."""
MOST_OVER: Final = 64
"""Sessions that were replaced, and are not followed again."""
FORGOTTEN_S: Final = 5.0
"""A caller that waits for its turn knocks at least every 2.2 s."""


class ReceivedKnock(NamedTuple):
    """A knock to be followed, and where the error that brought it came from."""

    knock: Knock
    source: str | None


class KnockReceiver:
    """Hand it each error that is about a beacon; `next` gives the knocks of the session, or of another one
    that takes its place. `note` is told, once each, why somebody who knows the secret is not followed.
    `settled`: the session has had a connection, and nobody takes its place as long as it lives: `newcomer_s`
    tells of who would. `wall`: seconds of UTC."""

    def __init__(
        self,
        keys: SharedKeys,
        session: KnockSession,
        counts: PwnatCounts,
        wall: Callable[[], float],
        note: Callable[[Statement], None],
    ) -> None:
        self._keys, self._session, self._counts = keys, session, counts
        self._wall, self._note = wall, note
        self._filter = KnockFilter()
        self.settled = False
        self._waiting: deque[ReceivedKnock] = deque(maxlen=MOST_WAITING)
        self._other: tuple[ReceivedKnock, float] | None = None
        self._quiet_since = 0.0
        self._over: deque[bytes] = deque(maxlen=MOST_OVER)
        self._keeps_until = self._turn_ends = 0.0
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._noted: set[str] = set()
        self._sources: dict[str, float] = {}

    def about_beacon(self, error: IcmpError) -> bool:
        """Is it about a beacon, so that it is to be handed in?"""
        return error.destination in pwnat.TARGETS

    def take(self, error: IcmpError) -> None:
        """Count it, and keep it if it is a knock to follow. What we have let expire ourselves is no news."""
        counts = self._counts
        if error.quoted.startswith(MARK):
            return
        counts.errors += 1
        if not self.about_beacon(error) or not looks_like_knock(error.quoted):
            counts.foreign += 1
            return
        try:
            knock = decode_knock(error.quoted, self._keys.knock)
        except ProtocolError:
            counts.forged += 1
            self.tell(statement("pwnat-no-secret"))
            return
        doubt = self._filter.doubt(knock, self._wall())
        if doubt is not None:
            counts.forged += 1
            counts.replayed += doubt == "replayed"
            counts.stale += doubt == "stale"
            if doubt == "stale":
                self.tell(statement("pwnat-stale", apart_s=round(abs(self._filter.apart_s or 0.0), 1)))
            return
        received = ReceivedKnock(knock, error.offender)
        if self._session.name in (None, knock.session):
            self._keep(received)
        elif knock.session not in self._over:
            self._keep_for_later(received)

    def take_original(self, error: IcmpError, port: int) -> None:
        """The same where the original's errors come: any Time Exceeded about an echo request is a caller, at
        the same port as ours. Who it is shows when he answers; each address counts once a second."""
        counts, now = self._counts, self._wall()
        counts.errors += 1
        if error.kind != "time-exceeded" or error.destination.host != original.TARGET or not error.offender:
            counts.foreign += 1
            return
        last = self._sources.get(error.offender)
        if last is not None and 0 <= now - last < PAUSE_S:  # before 0 the clock was set back
            return
        if len(self._sources) >= MOST_SOURCES:
            del self._sources[next(iter(self._sources))]
        self._sources[error.offender] = now
        call = Knock(
            session=ORIGINAL_SESSION,
            number=0,
            sent_ms=0,
            caller=None,
            port=port,
            attempt=self._session.attempt,
        )
        self._keep(ReceivedKnock(call, error.offender))

    def _keep(self, received: ReceivedKnock) -> None:
        if received.knock.attempt > self._session.attempt and self._session.name is not None:
            self._session.heard_of = max(self._session.heard_of, received.knock.attempt)
        self._quiet_since = self._loop.time()
        self.hold()
        self._waiting.append(received)
        self._changed.set()

    def _keep_for_later(self, received: ReceivedKnock) -> None:
        """Another session's knock."""
        self.tell(statement("pwnat-busy"))
        if self.newcomer_s is None:
            self._quiet_since = self._loop.time()
        self._other = (received, self._loop.time())
        self._changed.set()

    @property
    def newcomer_s(self) -> float | None:
        """So long has another session knocked, and this one not. None: no other one does."""
        now = self._loop.time()
        if self._other is None or now - self._other[1] > FORGOTTEN_S:
            return None
        return now - self._quiet_since

    def begin_anew(self) -> None:
        """The session is over for good, and whoever knocks is heard as if there had been none."""
        if self._session.name is not None:
            self._over.append(self._session.name)
        self._session.leave()
        self.settled = False
        self._waiting.clear()
        other, self._other = self._other, None
        if other is not None:
            self._keep(other[0])

    async def next(self) -> ReceivedKnock:
        """The next one. It is another session's once the one that is followed has been silent for a moment,
        or has had its time."""
        while True:
            other = self._takes_over()
            if other is not None or self._waiting:
                return other or self._waiting.popleft()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                makes_room = self._other is not None and not self.settled
                async with asyncio.timeout_at(self._room_at if makes_room else None):
                    await self._changed.wait()

    @property
    def _room_at(self) -> float:
        return min(self._keeps_until, self._turn_ends)

    def _takes_over(self) -> ReceivedKnock | None:
        """Who does now."""
        now = self._loop.time()
        if self._other is not None and now - self._other[1] > FORGOTTEN_S:
            self._other = None
        if self._other is None or self.settled or now < self._room_at:
            return None
        received, self._other = self._other[0], None
        self._waiting.clear()
        return received

    def put_back(self, received: ReceivedKnock) -> None:
        """`next` gives it again, before any other."""
        self._waiting.appendleft(received)

    def begin_turn(self, knock: Knock) -> None:
        """The session that is followed begins with this knock."""
        self._turn_ends = self._loop.time() + (LONGEST_TURN_S if knock.step else TURN_S)
        self.hold()

    def hold(self, seconds: float = 0.0) -> None:
        """It has been heard of; it may be busy with a step for so long, and say nothing."""
        self._keeps_until = max(self._keeps_until, self._loop.time() + seconds + HOLD_S)

    def forget(self, before: int) -> None:
        """Drop those of earlier attempts."""
        kept = [each for each in self._waiting if each.knock.attempt >= before]
        self._waiting.clear()
        self._waiting.extend(kept)

    def tell(self, why: Statement) -> None:
        """The person, once for each kind of reason."""
        if why.code not in self._noted:
            self._noted.add(why.code)
            self._note(why)
