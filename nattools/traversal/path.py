"""What a connection stands on: datagrams between two sockets, or a stream of bytes.

Whoever holds, reports or secures a path asks the path; nothing above looks at what it is made of. Another
kind of path (an allocation on a relay, say) is one more class here.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.punch import Path, Strategy
from nattools.model.statement import Statement, statement
from nattools.net.base import TcpStream
from nattools.protocols import ice
from nattools.protocols.demultiplex import SharedProtocol
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.links.link import DatagramPath, Link, Receive

SECURE_S: Final = 10.0
QUIC_SIZE: Final = 1200
"""What a path has to carry (RFC 9000 14)."""


class SelectedPath(ABC):
    """A path that leads to the peer. `elapsed_s`: from both sides' candidates known to the first
    authenticated answer."""

    def __init__(self, strategy: Strategy, transport: Transport, elapsed_s: float) -> None:
        self._strategy = strategy
        self.transport = transport
        self.elapsed_s = round(elapsed_s, 4)

    @property
    def strategy(self) -> Strategy:
        """What leads over it, at the moment."""
        return self._strategy

    @property
    @abstractmethod
    def local(self) -> Endpoint:
        """The own end, at the moment."""

    @property
    @abstractmethod
    def remote(self) -> Endpoint:
        """The peer's end, at the moment."""

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return self.remote.family

    @property
    def relayed(self) -> bool:
        """Does somebody else pass everything on?"""
        return self.strategy == "relay"

    @property
    def relay(self) -> str | None:
        """The relay's URI, or what else is known of it; None: it is direct."""
        return None

    @property
    def relayed_until(self) -> float:
        """The loop's time at which the credentials end by which the relay lets this side in, if they do."""
        return math.inf

    @property
    def datagrams(self) -> DatagramPath | None:
        """Itself where it carries datagrams: then a link can move to it from another such path."""
        return None

    @property
    def rtt_ms(self) -> float | None:
        """The round trip in milliseconds, where it is measured."""
        return None

    @property
    def spares(self) -> tuple[Path, ...]:
        """Other paths that work and stand ready, for the report."""
        return ()

    def silent_s(self) -> float | None:
        """Seconds since anything came over it; None: its link looks after that itself."""
        return None

    def check(self) -> None:  # noqa: B027 (where nothing can be asked, nothing is)
        """Ask the peer at once whether it still hears, and go over to a spare if not."""

    @abstractmethod
    async def secure(self, secret: bytes, *, leads: bool, timeout_s: float = SECURE_S) -> Link | Statement:
        """A link over it to the peer, who knows the same 32 bytes; a statement says why there is none.
        Exactly one of the two sides leads."""

    @abstractmethod
    def close(self) -> None:
        """Idempotent."""


class IcePath(SelectedPath):
    """The best pair of an ICE agent, which may become another one, and a relayed one a direct one; closing it
    closes the agent's sockets."""

    def __init__(self, driver: IceDriver, pair: ice.Pair, strategy: Strategy, elapsed_s: float) -> None:
        super().__init__(strategy, pair.local.transport, elapsed_s)
        self.driver = driver
        self._pair = pair
        self._receive: Receive | None = None
        self._heard_at = asyncio.get_running_loop().time()

    @property
    def _best(self) -> ice.Pair:
        self._pair = self.driver.agent.usable or self.driver.agent.selected or self._pair
        return self._pair

    @property
    def strategy(self) -> Strategy:
        """What has found the best pair."""
        if self._best.relayed:
            return "relay"
        return strategy_of(self._best) if self._strategy == "relay" else self._strategy

    @property
    def relay(self) -> str | None:
        """The relay of the best pair."""
        return self.driver.relay_of(self._best)

    @property
    def relayed_until(self) -> float:
        """Until when the relay of the best pair can be used."""
        return self.driver.relayed_until(self._best)

    @property
    def local(self) -> Endpoint:
        """Where the best pair sends from."""
        return self._best.local.sends_from

    @property
    def remote(self) -> Endpoint:
        """Where the best pair sends to."""
        return self._best.remote_endpoint

    @property
    def datagrams(self) -> DatagramPath:
        """Itself."""
        return self

    @property
    def rtt_ms(self) -> float | None:
        """As ICE's checks measure it."""
        selected = self.driver.agent.selected
        return None if selected is None else _rtt_ms(selected)

    @property
    def spares(self) -> tuple[Path, ...]:
        """The other valid pairs."""
        agent = self.driver.agent
        return tuple(_described(pair) for pair in agent.pairs if pair.valid and pair is not agent.selected)

    def silent_s(self) -> float:
        """Over any of the pairs."""
        heard = [pair.answered_at for pair in self.driver.agent.pairs if pair.answered_at is not None]
        return asyncio.get_running_loop().time() - max([*heard, self._heard_at])

    def check(self) -> None:
        """By a consent check (RFC 7675) of the selected pair, and checks of the others."""
        self.driver.agent.doubt(asyncio.get_running_loop().time())
        self.driver.pump()

    async def secure(self, secret: bytes, *, leads: bool, timeout_s: float = SECURE_S) -> Link | Statement:
        """By QUIC."""
        from nattools.traversal.links.quicopening import quic_link

        link = await quic_link(self, secret, leads=leads, timeout_s=timeout_s)
        if isinstance(link, Statement) and link.code == "link-silent" and self.silent_s() < timeout_s * 0.8:
            return statement("path-too-narrow", size=QUIC_SIZE)
        return link

    def attach(self, receive: Receive, changed: Callable[[], None]) -> None:
        """Take over what the driver gets that is not ICE's."""
        self._receive = receive
        self.driver.on_data, self.driver.on_selected = self._arrived, changed
        self.driver.on_batch = self._arrived_many
        changed()

    def detach(self) -> None:
        """Give the driver back. Idempotent."""
        if self._receive is not None:
            self._receive = self.driver.on_data = self.driver.on_batch = self.driver.on_selected = None

    def send(self, datagrams: list[bytes]) -> None:
        """Over the best pair, or nowhere."""
        self.driver.send_many(datagrams)

    def close(self) -> None:
        """And all the driver's sockets. Idempotent."""
        self.detach()
        self.driver.close()

    def _arrived(self, data: bytes, protocol: SharedProtocol, local: Endpoint, source: Endpoint) -> None:
        if protocol == "quic":
            self._arrived_many(data, len(data))

    def _arrived_many(self, data: bytes, size: int) -> None:
        """Anybody can send in the peer's name: only what its link believes is a sign of life."""
        if self._receive is not None and self._receive(data, size):
            self._heard_at = asyncio.get_running_loop().time()


class StreamPath(SelectedPath):
    """A TCP connection."""

    def __init__(self, stream: TcpStream, strategy: Strategy, elapsed_s: float) -> None:
        super().__init__(strategy, "tcp", elapsed_s)
        self._stream = stream

    @property
    def local(self) -> Endpoint:
        """The connection's own end."""
        return self._stream.local

    @property
    def remote(self) -> Endpoint:
        """The connection's other end."""
        return self._stream.remote

    async def secure(self, secret: bytes, *, leads: bool, timeout_s: float = SECURE_S) -> Link | Statement:
        """By TLS 1.3."""
        from nattools.traversal.links.tlslink import tls_link

        return await tls_link(self._stream, secret, leads=leads, timeout_s=timeout_s)

    def close(self) -> None:
        """Reset the connection. Idempotent."""
        self._stream.abort()


def strategy_of(pair: ice.Pair) -> Strategy:
    """What ICE's checks found a pair by."""
    if pair.local.mapped or pair.remote.mapped or pair.local_seen.mapped:
        return "mapped"
    if pair.remote.kind == "host" and pair.local_seen.kind == "host":
        return "host"
    return "reflexive"


def _described(pair: ice.Pair) -> Path:
    return Path(
        transport=pair.local.transport,
        local=str(pair.local.sends_from),
        remote=str(pair.remote_endpoint),
        rtt_ms=_rtt_ms(pair),
    )


def _rtt_ms(pair: ice.Pair) -> float | None:
    rtt_s = pair.round_trip.smoothed_s
    return None if rtt_s is None else round(rtt_s * 1000, 3)
