"""A secure connection to the peer: attempt after attempt until there is one, secured, watched, and
moved to another path when one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
from collections.abc import Callable, Collection
from typing import Final

from nattools.engine.punch.attempt import Attempt, Failed, prepare
from nattools.engine.punch.candidates import Base
from nattools.engine.punch.local_side import LocalSide, measure_again
from nattools.engine.punch.mapping import RouterMapping
from nattools.engine.punch.options import AnnouncedPlan
from nattools.engine.punch.signaling import Introduction, Signaling, SignalingEnded, Superseded
from nattools.engine.punch.timeline import Timeline
from nattools.errors import CannotRun
from nattools.protocols import ice
from nattools.traversal.link import Link
from nattools.traversal.path import SelectedPath
from nattools.traversal.tunnel import Tunnel

MOST_BEGINNINGS: Final = 8
"""So often the other side may begin anew before one attempt is finished."""


class Connector:
    """`connect` makes a connection, and a new one when that is lost. `last` is the latest attempt;
    `moved`: set it when this machine has come into another network, which is measured anew then."""

    def __init__(
        self,
        own: LocalSide,
        partner: Signaling,
        timeline: Timeline,
        announce: Callable[[AnnouncedPlan], None],
        router: RouterMapping | None = None,
        prepared: tuple[Introduction, list[Base]] | None = None,
    ) -> None:
        """`prepared`: the introduction and sockets of the first attempt, if the peer knows them already."""
        self.own, self.partner, self.timeline = own, partner, timeline
        self._router = router
        self._prepared = prepared
        self.last: Attempt | None = None
        self.moved = False
        self.sent = 0
        self._announce = announce
        self._number = 0

    async def connect(self, *, resumes: bool = False) -> SelectedPath | Failed:
        """One attempt, or a later one if the other side is ahead. `resumes`: as in `Introduction`.

        CannotRun: this machine is in no network."""
        if self.moved:
            self.own = await measure_again(self.own, self.timeline)
            self.moved = False
        self._number = max(self._number, self.partner.heard_of)
        for _ in range(MOST_BEGINNINGS):
            number, self._number = self._number, self._number + 1  # spent, also if this is broken off
            self.partner.begin(number)
            introduction, bases = self._prepared or await self._prepare(number, resumes)
            self._prepared = None
            self._note_candidates(introduction.candidates)
            attempt = Attempt(self.own, self.partner, number, self.timeline, self._announce, self._router)
            self.last = attempt
            try:
                way = await attempt.go(introduction, bases)
            finally:
                self.sent += attempt.sent
            if not isinstance(way, Superseded):
                return way
            self._number = way.attempt
        return Failed("The other side begins anew again and again.")

    async def _prepare(self, number: int, resumes: bool) -> tuple[Introduction, list[Base]]:
        agent = ice.Agent("controlling")  # for its choice of credentials
        return await prepare(
            self.own,
            number,
            agent.credentials,
            asks_router=self._router is not None and not self._router.settled,
            resumes=resumes,
        )

    def _note_candidates(self, texts: tuple[str, ...]) -> None:
        places = ", ".join(_place(text) for text in texts[:6]) or "none"
        more = f" and {len(texts) - 6} more" if len(texts) > 6 else ""
        self.timeline.note("candidates", f"can be tried at {places}{more}")


def _place(text: str) -> str:
    candidate = ice.parse(text)
    return f"{candidate.endpoint} ({'seen from outside' if candidate.kind == 'srflx' else 'own address'})"


WATCH_S: Final = 0.5
DOUBT_S: Final = 3.0
"""Nothing heard for so long: the peer is asked at once, and spare paths are looked at."""
LOST_S: Final = 9.0
"""Nothing heard for so long: the path is lost, and another is looked for."""
LASTING_S: Final = 30.0
"""Paths that are lost sooner than this are replaced ever more slowly: a peer might say so for ever, and each
attempt costs packets that may go to others."""
PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)

GIVE_UP_S: Final = 120.0
"""So long another way is looked for when one is lost."""
PIPE_GIVE_UP_S: Final = 3600.0
"""The same for a pipe, of which the rest would be missing."""
LASTING_GIVE_UP_S: Final = 7 * 24 * 3600.0
"""The same for a connection that is wanted until somebody says that it is enough."""


def patience_s(*uses: Collection[str]) -> float:
    """How long another way is worth looking for, by what the two sides were started for: the same to both."""
    return max(map(_patience_s, uses), default=GIVE_UP_S)


def _patience_s(uses: Collection[str]) -> float:
    ends = "exec" in uses or "bench" in uses
    if "keep" in uses or (not ends and ("forward" in uses or "reverse" in uses)):
        return LASTING_GIVE_UP_S
    return PIPE_GIVE_UP_S if "pipe" in uses else GIVE_UP_S


class Connection:
    """`secure` a path; then run `tunnel.run()` and `hold()` side by side. `close` at the end."""

    def __init__(
        self,
        connector: Connector,
        *,
        leads: bool,
        uses: tuple[str, ...] = (),
    ) -> None:
        self.tunnel = Tunnel(_session(connector.partner.secret), leads=leads, uses=uses)
        self.path: SelectedPath | None = None
        self.link: Link | None = None
        self.connector = connector
        self._timeline, self._leads = connector.timeline, leads
        self._source: str | None = None
        self._uses = uses
        self._parted = False
        self._loop = asyncio.get_running_loop()

    # --- securing

    async def secure(self, path: SelectedPath, *, resumes: bool = False) -> str | None:
        """Use this path from now on; the text says why it cannot be secured. `resumes`: both sides still have
        the secure connection, and only its path is new."""
        old = self.path
        if not (resumes and self._moved_to(path)):
            secret = self.connector.partner.secret
            try:
                link = await path.secure(secret, leads=self._leads)
            except BaseException:
                path.close()
                raise
            if isinstance(link, str):
                path.close()
                return link
            self.link = link
            self.tunnel.attach(link)
        self.path, self._source = path, self._route(path)
        if old is not None and old is not path:
            old.close()
        self._timeline.note("secured", self._secured(), ok=True)
        return None

    def _moved_to(self, path: SelectedPath) -> bool:
        return self.link is not None and path.datagrams is not None and self.link.move(path.datagrams)

    @property
    def _patience_s(self) -> float:
        return patience_s(self._uses, self.tunnel.peer_uses or ())

    def _is_alive(self) -> bool:
        return self.link is not None and self.link.ended is None

    @property
    def resumable(self) -> bool:
        """Is there a secure connection that only lacks a path?"""
        return self._is_alive() and self.path is not None and self.path.datagrams is not None

    def _secured(self) -> str:
        by = "QUIC" if self.link is not None and self.link.kind == "quic" else "TLS 1.3"
        return f"encrypted by {by}; the peer has proved that it has the same code"

    # --- holding

    async def hold(self) -> None:
        """Watch the path, and find another when it is lost, until the tunnel has ended."""
        hasty = 0
        while self.tunnel.ended is None:
            since = self._loop.time()
            why = await self._loss()
            if why is None:
                return
            limit = f"another way is looked for, at most {_span(self._patience_s)}"
            self._timeline.note("lost", f"{why}; {limit}", ok=False)
            self.connector.partner.doubt()
            hasty = hasty + 1 if self._loop.time() - since < LASTING_S else 0
            if hasty > 1:
                await asyncio.sleep(PAUSES_S[min(hasty - 2, len(PAUSES_S) - 1)])
            problem = await self._again()
            if problem is not None:
                self._timeline.note("end", problem, ok=False)
                self.tunnel.stop(problem)

    async def _loss(self) -> str | None:
        """Why the path is lost; None: the tunnel has ended, or this side is leaving."""
        partner, settles_at = self.connector.partner, self._loop.time() + LASTING_S
        while self.tunnel.ended is None:
            await asyncio.sleep(WATCH_S)
            if self.tunnel.ended is not None or self.tunnel.leaving:
                continue
            if self._has_moved():
                self.connector.moved = True
                return "this machine's address has changed"
            if not self._is_alive():
                return "the connection broke"
            if partner.heard_of > partner.attempt:
                return "the other side has lost the path"
            silent_s = self._silent_s()
            if silent_s >= LOST_S:
                return f"nothing was heard of the other side for {silent_s:.0f} s"
            if silent_s >= DOUBT_S and self.path is not None:
                self.path.check()
            elif self._loop.time() >= settles_at:
                partner.settle()
                settles_at = math.inf
        return None

    def _has_moved(self) -> bool:
        """Does this machine use another address of its own towards the peer than when the path was found?"""
        return self.path is not None and self._source is not None and self._route(self.path) != self._source

    def _route(self, path: SelectedPath) -> str | None:
        route = self.connector.own.run.network.route(path.remote.host)
        return None if route is None else route[1]

    def _silent_s(self) -> float:
        """How long nothing came over any path; over TCP the link sees to that itself."""
        return (None if self.path is None else self.path.silent_s()) or 0.0

    async def _again(self) -> str | None:
        """Find a new way, or have the old one back; a text says why there is none."""
        began, tries = self._loop.time(), 0
        problem = ""
        within_s = self._patience_s
        while self._loop.time() - began < within_s:
            recovered, found = await self._try_again(began + within_s)
            if recovered or found is None:
                return None
            problem = found
            if self._parted:  # the old path may come back; nobody says where another one could be
                within_s = min(within_s, GIVE_UP_S)
            pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
            tries += 1
            self._timeline.note("again", f"{problem} Next attempt in {pause:g} s.", ok=False)
            await asyncio.sleep(pause)
        return f"The path was lost, and no other was found in {_span(within_s)}. {problem}"

    async def _try_again(self, until: float) -> tuple[bool, str | None]:
        """(the old path is back, why there is no new one)."""
        async with asyncio.TaskGroup() as group:
            anew = group.create_task(self._anew(until))
            back = group.create_task(self._recovered())
            await asyncio.wait((anew, back), return_when=asyncio.FIRST_COMPLETED)
            for task in (anew, back):
                task.cancel()
            await asyncio.wait((anew, back))
        if not anew.cancelled():
            return False, anew.result()
        self._timeline.note("again", "the old path works again", ok=True)
        return True, None

    async def _anew(self, until: float) -> str | None:
        problem = await self._out_of_reach(until)
        if problem is not None:
            return problem
        resumes = self.resumable
        try:
            path = await self.connector.connect(resumes=resumes)
        except CannotRun as error:
            return f"{error}."  # the cable may be in again soon
        if isinstance(path, Failed):
            return path.why
        attempt = self.connector.last
        return await self.secure(path, resumes=resumes and attempt is not None and attempt.resumes)

    async def _out_of_reach(self, until: float) -> str | None:
        """Wait until the other side can be told of another way; the text says why it cannot."""
        partner = self.connector.partner
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DOUBT_S):
                return self._part(await partner.within_reach())
        self._timeline.note("again", f"{partner.apart} Waiting for it.", ok=False)
        try:
            async with asyncio.timeout_at(until):
                return self._part(await partner.within_reach())
        except TimeoutError:
            return partner.apart

    def _part(self, gone: SignalingEnded | None) -> str | None:
        self._parted = gone is not None
        return None if gone is None else f"{gone.why[:1].upper()}{gone.why[1:].removesuffix('.')}."

    async def _recovered(self) -> None:
        """Until the old path is heard again."""
        while not self.resumable or self._silent_s() >= DOUBT_S:
            await asyncio.sleep(WATCH_S)
            if self.path is not None:
                self.path.check()

    def close(self) -> None:
        """Idempotent."""
        if self.link is not None:
            self.link.abort()
        if self.path is not None:
            self.path.close()


def _span(seconds: float) -> str:
    """In the largest unit that it is a whole number of."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(seconds, size)
        if count and not rest:
            return f"{count:.0f} {unit}" + ("s" if count > 1 else "")
    return f"{seconds:.0f} s"


def _session(secret: bytes) -> bytes:
    """What both sides call their tunnel."""
    return hmac.digest(secret, b"nattools tunnel", "sha256")[:16]
