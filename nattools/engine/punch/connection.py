"""A secure connection to the peer: attempt after attempt until there is one, secured, watched, and
moved to another path when one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
from collections.abc import Callable, Collection
from typing import Final

from nattools.engine.punch.directsearch import DirectSearch, PathLog
from nattools.engine.punch.pathfinder import PathFinder
from nattools.engine.punch.renewal import RelayRenewal
from nattools.engine.punch.signaling import SignalingEnded
from nattools.engine.punch.signals import AttemptAim
from nattools.engine.punch.timeline import NoPath
from nattools.errors import CannotRun
from nattools.model.endpoint import Transport
from nattools.model.statement import Statement, statement
from nattools.net.eventloop import TimeLimit
from nattools.traversal.links.link import Link
from nattools.traversal.path import SECURE_S, SelectedPath
from nattools.traversal.relayaccess import TurnAccess
from nattools.traversal.tunnel import Tunnel
from nattools.wording import text_of

ESTABLISH_S: Final = 600.0
"""Whatever the peer does, there is a connection by then, or none."""
WATCH_S: Final = 0.5
DOUBT_S: Final = 3.0
"""After so long a silence the peer is asked at once, and spare paths are checked."""
LOST_S: Final = 9.0
"""After so long a silence the path is lost, and another one is looked for."""
GONE_S: Final = 4.0
"""A peer that was asked for so long and has not answered is gone, where another one waits for its place."""
SETTLED_S: Final = 30.0
"""After so long without a loss the conversation moves to where it can be found much later."""
LATELY_S: Final = 3600.0
OFTEN: Final = 2
"""What is lost more often within this time is replaced ever more slowly: a peer might report losses for ever,
and each attempt costs packets that may go to others."""
PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
OFFER_S: Final = 30.0
"""So long the mailbox is asked for new credentials."""
GIVE_UP_S: Final = 120.0
"""So long another path is looked for when one is lost."""
PIPE_GIVE_UP_S: Final = 3600.0
"""The same for a pipe, whose rest would be missing."""
LASTING_GIVE_UP_S: Final = 7 * 24 * 3600.0
"""The same for a connection that is wanted until somebody ends it."""


def patience_s(uses: Collection[str]) -> float:
    """How long another path is worth looking for, by what this side was started for: what the peer wants
    makes nobody wait."""
    ends = "exec" in uses or "bench" in uses
    if "keep" in uses or (not ends and not {"forward", "reverse", "allow"}.isdisjoint(uses)):
        return LASTING_GIVE_UP_S
    return PIPE_GIVE_UP_S if "pipe" in uses else GIVE_UP_S


class PunchConnection:
    """`establish` it; then run `tunnel.run()` and `hold()` side by side. `close` at the end. `ended`: why no
    path was found any more, once that is so."""

    def __init__(
        self, connector: PathFinder, *, uses: tuple[str, ...], prepare: Callable[[Tunnel], None]
    ) -> None:
        """`uses`: what this side was started for; `prepare` registers what the peer may open."""
        self.connector = connector
        self.path: SelectedPath | None = None
        self.link: Link | None = None
        self.ended: tuple[Statement, ...] = ()
        self._tunnel: Tunnel | None = None
        self._prepare = prepare
        self._timeline, self._signaling = connector.timeline, connector.signaling
        self._source: str | None = None
        self._uses = uses
        self._parted = self._only_relayed = False
        self._leads: bool | None = None
        self.paths = PathLog(connector.timeline.began)
        self._search = DirectSearch()
        self._renewal = RelayRenewal()
        self._loop = asyncio.get_running_loop()

    @property
    def tunnel(self) -> Tunnel:
        """What goes through the connection; there is one once it was established."""
        assert self._tunnel is not None
        return self._tunnel

    # --- making it

    async def establish(self) -> NoPath | None:
        """Find a path and secure it; if it cannot be secured, try another one. None: there is a connection.

        CannotRun: this machine is in no network."""
        if not self._signaling.live:
            return await self._establish()
        async with TimeLimit(ESTABLISH_S) as limit:
            problem = await self._establish()
        return NoPath((statement("peer-dawdles", limit_s=ESTABLISH_S),)) if limit.expired() else problem

    async def _establish(self) -> NoPath | None:
        failed: list[Transport] = []
        while True:
            again = len(failed) > 1 and failed[-1] == failed[-2]
            path = await self.connector.connect(without=failed[-1] if again else None)
            if isinstance(path, NoPath):
                return path
            if self._leads is None:  # of the first path: one side may have a link over it, and keep its part
                self._leads = self.connector.leads
            problem = await self.secure(path)
            if problem is None:
                self.connector.secured()
                return None
            failed.append(path.transport)
            reasons = (statement("not-secured"), *problem)
            if len(failed) >= self.connector.first_paths:
                return NoPath(reasons)
            pause_s = PAUSES_S[0] if not self._signaling.live else PAUSES_S[len(failed) - 1]
            self._timeline.note("again", *reasons, statement("next-attempt", pause_s=pause_s), ok=False)
            await asyncio.sleep(pause_s)

    async def secure(self, path: SelectedPath, *, resumes: bool = False) -> tuple[Statement, ...] | None:
        """Use this path from now on; statements say why it cannot be secured. `resumes`: both sides still
        have the secure connection, and only its path is new."""
        old = self.path
        if not (resumes and self._moved_to(path)):
            problem = await self._link_over(path)
            if problem is not None:
                return problem
        self.path, self._source = path, self._route(path)
        attempt = self.connector.last  # later ones may fail before the peer has said what it wants
        self._only_relayed = attempt is not None and attempt.only_relayed
        if old is not None and old is not path:
            old.close()
        self.paths.note(path)
        quic = self.link is not None and self.link.kind == "quic"
        self._timeline.note("secured", statement("secured", protocol="QUIC" if quic else "TLS 1.3"), ok=True)
        return None

    def _moved_to(self, path: SelectedPath) -> bool:
        return self.link is not None and path.datagrams is not None and self.link.move(path.datagrams)

    async def _link_over(self, path: SelectedPath) -> tuple[Statement, ...] | None:
        secret, leads = self._signaling.secret, bool(self._leads)
        try:
            limit_s = self.connector.secure_s if self._tunnel is None else SECURE_S
            link = await path.secure(secret, leads=leads, timeout_s=limit_s)
        except BaseException:
            path.close()
            raise
        if isinstance(link, Statement):
            path.close()
            return (link,)
        if self._tunnel is None:
            self._tunnel = Tunnel(_session(secret), leads=leads, uses=self._uses)
            self._prepare(self._tunnel)
        self.link = link
        self._tunnel.attach(link)
        return None

    def _is_alive(self) -> bool:
        return self.link is not None and self.link.ended is None

    @property
    def resumable(self) -> bool:
        """Is there a secure connection that only lacks a path?"""
        return self._is_alive() and self.path is not None and self.path.datagrams is not None

    # --- holding it

    async def hold(self) -> None:
        """Watch the path, and find another one when it is lost, until the tunnel has ended."""
        losses: list[float] = []
        while self.tunnel.ended is None:
            loss = await self._event()
            if loss is None:
                return
            if isinstance(loss, AttemptAim):
                await self._try_aside(loss)
                continue
            search = statement("looking-for-path", limit_s=patience_s(self._uses))
            self._timeline.note("lost", loss, search, ok=False)
            self._signaling.doubt()
            now = self._loop.time()
            losses = [*(each for each in losses if now - each < LATELY_S), now]
            if len(losses) > OFTEN and await self._recovers_within(_pause_s(len(losses) - OFTEN)):
                continue
            self.ended = await self._replace_path()
            if self.ended:
                self._timeline.note("end", *self.ended, ok=False)
                self.tunnel.stop(text_of(self.ended))

    async def make_room(self) -> None:
        """End the connection when the peer says nothing any more, and somebody else who knows the secret asks
        for its place: most likely the same person, who has begun anew."""
        while self.tunnel.ended is None:
            await asyncio.sleep(WATCH_S)
            asking_s = self.connector.newcomer_s
            if asking_s is None or self.path is None or self.tunnel.leaving:
                continue
            self.path.check()
            if min(asking_s, self._silent_s()) >= GONE_S:
                self.ended = (self.connector.make_room(),)
                self._timeline.note("end", *self.ended, ok=False)
                self.tunnel.stop(text_of(self.ended))

    async def _event(self) -> Statement | AttemptAim | None:
        """A statement: why the path is lost. An aim: it is relayed, and another one is to be tried beside it.
        None: the tunnel has ended, or this side is leaving."""
        signaling, settles_at = self._signaling, self._loop.time() + SETTLED_S
        while self.tunnel.ended is None:
            await asyncio.sleep(WATCH_S)
            if self.tunnel.ended is not None or self.tunnel.leaving:
                continue
            if self._has_moved():
                self.connector.moved = True
                return statement("address-changed")
            if not self._is_alive():
                return statement("connection-broke")
            self.paths.note(self.path)
            if (aim := self._heard_aim() or self._own_aim()) is not None:
                return aim
            silent_s = self._silent_s()
            if silent_s >= LOST_S:
                return statement("peer-quiet", silent_s=round(silent_s, 3))
            if silent_s >= DOUBT_S and self.path is not None:
                self.path.check()
            elif self._loop.time() >= settles_at:
                signaling.settle()
                settles_at = math.inf
        return None

    def _heard_aim(self) -> Statement | AttemptAim | None:
        """What the peer has begun. It is not followed aside as often as it likes."""
        if self._signaling.heard_of <= self._signaling.attempt:
            return None
        aim = self._signaling.heard_aim
        return aim if aim.aside and self._search.join(self._loop.time()) else statement("peer-lost-path")

    def _own_aim(self) -> AttemptAim | None:
        """What is to be begun here."""
        if not self._signaling.live or self.path is None:
            return None
        now = self._loop.time()
        if self._leads and self._search.due(self._is_relayed, now):
            return AttemptAim(search=self._search.number)
        return AttemptAim(renews=True) if self._renewal.due(self.path.relayed_until, now) else None

    @property
    def _is_relayed(self) -> bool:
        """Over a relay that is there for want of a direct path?"""
        relayed = self.path is not None and self.path.relayed
        return self._signaling.live and relayed and not self._only_relayed

    async def _try_aside(self, aim: AttemptAim) -> None:
        """Try for another path while the relay goes on passing everything on."""
        self._timeline.note("again", statement("relay-renewal" if aim.renews else "direct-search"))
        if aim.renews and self._signaling.heard_of <= self._signaling.attempt:
            await self._renew_offer()
        resumes = self.resumable
        try:
            path = await self.connector.connect(resumes=resumes, aim=aim)
        except CannotRun as error:
            path = NoPath((statement("cannot-run", problem=str(error)),))
        if isinstance(path, NoPath):
            failed = statement("relay-renewal-failed" if aim.renews else "direct-search-failed")
            self._timeline.note("again", failed, ok=False)
            return
        problem = await self.secure(path, resumes=resumes and self.connector.resumes)
        found = statement("relay-renewed" if path.relayed else "direct-found", remote=str(path.remote))
        self._timeline.note("again", *(problem or (found,)), ok=problem is None)

    async def _renew_offer(self) -> None:
        """New credentials from the mailbox, unless those that it gave last hold for much longer than those in
        use, or relays are named here."""
        now = self._loop.time()
        left_s = 0.0 if self.path is None else self.path.relayed_until - now
        offers = (each.until - now for each in self._signaling.relays if isinstance(each, TurnAccess))
        if self.connector.own.options.relays or any(holds_s > 2 * left_s for holds_s in offers):
            return
        async with TimeLimit(OFFER_S):
            await self._signaling.renew_relays()

    def _has_moved(self) -> bool:
        """Does this machine use another address of its own towards the peer than when the path was found?"""
        return self.path is not None and self._source is not None and self._route(self.path) != self._source

    def _route(self, path: SelectedPath) -> str | None:
        route = self.connector.own.run.network.route(path.remote.host)
        return None if route is None else route[1]

    def _silent_s(self) -> float:
        """How long nothing came over any path; over TCP the link sees to that itself."""
        return (None if self.path is None else self.path.silent_s()) or 0.0

    # --- finding another path

    async def _replace_path(self) -> tuple[Statement, ...]:
        """Find a new path, or have the old one back; statements say why there is none."""
        began, tries = self._loop.time(), 0
        problem: tuple[Statement, ...] = ()
        within_s = patience_s(self._uses)
        while self._loop.time() - began < within_s:
            found = await self._new_or_old_path(began + within_s)
            if found is None:
                return ()
            problem = found
            if self._parted:  # the old path may come back; nobody tells where another one could be
                within_s = min(within_s, GIVE_UP_S)
            tries += 1
            pause_s = _pause_s(tries)
            self._timeline.note("again", *problem, statement("next-attempt", pause_s=pause_s), ok=False)
            await asyncio.sleep(pause_s)
        return (statement("path-not-replaced", limit_s=within_s), *problem)

    async def _new_or_old_path(self, until: float) -> tuple[Statement, ...] | None:
        """None: there is a path again; or why there is no new one."""
        async with asyncio.TaskGroup() as group:
            new = group.create_task(self._new_path(until))
            old = group.create_task(self._old_path_back())
            await asyncio.wait((new, old), return_when=asyncio.FIRST_COMPLETED)
            for task in (new, old):
                task.cancel()
            await asyncio.wait((new, old))
        if not new.cancelled():
            return new.result()
        self._timeline.note("again", statement("path-recovered"), ok=True)
        return None

    async def _recovers_within(self, pause_s: float) -> bool:
        """Does the old path come back before another one is looked for?"""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._old_path_back()
                self._timeline.note("again", statement("path-recovered"), ok=True)
                return True
        return False

    async def _new_path(self, until: float) -> tuple[Statement, ...] | None:
        problem = await self._reach_peer(until)
        if problem is not None:
            return problem
        resumes = self.resumable
        try:
            path = await self.connector.connect(resumes=resumes)
        except CannotRun as error:
            return (statement("cannot-run", problem=str(error)),)  # the cable may be in again soon
        if isinstance(path, NoPath):
            return path.reasons
        return await self.secure(path, resumes=resumes and self.connector.resumes)

    async def _reach_peer(self, until: float) -> tuple[Statement, ...] | None:
        """Wait until the peer can be told of another path; statements say why it cannot."""
        signaling = self._signaling
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DOUBT_S):
                return self._part(await signaling.within_reach())
        self._timeline.note("again", signaling.apart, statement("waiting-for-peer"), ok=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                return self._part(await signaling.within_reach())
        return (signaling.apart,)

    def _part(self, ended: SignalingEnded | None) -> tuple[Statement, ...] | None:
        self._parted = ended is not None
        return None if ended is None else ended.reasons

    async def _old_path_back(self) -> None:
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


def _pause_s(times: int) -> float:
    return PAUSES_S[min(times, len(PAUSES_S)) - 1]


def _session(secret: bytes) -> bytes:
    """What both sides call their tunnel."""
    return hmac.digest(secret, b"nattools tunnel", "sha256")[:16]
