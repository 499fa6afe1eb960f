"""Which of the ICMP errors that reach the listener are a caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from nattools.engine.pwnat.knockoptions import PwnatCounts
from nattools.engine.pwnat.knocksession import ORIGINAL_SESSION, KnockSession
from nattools.errors import ProtocolError
from nattools.model.statement import Statement, statement
from nattools.net.base import IcmpError
from nattools.protocols import pwnat
from nattools.protocols.pwnat import original
from nattools.protocols.pwnat.knock import Knock, decode_knock, looks_like_knock
from nattools.protocols.pwnat.replay import KnockFilter
from nattools.protocols.pwnat.secret import SharedKeys

MOST_WAITING: Final = 64
PAUSE_S: Final = 1.0
MOST_SOURCES: Final = 256


class Heard(NamedTuple):
    """A knock to be followed, and where the error that brought it came from."""

    knock: Knock
    source: str | None


class Hearing:
    """Hand it each error that is about a beacon; `next` gives the knocks of the session. `note` is told, once
    each, why somebody who knows the secret is not followed. `wall`: seconds of UTC."""

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
        self._waiting: asyncio.Queue[Heard] = asyncio.Queue(MOST_WAITING)
        self._noted: set[str] = set()
        self._sources: dict[str, float] = {}

    def about_beacon(self, error: IcmpError) -> bool:
        """Is it about a beacon, so that it is to be handed in?"""
        return error.destination in pwnat.TARGETS

    def take(self, error: IcmpError) -> None:
        """Count it, and keep it if it is a knock to follow."""
        counts = self._counts
        counts.errors += 1
        if not self.about_beacon(error) or not looks_like_knock(error.quoted):
            counts.foreign += 1
            return
        try:
            knock = decode_knock(error.quoted, self._keys.knock)
        except ProtocolError:
            counts.forged += 1
            return
        doubt = self._filter.doubt(knock, self._wall())
        if doubt is not None:
            counts.forged += 1
            counts.replayed += doubt == "replayed"
            counts.stale += doubt == "stale"
            if doubt == "stale":
                self.tell(statement("pwnat-stale", apart_s=round(abs(self._filter.apart_s or 0.0), 1)))
            return
        if self._session.name not in (None, knock.session):
            self.tell(statement("pwnat-busy"))
            return
        self._keep(Heard(knock, error.offender))

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
        self._keep(Heard(call, error.offender))

    def _keep(self, heard: Heard) -> None:
        if heard.knock.attempt > self._session.attempt and self._session.name is not None:
            self._session.heard_of = max(self._session.heard_of, heard.knock.attempt)
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(heard)

    async def next(self) -> Heard:
        """The next one."""
        return await self._waiting.get()

    def forget(self, before: int) -> None:
        """Drop those of earlier attempts."""
        kept = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
        for each in kept:
            if each.knock.attempt >= before:
                self._waiting.put_nowait(each)

    def tell(self, why: Statement) -> None:
        """The person, once for each kind of reason."""
        if why.code not in self._noted:
            self._noted.add(why.code)
            self._note(why)
