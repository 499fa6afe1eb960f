"""An allocation on a relay as a `UdpSocket`: what is sent by it leaves from the relay's address, and what
comes there comes here (RFC 8656)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nattools.model.endpoint import Endpoint
from nattools.net.base import BatchHandler, DatagramHandler, IcmpError, IcmpHandler, SendFailure
from nattools.net.turn.turndriver import TurnDriver, TurnStream
from nattools.net.web.serversteps import ServerStep
from nattools.protocols.icmp import error_kind
from nattools.protocols.turn.clientallocation import LARGEST, AllocationEvent, PeerError
from nattools.protocols.turn.refusal import TurnRefusal

_FAILURES: dict[int, SendFailure] = {403: "prohibited", 443: "unreachable"}


class RelayedSocket:
    """`nattools.net.base.UdpSocket`, open until `close` or until `ended` says why. `open_relayed` makes one.

    `local` is the relayed address, `relayed` all of them; `mapped` how the relay sees this machine, `server`
    where it is, `steps` how the allocation came about. Whoever is sent to gets a permission, which stays as
    long as it is used, and a channel if much is sent; `permit` lets somebody in who was not sent to. Over a
    stream to the relay datagrams are dropped that it does not carry (`dropped` counts them). `on_end` is told
    once when the relay takes the allocation back or cannot be reached any more. There is no TTL.
    """

    def __init__(self, driver: TurnDriver, steps: tuple[ServerStep, ...]) -> None:
        self.allocation = driver.allocation
        self.local = driver.allocation.relayed[0]
        self.server = driver.allocation.server
        self.steps = steps
        self.dropped = 0
        self.on_datagram: DatagramHandler | None = None
        self.on_icmp: IcmpHandler | None = None
        self.on_end: Callable[[], None] | None = None
        self._on_batch: BatchHandler | None = None
        self._driver = driver
        self._carrier = driver.carrier
        self._stream = driver.carrier if isinstance(driver.carrier, TurnStream) else None
        self._time = asyncio.get_running_loop().time
        driver.on_data = self._arrived
        driver.on_event = self._happened
        driver.on_end = self._ended

    @property
    def relayed(self) -> tuple[Endpoint, ...]:
        """The relayed addresses: one, or one of each family."""
        return self.allocation.relayed

    @property
    def mapped(self) -> Endpoint | None:
        """From where the relay sees this machine's messages come."""
        return self.allocation.mapped

    @property
    def ended(self) -> TurnRefusal | None:
        """Why it is of no use any more."""
        return self.allocation.refusal if self.allocation.done else None

    @property
    def on_batch(self) -> BatchHandler | None:
        """Called in place of `on_datagram` for datagrams of one peer that came at once."""
        return self._on_batch

    @on_batch.setter
    def on_batch(self, handler: BatchHandler | None) -> None:
        self._on_batch = handler
        self._carrier.on_batch = None if handler is None else self._arrived_many

    async def permit(self, peer: Endpoint) -> TurnRefusal | None:
        """Let this address in, whatever port it sends from, until the end; why the relay does not."""
        return await self._driver.permit(peer.host)

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        """Send now; None when the datagram left, waits for its permission, or was dropped because the stream
        to the relay carries no more."""
        if self._stream is not None and self._stream.full:
            self.dropped += 1
            return None
        message = self.allocation.wrap(data, to, self._time())
        failure = None if message is None else self._carrier.send(message, self.server)
        if self.allocation.due:
            self._driver.drive()
        return self._refused(data, to) if message is None else failure

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        """Send them in order, many with one call where the carrier can."""
        if self._stream is not None and self._stream.full:
            self.dropped += len(datagrams)
            return None
        now, wrap = self._time(), self.allocation.wrap
        messages = [message for data in datagrams if (message := wrap(data, to, now)) is not None]
        failure = self._carrier.send_many(messages, self.server) if messages else None
        if self.allocation.due:
            self._driver.drive()
        return failure if len(messages) == len(datagrams) else self._refused(max(datagrams, key=len), to)

    async def release(self) -> None:
        """Give the allocation back, and wait until the relay has heard of it."""
        await self._driver.release()

    def close(self) -> None:
        """Give the allocation back without waiting for an answer. Idempotent."""
        self._driver.close()

    def _refused(self, data: bytes, to: Endpoint) -> SendFailure | None:
        """Why a datagram never leaves; None: it waits."""
        if len(data) > LARGEST:
            return "too-big"
        if self.allocation.state != "standing" or all(to.family != each.family for each in self.relayed):
            return "unreachable"
        refusal = self.allocation.peers.refusal(to.host)
        return None if refusal is None else _FAILURES.get(refusal.code or 0, "error")

    def _arrived(self, peer: Endpoint, data: bytes) -> None:
        if self.on_datagram is not None:
            self.on_datagram(data, peer)

    def _arrived_many(self, data: bytes, size: int, source: Endpoint) -> None:
        """Messages of one size from the relay: as many datagrams of a peer, if they came by its channel."""
        messages = [data[start : start + size] for start in range(0, len(data), size)]
        found = [self.allocation.unwrap(each) for each in messages] if source == self.server else []
        contents = [each[1] for each in found if each is not None]
        peers = {each[0] for each in found if each is not None}
        if self._on_batch is not None and len(peers) == 1 and _are_one_batch(contents, len(messages)):
            self._on_batch(b"".join(contents), len(contents[0]), peers.pop())
            return
        for each in messages:
            if self._carrier.on_datagram is not None:
                self._carrier.on_datagram(each, source)

    def _happened(self, event: AllocationEvent) -> None:
        if not isinstance(event, PeerError) or self.on_icmp is None:
            return
        kind = error_kind(event.peer.family, event.icmp_type, event.icmp_code)
        mtu = (event.data & (0xFFFF if event.peer.family == 4 else 0xFFFFFFFF)) or None
        self.on_icmp(
            IcmpError(
                kind,
                event.icmp_type,
                event.icmp_code,
                None,
                event.peer,
                mtu=mtu if kind == "too-big" else None,
            )
        )

    def _ended(self) -> None:
        if self.on_end is not None:
            self.on_end()


def _are_one_batch(contents: list[bytes], count: int) -> bool:
    """So many datagrams of one size, the last one perhaps shorter?"""
    size = len(contents[0])
    whole = len(contents) == count and size > 0 and len(contents[-1]) <= size
    return whole and all(len(each) == size for each in contents[:-1])
