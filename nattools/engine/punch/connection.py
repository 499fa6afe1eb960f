"""A secure connection over whatever way there is: made, held, and given another way when one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
from typing import Final

from nattools.engine.punch.attempt import Failed
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.partner import Gone
from nattools.engine.punch.use import GIVE_UP_S, patience_s
from nattools.engine.punch.way import Way
from nattools.errors import CannotRun
from nattools.net.base import TcpStream
from nattools.traversal.carrier import Carrier
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.link import Link
from nattools.traversal.quiclink import quic_link
from nattools.traversal.tlslink import tls_link
from nattools.traversal.tunnel import Tunnel

SECURE_S: Final = 10.0
WATCH_S: Final = 0.5
DOUBT_S: Final = 3.0
"""Nothing heard for so long: the peer is asked at once, and spare paths are looked at."""
LOST_S: Final = 9.0
"""Nothing heard for so long: the path is lost, and another is looked for."""
LASTING_S: Final = 30.0
"""Paths that are lost sooner than this are replaced ever more slowly: a peer might say so for ever, and each
attempt costs packets that may go to others."""
PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)


class Connection:
    """`secure` a way; then run `tunnel.run()` and `hold()` side by side. `close` at the end."""

    def __init__(
        self,
        connector: Connector,
        *,
        leads: bool,
        uses: tuple[str, ...] = (),
    ) -> None:
        self.tunnel = Tunnel(_session(connector.partner.secret), leads=leads, uses=uses)
        self.way: Way | None = None
        self.link: Link | None = None
        self.connector = connector
        self._timeline, self._leads = connector.timeline, leads
        self._carrier: Carrier | None = None
        self._source: str | None = None
        self._uses = uses
        self._parted = False
        self._loop = asyncio.get_running_loop()

    # --- securing

    async def secure(self, way: Way, *, resumes: bool = False) -> str | None:
        """Use this way from now on; the text says why it cannot be secured. `resumes`: both sides still have
        the secure connection, and only its path is new."""
        old = self.way
        if resumes and way.driver is not None and self._carrier is not None and self._is_alive():
            self._carrier.use(way.driver)
        else:
            try:
                link = await self._link_over(way)
            except BaseException:
                way.close()
                raise
            if isinstance(link, str):
                way.close()
                return link
            self.link = link
            self.tunnel.attach(link)
        self.way, self._source = way, self._route(way)
        if old is not None and old is not way:
            old.close()
        self._timeline.note("secured", self._secured(way), ok=True)
        return None

    async def _link_over(self, way: Way) -> Link | str:
        secret = self.connector.partner.secret
        if way.driver is not None:
            carrier = Carrier(way.driver)
            link: Link | str = await quic_link(carrier, secret, leads=self._leads, timeout_s=SECURE_S)
            if not isinstance(link, str):
                self._carrier = carrier
            return link
        stream: TcpStream | None = way.stream
        assert stream is not None
        self._carrier = None
        return await tls_link(stream, secret, leads=self._leads, timeout_s=SECURE_S)

    @property
    def _patience_s(self) -> float:
        return patience_s(self._uses, self.tunnel.peer_uses or ())

    def _is_alive(self) -> bool:
        return self.link is not None and self.link.ended is None

    @property
    def resumable(self) -> bool:
        """Is there a secure connection that only lacks a path?"""
        return self._carrier is not None and self._is_alive()

    def _secured(self, way: Way) -> str:
        by = "QUIC" if way.driver is not None else "TLS 1.3"
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
            if silent_s >= DOUBT_S and self.way is not None and self.way.driver is not None:
                _doubt(self.way.driver, self._loop.time())
            elif self._loop.time() >= settles_at:
                partner.settle()
                settles_at = math.inf
        return None

    def _has_moved(self) -> bool:
        """Does this machine use another address of its own towards the peer than when the way was found?"""
        return self.way is not None and self._source is not None and self._route(self.way) != self._source

    def _route(self, way: Way) -> str | None:
        route = self.connector.own.run.network.route(way.remote.host)
        return None if route is None else route[1]

    def _silent_s(self) -> float:
        """How long nothing came over any path; over TCP the link sees to that itself."""
        driver = None if self.way is None else self.way.driver
        if driver is None:
            return 0.0
        heard = [pair.answered_at for pair in driver.agent.pairs if pair.answered_at is not None]
        heard.append(driver.heard_at)
        return self._loop.time() - max(heard)

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
            way = await self.connector.connect(resumes=resumes)
        except CannotRun as error:
            return f"{error}."  # the cable may be in again soon
        if isinstance(way, Failed):
            return way.why
        attempt = self.connector.last
        return await self.secure(way, resumes=resumes and attempt is not None and attempt.resumes)

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

    def _part(self, gone: Gone | None) -> str | None:
        self._parted = gone is not None
        return None if gone is None else f"{gone.why[:1].upper()}{gone.why[1:].removesuffix('.')}."

    async def _recovered(self) -> None:
        """Until the old path is heard again."""
        while not (self._is_alive() and self.way is not None and self.way.driver is not None) or (
            self._silent_s() >= DOUBT_S
        ):
            await asyncio.sleep(WATCH_S)
            if self.way is not None and self.way.driver is not None:
                _doubt(self.way.driver, self._loop.time())

    def close(self) -> None:
        """Idempotent."""
        if self.link is not None:
            self.link.abort()
        if self.way is not None:
            self.way.close()


def _span(seconds: float) -> str:
    """In the largest unit that it is a whole number of."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(seconds, size)
        if count and not rest:
            return f"{count:.0f} {unit}" + ("s" if count > 1 else "")
    return f"{seconds:.0f} s"


def _doubt(driver: IceDriver, now: float) -> None:
    driver.agent.doubt(now)
    driver.pump()


def _session(secret: bytes) -> bytes:
    """What both sides call their tunnel."""
    return hmac.digest(secret, b"nattools tunnel", "sha256")[:16]
