"""Drives an ICE agent over a network's UDP sockets, which it shares with other protocols."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Unpack

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError, Network, SendFailure, UdpOptions, UdpSocket
from nattools.protocols import ice
from nattools.protocols.demultiplex import SharedProtocol, protocol_of
from nattools.traversal.budget import Budget

DataHandler = Callable[[bytes, SharedProtocol, Endpoint, Endpoint], None]
"""(data, what its first byte says it is, local, source)."""
LATE_PACKETS_S = 2.0
"""Packets of the peer are under way no longer than that, once a path works."""


async def open_path_socket(network: Network, **options: Unpack[UdpOptions]) -> UdpSocket:
    """A socket that a path may come to stand on: no router fragments what it sends, where this system can
    forbid it, so that QUIC finds out how much the path carries (RFC 8899 3). CannotRun as `open_udp`."""
    whole: UdpOptions = {**options, "dont_fragment": True}
    try:
        return await network.open_udp(**whole)
    except CannotRun:
        return await network.open_udp(**options)


class IceDriver:
    """Owns the sockets given to it, and the timer. Make it within the event loop; close it at the end.

    `on_candidate` is told of each own candidate, to be passed to the peer (trickle); `on_event` of what the
    agent has to say, and `on_selected` when the selected pair has changed; `on_data` gets what comes from the
    authenticated peer and is not ICE's, and `on_batch`, if set, QUIC's datagrams that came at once.
    `on_stun`, if set, sees each STUN message before the agent, which gets it unless that returns True;
    `on_icmp` is told of errors.
    Data from others is dropped and counted. What goes to places that are not proven is taken from `budget`.
    """

    def __init__(self, agent: ice.Agent, budget: Budget | None = None) -> None:
        self.agent = agent
        self._budget = budget
        self._proven: set[str] = set()
        self._withheld = 0
        self.on_candidate: Callable[[ice.Candidate], None] | None = None
        self.on_event: Callable[[ice.IceEvent], None] | None = None
        self.on_data: DataHandler | None = None
        self.on_batch: Callable[[bytes, int], None] | None = None
        self.on_selected: Callable[[], None] | None = None
        self.on_stun: Callable[[bytes], bool] | None = None
        self.on_icmp: Callable[[IcmpError], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Endpoint, UdpSocket] = {}
        self._relays: dict[Endpoint, str] = {}
        self._until: dict[Endpoint, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._pumping = False
        self._closed = False
        self._deaf: list[UdpSocket] = []
        self._closing: asyncio.TimerHandle | None = None

    @property
    def checks_sent(self) -> int:
        """The agent's checks that left."""
        return self.agent.checks_sent - self._withheld

    # --- own candidates

    def add_socket(self, socket: UdpSocket, *, local_preference: int = 65535) -> None:
        """Use a socket, whose address becomes a host candidate."""
        self.listen(socket)
        self._found(ice.local_candidate("host", socket.local, local_preference=local_preference))
        self.pump()

    def add_relayed(self, socket: UdpSocket, relay: str, until: float = math.inf) -> None:
        """Use a socket of which the relay at this URI passes everything on, until its credentials end."""
        self._relays[socket.local] = relay
        self._until[socket.local] = until
        self.listen(socket)
        self.offer(ice.local_candidate("relay", socket.local))

    def relay_named(self, candidate: ice.Candidate) -> str:
        """The URI of the relay that an own candidate is of, or ""."""
        return self._relays.get(candidate.sends_from, "")

    def relay_of(self, pair: ice.Pair) -> str | None:
        """The URI of the relay that a pair goes over, or its address if it is the peer's and was not named;
        None: the pair is direct."""
        if not pair.relayed:
            return None
        place = pair.local.sends_from if pair.local.kind == "relay" else pair.remote_endpoint
        return self._relays.get(place, place.host)

    def relayed_until(self, pair: ice.Pair) -> float:
        """The loop's time at which the credentials for the relay on our side of a pair end, if any."""
        return self._until.get(pair.local.sends_from, math.inf)

    def listen(self, socket: UdpSocket) -> None:
        """Use a socket that is no candidate, as one of the many of a birthday strategy: it sends probes and
        waits for the peer's."""
        self._sockets[socket.local] = socket

        def arrived(data: bytes, source: Endpoint) -> None:
            self.arrived(("udp", socket.local, source), data)

        def many(data: bytes, size: int, source: Endpoint) -> None:
            self.arrived_many(("udp", socket.local, source), data, size)

        def failed(error: IcmpError) -> None:
            self._icmp(socket, error)

        socket.on_datagram, socket.on_icmp, socket.on_batch = arrived, failed, many

    def release(self, socket: UdpSocket, *, close: bool = True) -> None:
        """Use a socket no more, unless a pair on it works: then it stays, as the path or a spare. Where there
        is a path, it is closed a little later: the peer's packets to it that are still under way would meet
        with ICMP errors, at which some routers forget the port that the path needs (against RFC 4787
        REQ-12)."""
        if self._sockets.get(socket.local) is not socket:
            return
        if any(pair.valid and pair.path[1] == socket.local for pair in self.agent.pairs):
            return
        del self._sockets[socket.local]
        socket.on_datagram = socket.on_icmp = None
        self.agent.forget_local(socket.local, self._loop.time())
        if close and self.agent.selected is not None and not self._closed:
            self._deaf.append(socket)
            if self._closing is None:
                self._closing = self._loop.call_later(LATE_PACKETS_S, self._close_deaf)
        elif close:
            socket.close()
        self.pump()

    def _close_deaf(self) -> None:
        self._closing = None
        for socket in self._deaf:
            socket.close()
        self._deaf.clear()

    def part_with(self, socket: UdpSocket) -> None:
        """Leave a socket open, for somebody else to use, whatever stands on it here."""
        if self._sockets.pop(socket.local, None) is socket:
            socket.on_datagram = socket.on_icmp = socket.on_batch = None

    def add_mapping(self, base: Endpoint, outside: Endpoint) -> None:
        """A port mapping protocol has opened `outside` for the socket at `base`."""
        self.offer(ice.local_candidate("srflx", outside, base=base, mapped=True))

    def offer(self, candidate: ice.Candidate) -> None:
        """Any other candidate of one's own."""
        self._found(candidate)
        self.pump()

    # --- the peer

    def set_peer(self, ufrag: str, password: str) -> None:
        """Take the peer's credentials. ProtocolError: they cannot be any."""
        self.agent.set_remote_credentials(ufrag, password, self._loop.time())
        self.pump()

    def resume_nomination(self) -> None:
        """See `Agent`."""
        self.agent.resume_nomination(self._loop.time())
        self.pump()

    def add_peer_candidate(self, text: str, relay: str = "") -> str | None:
        """A candidate as the peer wrote it, and the URI of its relay if it is one's; returns why it is of no
        use, or None."""
        try:
            candidate = ice.parse(text)
        except ProtocolError as error:
            return str(error)
        if relay and candidate.kind == "relay":
            self._relays[candidate.endpoint] = relay
        added = self.agent.add_remote_candidate(candidate, self._loop.time())
        self.pump()
        return None if added else "known already, no place to send to, or one too many"

    def send(self, data: bytes) -> SendFailure | None:
        """Send data to the peer over the best pair; "unreachable" when there is none."""
        pair = self.agent.usable
        return "unreachable" if pair is None else self._send(data, pair.path)

    def send_many(self, datagrams: list[bytes]) -> None:
        """Send data to the peer over the best pair, or nowhere."""
        pair = self.agent.usable
        socket = None if pair is None else self._sockets.get(pair.path[1])
        if pair is not None and socket is not None:
            socket.send_many(datagrams, pair.path[2])

    def probe(
        self, socket: UdpSocket, destination: Endpoint, *, ttl: int | None = None
    ) -> SendFailure | None:
        """Send a check of a strategy, from a socket that is listened on. ValueError: the peer's credentials
        are not known."""
        if self._budget is not None and not self._budget.take(destination):
            return "prohibited"
        return socket.send(self.agent.probe(socket.local, destination), destination, ttl=ttl)

    def send_on(self, data: bytes, pair: ice.Pair) -> SendFailure | None:
        """Send over one pair, whichever is the best."""
        return self._send(data, pair.path)

    def _send(self, data: bytes, path: ice.PairKey, ttl: int | None = None) -> SendFailure | None:
        socket = self._sockets.get(path[1])
        return "unreachable" if socket is None else socket.send(data, path[2], ttl=ttl)

    async def connected(self, timeout_s: float) -> ice.Pair | None:
        """Wait until there is a selected pair; None if the agent fails or the time is over before."""
        if timeout_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._settled.wait()
        return self.agent.selected

    def close(self) -> None:
        """Close the agent and the sockets. Idempotent."""
        self._closed = True
        self.agent.close(self._loop.time())
        if self._timer is not None:
            self._timer.cancel()
        for socket in self._sockets.values():
            socket.on_datagram = socket.on_icmp = None
            socket.close()
        self._sockets.clear()
        if self._closing is not None:
            self._closing.cancel()
        self._close_deaf()
        self._settled.set()

    # --- the driving

    def pump(self) -> None:
        """Send what is due, tell what happened, set the timer. Call it after touching the agent directly."""
        if self._pumping or self._closed:
            return
        self._pumping = True
        try:
            self._send_due()
            self._tell()
        finally:
            self._pumping = False
        self._set_timer()

    def _send_due(self) -> None:
        now = self._loop.time()
        for item in self.agent.datagrams_to_send(now):
            path = (item.transport, item.local, item.destination)
            if not self._may_send(path):
                self._withheld += 1
                self.agent.path_hint(path, "no more packets may go there")
                continue
            failure = self._send(item.data, path, item.ttl)
            if failure is not None:
                self.agent.path_hint(path, f"this machine could not send: {failure}")

    def _may_send(self, path: ice.PairKey) -> bool:
        return self._budget is None or self.agent.works(path) or self._budget.take(path[2])

    def _note_proof(self, place: Endpoint) -> None:
        if self._budget is not None and place.host not in self._proven:
            self._proven.add(place.host)
            self._budget.proven(place)

    def _tell(self) -> None:
        for event in self.agent.events():
            if isinstance(event, ice.PairChanged) and event.after == "succeeded":
                self._note_proof(event.pair.remote_endpoint)
            if self.on_event is not None:
                self.on_event(event)
            if isinstance(event, ice.Selected) and self.on_selected is not None:
                self.on_selected()
        if self.agent.selected is not None or self.agent.state in ("failed", "closed"):
            self._settled.set()
        else:
            self._settled.clear()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self.agent.next_timeout()
        if when is not None and not self._closed:
            self._timer = self._loop.call_at(when, self.pump)

    def _found(self, candidate: ice.Candidate) -> None:
        if self.agent.add_local_candidate(candidate, self._loop.time()) and self.on_candidate is not None:
            self.on_candidate(candidate)

    # --- what arrives

    def arrived(self, path: ice.PairKey, data: bytes) -> None:
        """A datagram."""
        transport, local, source = path
        now, protocol = self._loop.time(), protocol_of(data)
        if protocol == "stun" and self.on_stun is not None and self.on_stun(data):
            return
        if protocol == "stun" and self.agent.receive_datagram(data, local, source, now, transport):
            self.pump()
            return
        if not self.agent.is_authorised(local, source, transport):
            self.agent.reject_data(source)
            return
        if self.on_data is not None:
            self.on_data(data, protocol, local, source)

    def arrived_many(self, path: ice.PairKey, data: bytes, size: int) -> None:
        """Datagrams of `size` bytes, one behind the other; QUIC's from the peer are passed on as they are."""
        if not data:  # anybody can send an empty one
            self.arrived(path, data)
            return
        starts = range(0, len(data), size)
        alike = all(protocol_of(data[at : at + 1]) == "quic" for at in starts)
        if alike and self.on_batch is not None and self.agent.is_authorised(path[1], path[2], "udp"):
            self.on_batch(data, size)
            return
        for at in starts:
            self.arrived(path, data[at : at + size])

    def _icmp(self, socket: UdpSocket, error: IcmpError) -> None:
        if self.on_icmp is not None:
            self.on_icmp(error)
        by = "" if error.offender is None else f" from {error.offender}"
        self.agent.path_hint(("udp", socket.local, error.destination), f"ICMP {error.kind}{by}")
