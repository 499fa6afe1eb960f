"""ICE over TCP (RFC 6544): makes the connections that TCP pairs need, accepts the peer's, carries both."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import Network, TcpFailure, TcpListener, TcpStream
from nattools.protocols import ice
from nattools.protocols.ice.candidate import DISCARD_PORT
from nattools.protocols.ice.framing import Deframer
from nattools.traversal.icedriver import IceDriver

CONNECT_TIMEOUT_S: Final = 10.0
PROOF_TIMEOUT_S: Final = 10.0
"""So long a connection may last without a valid check on it."""
MAX_STREAMS: Final = 64

Work = tuple[ice.PairKey, TcpStream | None]


class IceStreams:
    """Adds TCP to a driver: let `run` run in a task group, offer candidates, and close it with the driver.

    An active candidate connects from any port, a passive one listens, and one for simultaneous open connects
    from its own port while the peer does the same (both must be `offered` for that by a strategy).
    """

    def __init__(self, driver: IceDriver, network: Network) -> None:
        self._driver = driver
        self._network = network
        self._listeners: list[TcpListener] = []
        self._work: asyncio.Queue[Work] = asyncio.Queue(MAX_STREAMS)
        self._under_way = 0
        driver.on_connect_wanted = self._wanted

    def offer_active(self, host: str) -> None:
        """Connect to the peer's passive candidates from an address of this machine."""
        place = Endpoint(host, DISCARD_PORT)
        self._driver.offer(ice.local_candidate("host", place, transport="tcp", tcp_type="active"))

    async def offer_passive(self, family: Family, *, host: str | None = None, port: int = 0) -> Endpoint:
        """Listen; returns where. CannotRun: the port cannot be had."""
        where: list[Endpoint] = []

        def accepted(stream: TcpStream) -> None:
            if not where or not self._begin(("tcp", where[0], stream.remote), stream):
                stream.abort()

        listener = await self._network.listen_tcp(family=family, host=host, port=port, on_stream=accepted)
        self._listeners.append(listener)
        where.append(listener.local)
        self._driver.offer(ice.local_candidate("host", listener.local, transport="tcp", tcp_type="passive"))
        return listener.local

    def offer_mapped(self, base: Endpoint, outside: Endpoint) -> None:
        """A port mapping protocol has opened `outside` for the listener at `base`."""
        self._driver.offer(
            ice.local_candidate("srflx", outside, base=base, transport="tcp", tcp_type="passive", mapped=True)
        )

    def offer_simultaneous(self, base: Endpoint, outside: Endpoint | None = None) -> None:
        """Connect from `base` while the peer connects to it, as seen from outside."""
        kind: ice.CandidateType = "host" if outside is None else "srflx"
        place = base if outside is None else outside
        self._driver.offer(ice.local_candidate(kind, place, base=base, transport="tcp", tcp_type="so"))

    async def run(self) -> None:
        """Make and serve connections until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                path, stream = await self._work.get()
                group.create_task(self._carry(path, stream))

    def close(self) -> None:
        """Stop listening. The driver closes the streams. Idempotent."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def _wanted(self, pair: ice.Pair) -> None:
        if not self._begin(pair.path, None):
            self._driver.stream_ended(pair.path, f"more than {MAX_STREAMS} connections")

    def _begin(self, path: ice.PairKey, stream: TcpStream | None) -> bool:
        if self._under_way >= MAX_STREAMS:
            return False
        self._under_way += 1
        self._work.put_nowait((path, stream))
        return True

    async def _carry(self, path: ice.PairKey, stream: TcpStream | None) -> None:
        """One connection, from its beginning to its end."""
        try:
            opened = stream or await self._connect(path)
            if isinstance(opened, TcpFailure):
                detail = f": {opened.detail}" if opened.detail else ""
                self._driver.stream_ended(path, f"TCP connection {opened.outcome}{detail}")
            else:
                await self._serve(path, opened)
        finally:
            self._under_way -= 1

    async def _connect(self, path: ice.PairKey) -> TcpStream | TcpFailure:
        _, base, remote = path
        port = 0 if base.port == DISCARD_PORT else base.port
        return await self._network.connect_tcp(remote, host=base.host, port=port, timeout_s=CONNECT_TIMEOUT_S)

    async def _serve(self, path: ice.PairKey, stream: TcpStream) -> None:
        deframer = Deframer()
        self._driver.stream_began(path, stream)
        try:
            async with asyncio.timeout(PROOF_TIMEOUT_S) as proof:
                while data := await stream.read():
                    for datagram in deframer.feed(data):
                        self._driver.arrived(path, datagram)
                    if self._driver.agent.is_authorised(path[1], path[2], "tcp"):
                        proof.reschedule(None)
            reason = "the TCP connection was closed"
        except TimeoutError:
            reason = f"no valid check on the TCP connection in {PROOF_TIMEOUT_S:.0f} s"
        finally:
            stream.abort()
        self._driver.stream_ended(path, reason)
