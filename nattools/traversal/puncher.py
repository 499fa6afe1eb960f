"""Many sockets, one peer: sends checks, answers the peer's, and settles on one path that works both ways.

A path is found when an authentic packet arrives; it works when our own check over it was answered. The
leading side then nominates it, with repeats (regular nomination, RFC 8445 8.1.1), and the other follows once
its own check over the path was answered too: a nomination that somebody replays from elsewhere leads nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, UdpSocket
from nattools.protocols import stun
from nattools.protocols.stun.constants import USE_CANDIDATE
from nattools.traversal.checks import Checks
from nattools.traversal.meeting import Counts, Meeting, Outcome

REPEAT_S = 0.05
REPEATS = 9
"""Of a check over a path that was found: after 0.05 s, and each time 1.5 times later, 3.7 s in all."""
PATHS = 8
"""More found paths than these are not followed up."""

Path = tuple[UdpSocket, Endpoint]


class Puncher:
    """Use as a context manager: leaving it closes all sockets but the connected one and the meeting's own."""

    def __init__(self, network: Network, meeting: Meeting) -> None:
        self.meeting = meeting
        self.counts = Counts()
        self._network = network
        self._checks = Checks(meeting.secret, leads=meeting.leads)
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._done = asyncio.Event()
        self._chosen: Path | None = None
        self._working: Path | None = None
        self._answered_paths: set[Path] = set()
        self._nominated: set[Path] = set()
        self._asked: dict[bytes, tuple[Path, bool]] = {}
        self._found: dict[tuple[int, Endpoint], asyncio.TimerHandle | None] = {}
        self._own: list[UdpSocket] = []

    def __enter__(self) -> Puncher:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._found.values():
            if timer is not None:
                timer.cancel()
        for socket in self._own:
            if self._chosen is None or socket is not self._chosen[0]:
                socket.close()
        if self._chosen is None or self._chosen[0] is not self.meeting.socket:
            self.meeting.socket.on_datagram = None

    # --- sockets

    def use_told(self) -> UdpSocket:
        """The socket whose outside port the peer was told."""
        return self._listen(self.meeting.socket)

    async def open(self, count: int, sources: tuple[int, int] | None = None) -> list[UdpSocket]:
        """Up to `count` new sockets; with `sources`, on local ports of that range, as many as are free.

        CannotRun: none could be had."""
        host = self.meeting.socket.local.host
        opened: list[UdpSocket] = []
        failure: CannotRun | None = None
        for port in _ports(count, sources):
            if len(opened) == count:
                break
            try:
                socket = await self._network.open_udp(family=self.meeting.family, host=host, port=port)
            except CannotRun as error:
                failure = error
                continue
            self._own.append(socket)
            opened.append(self._listen(socket))
        if not opened:
            raise failure or CannotRun("no socket could be opened")
        return opened

    def _listen(self, socket: UdpSocket) -> UdpSocket:
        socket.on_datagram = lambda data, source: self._arrived(socket, data, source)
        return socket

    # --- out

    @property
    def connected(self) -> bool:
        """Is it over?"""
        return self._done.is_set()

    def probe(self, socket: UdpSocket, port: int, *, ttl: int | None = None) -> None:
        """One check to a port of the peer."""
        failure = self._send(socket, Endpoint(self.meeting.peer.host, port), ttl=ttl)
        if failure:
            self.counts.unsent += 1
        else:
            self.counts.sent += 1

    def _send(
        self, socket: UdpSocket, to: Endpoint, *, ttl: int | None = None, nominate: bool = False
    ) -> bool:
        transaction = stun.new_transaction_id()
        self._asked[transaction] = ((socket, to), nominate)
        return socket.send(self._checks.request(transaction, nominate=nominate), to, ttl=ttl) is not None

    async def within(self, seconds: float) -> bool:
        """Wait so long at most; True as soon as it is connected."""
        if seconds > 0 and not self._done.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._done.wait()
        return self._done.is_set()

    async def until(self, after_s: float) -> bool:
        """Wait until so long after the start; True as soon as it is connected."""
        return await self.within(self._started + after_s - self._loop.time())

    def outcome(self, reason: str = "") -> Outcome:
        """What came of it so far; `reason` if nothing did."""
        elapsed = self._loop.time() - self._started
        if self._chosen is None:
            return Outcome(None, None, reason or self._why(), elapsed, self.counts)
        return Outcome(self._chosen[0], self._chosen[1], "", elapsed, self.counts)

    def _why(self) -> str:
        if self._working is not None or self._answered_paths:
            return "A path works, but the peer did not confirm that it uses it."
        if self.counts.seen:
            return "Packets of the peer arrived, but it did not answer ours."
        if self.counts.refused:
            return "Packets arrived, but none was the peer's."
        if self.counts.unsent and not self.counts.sent:
            return "No packet could be sent."
        return "Nothing of the peer arrived."

    # --- in

    def _arrived(self, socket: UdpSocket, data: bytes, source: Endpoint) -> None:
        message = self._checks.read(data)
        if message is None:
            self.counts.refused += 1
            return
        self.counts.seen += 1
        if message.kind == "request":
            self._asked_by_peer(socket, message, source)
        else:
            self._answered(message, source)

    def _asked_by_peer(self, socket: UdpSocket, message: stun.Message, source: Endpoint) -> None:
        self.counts.answers += 1
        socket.send(self._checks.answer(message, source), source)
        if self._done.is_set():
            return
        path = (socket, source)
        if message.get(USE_CANDIDATE) is not None and not self.meeting.leads and len(self._nominated) < PATHS:
            self._nominated.add(path)
            if path in self._answered_paths:
                self._settle(path)
                return
        self._follow_up(path)

    def _answered(self, message: stun.Message, source: Endpoint) -> None:
        asked = self._asked.get(message.transaction_id)
        if asked is None or self._done.is_set():
            return
        path, nominated = asked
        if path[1] != source:
            # the peer's NAT gave the answer another port than the one we called
            self._follow_up((path[0], source))
        elif self.meeting.leads:
            self._answered_leader(path, nominated)
        else:
            self._answered_paths.add(path)
            if path in self._nominated:
                self._settle(path)

    def _answered_leader(self, path: Path, nominated: bool) -> None:
        if self._working is None:
            self._working = path
            self._restart(path)
        elif nominated and path == self._working:
            self._settle(path)

    def _follow_up(self, path: Path) -> None:
        key = (id(path[0]), path[1])
        if key not in self._found and len(self._found) < PATHS:
            self._found[key] = None
            self._insist(path, 0)

    def _restart(self, path: Path) -> None:
        """The path works: from now on it is nominated."""
        for timer in self._found.values():
            if timer is not None:
                timer.cancel()
        self._found[id(path[0]), path[1]] = None
        self._insist(path, 0)

    def _insist(self, path: Path, times: int) -> None:
        if self._done.is_set() or times > REPEATS:
            return
        self.counts.answers += 1
        # nothing but the working path: the other side would settle on any
        self._send(path[0], path[1], nominate=self.meeting.leads and path == self._working)
        delay = REPEAT_S * 1.5**times
        self._found[id(path[0]), path[1]] = self._loop.call_later(delay, self._insist, path, times + 1)

    def _settle(self, path: Path) -> None:
        self._chosen = path
        self._done.set()


def _ports(count: int, sources: tuple[int, int] | None) -> Iterable[int]:
    return (0 for _ in range(count)) if sources is None else range(sources[0], sources[1] + 1)
