"""DCUtR over TCP: a connection through a relay is replaced by a direct one.

The end that was called through the relay leads: it dials what the other end says that anybody can reach, and
else they agree on a moment and call each other. Whoever's SYN arrives, the end that called through the relay
is the client of what follows (libp2p's DCUtR specification).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.addresses import kind_of
from nattools.net.base import TcpFailure
from nattools.net.eventloop import TimeLimit
from nattools.net.libp2p.peerconnection import Libp2pConnection, MuxStream, StreamMessages
from nattools.net.libp2p.peerhost import PeerHost, listen_on_any_port
from nattools.protocols import ice
from nattools.protocols.libp2p import dcutr
from nattools.protocols.libp2p.dcutr import HolePunchMessage
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at

MEET_S: Final = 5.0
"""For so long both ends call each other in one attempt, as go-libp2p does."""
_RETRY_S: Final = 0.2
_EXCHANGE_S: Final = 10.0
_MOST_TARGETS: Final = 4
_LONGEST_TRIP_S: Final = 4.0

UpgradeEnd = Literal["dialled", "met", "failed", "no-addresses", "not-spoken"]


@dataclass(slots=True)
class UpgradeRecord:
    """What became of an upgrade. `end` None: it goes on. `attempts`: how often both called at once."""

    end: UpgradeEnd | None = None
    attempts: int = 0
    connection: Libp2pConnection | None = None
    targets: list[Endpoint] = field(default_factory=list)


class DirectUpgrades:
    """A host's part in upgrades, from the own port `local`, which listens, out of `interface`, if one is
    named. `addresses`: where it is seen; `public`: this machine's own address, where that is what the
    internet sees. `meeting`: how many attempts go on; `over` is set with the last word of the `record`. The
    peer gets no more than three attempts."""

    def __init__(
        self,
        host: PeerHost,
        local: Endpoint,
        addresses: Sequence[Multiaddr],
        interface: str | None = None,
        public: str | None = None,
    ) -> None:
        self.record = UpgradeRecord()
        self.over = asyncio.Event()
        self.meeting = 0
        self._host = host
        self._local = local
        self._addresses = tuple(addresses)
        self._interface = interface
        self._public = public
        self._offers = 0
        self._network = host.network
        host.servers[dcutr.DCUTR] = self._follow

    # --- the end that called through the relay

    async def _follow(self, stream: MuxStream) -> None:
        """ProtocolError: it is no DCUtR, or does not come through a relay."""
        if not stream.connection.relayed:
            raise ProtocolError("an upgrade of what is direct")
        messages = StreamMessages(stream, dcutr.MAX_DCUTR)
        targets: list[Endpoint] | None = None
        port = self._local.port
        async with TimeLimit(_EXCHANGE_S):
            targets = self._targets(await self._expect(messages, "connect"))
            port, addresses = await self._offer()
            messages.write(dcutr.encode_dcutr(HolePunchMessage("connect", addresses)))
            await self._expect(messages, "sync")
        if targets is None:
            return
        stream.close()
        if self.record.attempts >= dcutr.ATTEMPTS:
            raise ProtocolError("it begins upgrades without end")
        await self._meet(stream.connection, targets, initiates=True, port=port)

    async def _offer(self) -> tuple[int, tuple[Multiaddr, ...]]:
        """The own port for the next attempt, and where it is seen.

        A peer that heard of a public address has dialled it, go-libp2p from its listening port: what its own
        router keeps of that dial drops the next SYN between the same ports (see `lead`) unless it is sent
        before ours arrives. So each attempt has a port that nobody has dialled, if there is no NAT to ask for
        it."""
        if self._public is None or self._offers >= dcutr.ATTEMPTS:
            return self._local.port, self._addresses
        self._offers += 1
        local = await listen_on_any_port(self._host, self._local.family, self._interface)
        if local is None:
            return self._local.port, self._addresses
        return local.port, (multiaddr_at(Endpoint(self._public, local.port)),)

    # --- the end that was called

    async def lead(self, relayed: Libp2pConnection, public: Sequence[Endpoint]) -> None:
        """Dial the `public` endpoints of the peer; where that leads nowhere, call each other, up to three
        times. The `record` says what came of it.

        Those dials leave from another port: the own router keeps a half-open connection of each for minutes,
        and Linux's then drops the next SYN between the same ports, once the peer's has come."""
        for target in list(public)[:_MOST_TARGETS]:
            made = await self._dial(relayed, target, timeout_s=MEET_S, initiates=True, port=0)
            if made is not None:
                self._finish("dialled", made)
                return
        for _ in range(dcutr.ATTEMPTS):
            targets = await self._agree(relayed)
            if targets is None:
                self._finish("not-spoken")
                return
            if not targets:
                self._finish("no-addresses")
                return
            if await self._meet(relayed, targets, initiates=False, port=self._local.port):
                return
        self._finish("failed")

    async def _agree(self, relayed: Libp2pConnection) -> list[Endpoint] | None:
        """On the moment; where the peer is seen. None: it does not speak DCUtR, or not in time."""
        stream = await relayed.open(dcutr.DCUTR, timeout_s=_EXCHANGE_S)
        if stream is None:
            return None
        loop, targets, trip_s = asyncio.get_running_loop(), None, 0.0
        try:
            messages = StreamMessages(stream, dcutr.MAX_DCUTR)
            async with TimeLimit(_EXCHANGE_S):
                began = loop.time()
                messages.write(dcutr.encode_dcutr(HolePunchMessage("connect", self._addresses)))
                found = self._targets(await self._expect(messages, "connect"))
                trip_s = loop.time() - began
                messages.write(dcutr.encode_dcutr(HolePunchMessage("sync")))
                await stream.drain()
                targets = found
        except ProtocolError:
            pass
        finally:
            stream.close()
        if targets:
            await asyncio.sleep(min(trip_s, _LONGEST_TRIP_S) / 2)
        return targets

    # --- both

    async def _expect(self, messages: StreamMessages, kind: str) -> HolePunchMessage:
        message = dcutr.decode_dcutr(await messages.expect())
        if message.kind != kind:
            raise ProtocolError(f"{message.kind} where {kind} belongs")
        return message

    def _targets(self, message: HolePunchMessage) -> list[Endpoint]:
        """Where the other end is seen over TCP: one host, not this one, and none within somebody's network if
        this end is seen on the internet."""
        own = [each.host for each in self._addresses if each.host is not None]
        public = any(map(self._network.is_public, own))
        found = [each.endpoint for each in message.addresses if each.over == "tcp"]
        return [
            each
            for each in dict.fromkeys(found)
            if each is not None
            and ice.why_not_a_target(each) is None
            and kind_of(each.host) != "loopback"
            and (not public or self._network.is_public(each.host))
        ][:_MOST_TARGETS]

    async def _meet(
        self, relayed: Libp2pConnection, targets: list[Endpoint], *, initiates: bool, port: int
    ) -> bool:
        """Call them, and be called by them, until there is a connection or the time is over."""
        if self.over.is_set():
            return True
        self.record.attempts += 1
        self.record.targets = targets
        self.meeting += 1
        meeting = self._host.expect_call(relayed.peer, [each.host for each in targets], initiates=initiates)
        try:
            async with TimeLimit(MEET_S), asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._call(relayed, each, initiates, port)) for each in targets]
                made = await meeting.wait_or(tasks)
                for task in tasks:
                    task.cancel()
                if made is not None:
                    self._finish("met", made)
        finally:
            meeting.close()
            self.meeting -= 1
            self._host.changed.set()
        return self.over.is_set()

    async def _call(
        self, relayed: Libp2pConnection, target: Endpoint, initiates: bool, port: int
    ) -> Libp2pConnection | None:
        """Again and again: a router of the other end may refuse what its own end has not opened yet."""
        while True:
            made = await self._dial(relayed, target, timeout_s=MEET_S, initiates=initiates, port=port)
            if made is not None:
                return made
            await asyncio.sleep(_RETRY_S)

    async def _dial(
        self,
        relayed: Libp2pConnection,
        target: Endpoint,
        *,
        timeout_s: float,
        initiates: bool,
        port: int,
    ) -> Libp2pConnection | None:
        try:
            stream = await self._network.connect_tcp(
                target,
                timeout_s=timeout_s,
                host=_bound(self._local),
                port=port,
                interface=self._interface,
            )
        except CannotRun:
            return None
        if isinstance(stream, TcpFailure):
            return None
        made = await self._host.take(
            stream, initiates=initiates, expected=relayed.peer, timeout_s=max(timeout_s, 1.0)
        )
        return made if isinstance(made, Libp2pConnection) else None

    def _finish(self, end: UpgradeEnd, connection: Libp2pConnection | None = None) -> None:
        if not self.over.is_set():
            self.record.end, self.record.connection = end, connection
            self.over.set()
            self._host.changed.set()


def _bound(local: Endpoint) -> str | None:
    return None if local.host in ("0.0.0.0", "::") else local.host
