"""The path MTU of a punched path, both ways: each side tries the way to the other by checks that fill a
packet (RFC 8899 5.3), and tells what it has found. Only where no router may fragment what is sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nattools.model.endpoint import Endpoint
from nattools.model.punchmtu import OneWayMtu, PunchMtu
from nattools.net.base import IcmpError, Network
from nattools.net.eventloop import TimedEvent, TimeLimit
from nattools.probes.pathmtu import link_mtu
from nattools.probes.sizesearch import HEADERS, ORDINARY, SizeSearch, largest_for
from nattools.protocols import ice, stun
from nattools.protocols.ice.sizechecks import (
    FoundSize,
    binding_message,
    proves_arrival,
    size_check,
    telling_check,
    told_by,
)
from nattools.traversal.path import QUIC_SIZE, IcePath, SelectedPath

if TYPE_CHECKING:
    from collections.abc import Iterator

COPIES: Final = 6
"""At 10 % loss each way, one in 20,000 sizes that pass is missed."""
LOOK_S: Final = 0.5
FINISH_S: Final = 6.0
"""So long the end of a connection waits for the search."""
WORD_S: Final = 1.0
"""And so long, after that, for what the peer has found."""
UNKNOWN_RTT_S: Final = 0.25


class PathSizes:
    """`watch` while the path is in use. `mtu`: of the path that is used now, as far as it is known."""

    def __init__(self, network: Network, path_of: Callable[[], SelectedPath | None]) -> None:
        self._network = network
        self._path_of = path_of
        self._search: PunchedSize | None = None
        self._settled = asyncio.Event()

    @property
    def mtu(self) -> PunchMtu | None:
        """None: nothing is known, or the path is not one of datagrams without a relay."""
        path, search = self._path_of(), self._search
        if path is None or search is None or search.ends != _ends(path) or path.relayed:
            return None
        return search.mtu

    async def watch(self) -> None:
        """Until it is cancelled: each direct path anew."""
        heard = contextlib.ExitStack()
        with heard:
            while True:
                path = self._path_of()
                if self._wanted(path) and isinstance(path, IcePath):
                    self._settled.clear()
                    heard.close()
                    search = PunchedSize(path, tells=self._network.missing("icmp-errors") is None)
                    self._search = search
                    heard.enter_context(search.listening())
                    await search.run(link_mtu(self._network, path.remote.host))
                self._settled.set()
                await asyncio.sleep(LOOK_S)

    async def settled(self) -> None:
        """Until the search under way is over, or for as long as is worth waiting."""
        async with TimeLimit(FINISH_S):
            await self._settled.wait()
            if self._search is not None and self.mtu is not None:
                await self._search.word_of_peer.wait(WORD_S)

    def _wanted(self, path: SelectedPath | None) -> bool:
        if path is None or path.relayed or self._network.missing("dont-fragment") is not None:
            return False
        return self._search is None or self._search.ends != _ends(path)


class PunchedSize(SizeSearch):
    """The search over the best pair of one path. The secure connection has proven that 1,200 bytes pass.
    `tells`: this system reports ICMP errors."""

    def __init__(self, path: IcePath, *, tells: bool) -> None:
        super().__init__(PathTimeouts(path))
        self.ends = _ends(path)
        self._over, self._tells = False, tells
        self._driver, self._pair = path.driver, path.driver.agent.usable
        self._headers = HEADERS[path.family]
        self._down: FoundSize | None = None
        self.word_of_peer = TimedEvent()
        self._answers = 0
        self._sent: dict[bytes, int] = {}
        self._tellings: set[bytes] = set()
        self._heard = TimedEvent()

    @property
    def mtu(self) -> PunchMtu | None:
        """As far as it is known."""
        found, down = self._found, self._down
        if found is None and down is None:
            return None
        return PunchMtu(
            up=found and OneWayMtu(bytes=found.size, black_hole=found.black_hole, too_big_from=self.told_by),
            down=down and OneWayMtu(bytes=down.size, black_hole=down.black_hole),
        )

    @property
    def _found(self) -> FoundSize | None:
        if not self._over or self.passed is None:
            return None
        size = self.passed
        if self.told is not None and 0 <= self.told - size < 4:
            size = self.told
        return FoundSize(size, self._black_hole)

    @property
    def _black_hole(self) -> bool | None:
        if self.failed is None or self.failed in self.refused or self.told is not None:
            return False
        return None if not self._tells else self.told_by is None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen meanwhile to what the driver gets."""
        driver = self._driver
        driver.on_stun, driver.on_icmp = self._stun, self._icmp
        try:
            yield
        finally:
            driver.on_stun = driver.on_icmp = None

    async def run(self, link: int | None) -> None:
        """Search, and tell the peer."""
        least = self._headers + QUIC_SIZE
        self.passed = least
        largest = largest_for(link)
        if largest > ORDINARY:  # jumbo frames seldom get far
            await self.narrow(ORDINARY, least=least)
            if self.passed == ORDINARY:
                await self.narrow(largest, least=ORDINARY)
        elif largest > least:
            await self.narrow(largest, least=least)
        self._over = True
        if self._found is not None:
            await self._tell(self._found)

    async def _tell(self, found: FoundSize) -> None:
        """Until it is heard and the peer's word is there, which may have come when nobody here listened yet:
        who tells is answered by a peer that has done so."""
        for _ in range(COPIES):
            self._tell_once(found)
            gap_s = self._patience.gap_s
            if await self._heard.wait(gap_s) and await self.word_of_peer.wait(gap_s):
                break
        self._answers = COPIES

    def _tell_once(self, found: FoundSize) -> None:
        transaction = stun.new_transaction_id()
        self._tellings.add(transaction)
        if (check := self._check()) is not None and self._pair is not None:
            self._driver.send_on(telling_check(check[0], transaction, check[1], found), self._pair)

    def _send(self, size: int) -> bool:
        check = self._check()
        if check is None or self._pair is None:
            return True  # and nothing answers
        transaction = stun.new_transaction_id()
        self._sent[transaction] = size
        data = size_check(check[0], transaction, check[1], size - self._headers)
        return self._driver.send_on(data, self._pair) != "too-big"

    def _check(self) -> tuple[bytes, ice.Credentials] | None:
        """A check of the agent's, and what signs it."""
        agent = self._driver.agent
        remote = agent.remote_credentials
        if remote is None or self._pair is None or agent.state == "closed":
            return None
        return agent.probe(self._pair.path[1], self._pair.path[2]), remote

    def _stun(self, data: bytes) -> bool:
        remote, message = self._driver.agent.remote_credentials, binding_message(data)
        if remote is None or message is None:
            return False
        if message.kind == "request":
            self._take_told(told_by(message, self._driver.agent.credentials, remote))
            return False
        own = message.transaction_id in self._tellings
        size = self._sent.get(message.transaction_id)
        if not own and size is None:
            return False
        if proves_arrival(message, remote):
            if size is not None:
                self.answered(size)
            else:
                self._heard.set()
        return True

    def _take_told(self, found: FoundSize | None) -> None:
        """The peer's agent may have answered before anybody there listened: now somebody does."""
        if found is None:
            return
        if self._answers and self._found is not None:
            self._answers -= 1
            self._tell_once(self._found)
        self._down = found
        self.word_of_peer.set()

    def _icmp(self, error: IcmpError) -> None:
        if error.kind == "too-big" and self._pair is not None and error.destination == self._pair.path[2]:
            self.note_told(error)


class PathTimeouts:
    """From the round trip of a path that ICE measures."""

    def __init__(self, path: IcePath) -> None:
        self._path = path

    def copies(self) -> int:
        """As many as ordinary loss asks for."""
        return COPIES

    @property
    def gap_s(self) -> float:
        """Most packets are answered before the next copy."""
        return max(0.05, 1.25 * self._rtt_s)

    @property
    def last_wait_s(self) -> float:
        """Before silence counts."""
        return 0.15 + 2.0 * self._rtt_s

    @property
    def _rtt_s(self) -> float:
        rtt_ms = self._path.rtt_ms
        return UNKNOWN_RTT_S if rtt_ms is None else min(1.0, rtt_ms / 1000)


def _ends(path: SelectedPath) -> tuple[Endpoint, Endpoint]:
    return path.local, path.remote
