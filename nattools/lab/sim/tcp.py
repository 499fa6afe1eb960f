"""TCP for the simulator: RFC 9293's handshake (simultaneous open too), data with retransmission, FIN and RST.

It sends at most a fixed window and knows no congestion: the simulated links have no bandwidth limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from nattools.lab.sim.loop import Waiters
from nattools.lab.sim.portplan import ETHERNET_MTU
from nattools.lab.sim.tcpqueues import INITIAL_RTO_S, MASK, ReceiveQueue, RtoEstimator, SendQueue, near
from nattools.lab.sim.topology import Routes, SocketOwner
from nattools.model.endpoint import Endpoint
from nattools.net.base import LowTtlSyn, TcpFailure
from nattools.protocols.icmp import error_kind
from nattools.protocols.packet import ACK, FIN, PSH, RST, SYN, Packet

WINDOW = 64 * 1460
SHORT_QUEUE = 65536
SYN_ACK_TRIES, DATA_TRIES = 6, 12
TIME_WAIT_S = 60.0
ORDINARY_TTL = 64
DUPLICATES = 3  # RFC 5681 3.2

State = Literal["syn-sent", "syn-received", "connected", "time-wait", "closed"]
Key = tuple[str, int, str, int]
_HEADERS = (40, 60)  # of IPv4 and TCP, of IPv6 and TCP
_FIT_EVERYWHERE = (1188, 1220)
"""Segments of nattools' own connections over IPv4 and IPv6 are no larger (`net.hosttcp.fit_everywhere`)."""
_OUTCOMES: dict[str, Literal["refused", "prohibited", "unreachable"]] = {
    "port-unreachable": "refused",
    "prohibited": "prohibited",
}


class SimStream:
    """A TCP connection; once connected, a `nattools.net.base.TcpStream`. `settled` is told once how the
    handshake ended: None for connected, else why not."""

    __slots__ = (
        "__weakref__", "_ack_due", "_armed", "_closing", "_deadline", "_duplicates", "_lasting", "_mss",
        "_opened", "_readers", "_recover", "_routes", "_send", "_stack", "_state", "_tries", "_trip", "_ttl",
        "_writers", "iss", "key", "local", "received", "remote", "settled",
    )  # fmt: skip

    def __init__(
        self,
        stack: SocketOwner,
        local: Endpoint,
        remote: Endpoint,
        routes: Routes,
        settled: Callable[[SimStream, TcpFailure | None], None],
    ) -> None:
        self._stack = stack
        self.local = local
        self.remote = remote
        self.key: Key = (*local, *remote)
        self.settled = settled
        iss = self.iss = int(stack.rng.random() * MASK)
        self.received = ReceiveQueue(0)
        self._send = SendQueue(iss + 1)
        self._state: State = "syn-sent"
        self._routes = routes
        wire = (routes.table.get(remote[0]) or routes.find(remote[0])).wire
        six = ":" in remote[0]
        self._mss = min((wire.mtu if wire else ETHERNET_MTU) - _HEADERS[six], _FIT_EVERYWHERE[six])
        self._readers: Waiters | None = None  # made when first needed: many are never waited for
        self._writers: Waiters | None = None
        self._closing = self._lasting = self._armed = self._ack_due = self._opened = False
        self._duplicates = self._recover = self._tries = 0
        self._trip, self._ttl = RtoEstimator(), ORDINARY_TTL
        self._deadline: float | None = None

    # --- the stream

    async def read(self, limit: int = 65536) -> bytes:
        while not self.received.ready and not self.received.ended and self._state == "connected":
            if self._readers is None:
                self._readers = Waiters()
            await self._readers.wait()
        data = bytes(self.received.ready[:limit])
        del self.received.ready[:limit]
        return data

    def write(self, data: bytes) -> None:
        if data and self._state == "connected" and not self._send.closed:
            self._send.append(data)
            self._push()

    async def drain(self) -> None:
        while len(self._send.data) > SHORT_QUEUE and self._state == "connected":
            if self._writers is None:
                self._writers = Waiters()
            await self._writers.wait()

    @property
    def over(self) -> bool:
        return self._state != "connected"

    def end(self) -> None:
        if self._state == "connected" and not self._send.closed:
            self._send.closed = True
            self._lasting = not self.received.ended
            self._push()

    def close(self) -> None:
        if self._state == "connected":
            self._closing = True
            self.end()

    def abort(self) -> None:
        if self._state in ("connected", "syn-received"):
            self._emit(RST | ACK, self._send.following)
        self._end()

    # --- the handshake

    def connect(self, opener: LowTtlSyn | None = None) -> None:
        """Send the first SYN (RFC 9293 3.5)."""
        self._trip.sent_at = self._stack.loop.now
        if opener is not None:
            self._ttl, self._opened = opener.ttl, True
            self._stack.loop.post(self._stack.loop.now + opener.seconds, self._raise_ttl, None)
        self._emit_syn()
        self._arm(INITIAL_RTO_S)

    def _raise_ttl(self, _: None) -> None:
        self._ttl = ORDINARY_TTL

    def answer(self, packet: Packet) -> None:
        """Take the SYN that a listener got."""
        self._state = "syn-received"
        self._note_syn(packet)
        self.connect()

    def give_up(self) -> None:
        """Forget the connection without telling the other side."""
        self._end()

    def segment(self, packet: Packet) -> None:
        """A segment of this connection arrives (RFC 9293 3.10.7)."""
        match self._state:
            case "connected":
                self._in_connection(packet)
            case "syn-sent":
                self._in_syn_sent(packet)
            case "syn-received":
                self._in_syn_received(packet)
            case "time-wait":
                if not packet.flags & RST:
                    self._acknowledge()

    def icmp(self, error: Packet) -> None:
        """An ICMP error about this connection: it ends the attempt (RFC 5461 2.1), never a connection."""
        kind = error_kind(self.remote.family, error.icmp_type, error.icmp_code)
        if kind == "too-big":
            smaller = error.icmp_rest - _HEADERS[":" in self.remote.host]
            if 0 < smaller < self._mss:
                self._mss = smaller
                self._send.rewind()
                self._push()
        elif self._state == "syn-sent" and not (self._opened and kind == "time-exceeded"):
            self._fail(TcpFailure(_OUTCOMES.get(kind, "unreachable"), f"ICMP {kind} from {error.source}"))

    def _in_syn_sent(self, packet: Packet) -> None:
        flags = packet.flags
        ours = packet.ack == (self.iss + 1) & MASK
        if flags & ACK and not ours:
            if not flags & RST:
                self._reset_for(packet)
        elif flags & RST:
            if flags & ACK:
                self._fail(TcpFailure("refused", "answered with a reset"))
        elif flags & SYN:
            self._note_syn(packet)
            if flags & ACK:
                self._established()
                self._acknowledge()
            else:
                # both ends sent a SYN: RFC 9293 3.5, figure 7
                self._state = "syn-received"
                self._emit_syn()

    def _in_syn_received(self, packet: Packet) -> None:
        flags = packet.flags
        if flags & RST:
            if near(self.received.expected, packet.seq) == self.received.expected:
                self._fail(TcpFailure("reset", "reset in the handshake"))
        elif flags & ACK:
            if packet.ack != (self.iss + 1) & MASK:
                self._reset_for(packet)
                return
            self._established()
            self._in_connection(packet)
        elif flags & SYN:
            self._emit_syn()

    def _established(self) -> None:
        self._state = "connected"
        if not self._tries:
            self._trip.sample(self._stack.loop.now - self._trip.sent_at)
        self._tries = 0
        self._deadline = None
        self.settled(self, None)

    def _note_syn(self, packet: Packet) -> None:
        self.received.expected = packet.seq + 1
        options = packet.options
        if options[:2] == b"\x02\x04":  # maximum segment size, RFC 9293 3.7.1
            self._mss = min(self._mss, int.from_bytes(options[2:4], "big"))

    # --- data

    def _in_connection(self, packet: Packet) -> None:
        received, flags = self.received, packet.flags
        number = received.expected
        if packet.seq != number & MASK:
            number = near(number, packet.seq)
        if flags & RST:
            if received.expected <= number <= received.expected + WINDOW:
                self._end()
            return
        if flags & SYN:
            self._acknowledge()
            return
        if flags & ACK:
            self._acknowledged(packet)
        if (packet.payload or flags & FIN) and self._state != "closed":
            self._take(number, packet.payload, bool(flags & FIN))
        self._leave_if_done()

    def _acknowledged(self, packet: Packet) -> None:
        queue = self._send
        number = queue.una
        if packet.ack != number & MASK:
            number = near(number, packet.ack)
        if queue.acknowledge(number):
            self._trip.acknowledged(number, self._stack.loop.now)
            self._tries = self._duplicates = 0
            if number < self._recover:
                self._emit_data(queue.first(self._mss))  # RFC 6582 3.2, a partial acknowledgment
            self._deadline = None
            self._push()
            if self._writers is not None and len(queue.data) <= SHORT_QUEUE:
                self._writers.wake()
        elif number == queue.una != queue.highest and not packet.payload and not packet.flags & FIN:
            self._duplicates += 1
            if self._duplicates == DUPLICATES and queue.una >= self._recover:
                self._recover = queue.highest
                self._trip.discard()
                self._emit_data(queue.first(self._mss))

    def _take(self, number: int, payload: bytes, fin: bool) -> None:
        if payload and self._closing and number + len(payload) > self.received.expected:
            self.abort()  # nobody will ever read it: RFC 9293 3.6.1
            return
        if self.received.accept(number, payload, fin):
            if self._readers is not None:
                self._readers.wake()
            # late enough for an answer to carry it: RFC 9293 3.8.6.3
            if not self._ack_due:
                self._ack_due = True
                self._stack.loop.queue.append((self._acknowledge_if_due, None))
        else:
            self._acknowledge()

    def _push(self) -> None:
        """Send what the window lets."""
        queue = self._send
        before = queue.highest
        while (segment := queue.segment(self._mss, WINDOW)) is not None:
            if segment[0] >= before:
                self._trip.sent(queue, self._stack.loop.now)
            self._emit_data(segment)
        if self._deadline is None and queue.in_flight:
            self._arm(self._trip.rto_s)

    # --- the timer

    def _arm(self, delay_s: float) -> None:
        # One event at a time: it looks at the deadline when it comes, and goes on if it was put off
        self._deadline = self._stack.loop.now + delay_s
        if not self._armed:
            self._armed = True
            self._stack.loop.post(self._deadline, self._timer, None)

    def _timer(self, _: None) -> None:
        self._armed = False
        now = self._stack.loop.now
        if self._deadline is None or self._state in ("closed", "time-wait"):
            return
        if now < self._deadline:
            self._arm(self._deadline - now)
            return
        self._tries += 1
        if self._state == "connected":
            self._retransmit()
        elif self._state == "syn-received" and self._tries >= SYN_ACK_TRIES:
            self._fail(TcpFailure("timeout", "the handshake was not completed"))
        else:
            self._emit_syn()
            self._arm(INITIAL_RTO_S * 2**self._tries)

    def _retransmit(self) -> None:
        if self._tries >= DATA_TRIES:
            self._end()
            return
        self._trip.back_off()
        self._recover = 0
        self._deadline = None
        self._send.rewind()
        self._push()

    # --- segments out

    def _emit_syn(self) -> None:
        flags = SYN if self._state == "syn-sent" else SYN | ACK
        self._emit(flags, self.iss, options=b"\x02\x04" + self._mss.to_bytes(2, "big"))

    def _emit_data(self, segment: tuple[int, bytes, bool]) -> None:
        number, payload, fin = segment
        self._emit(ACK | (PSH if payload else 0) | (FIN if fin else 0), number, payload)

    def _acknowledge(self) -> None:
        self._emit(ACK, self._send.following)

    def _acknowledge_if_due(self, _: None) -> None:
        if self._ack_due and self._state in ("connected", "time-wait"):
            self._acknowledge()

    def _reset_for(self, packet: Packet) -> None:
        self._emit(RST, packet.ack)

    def _emit(self, flags: int, number: int, payload: bytes = b"", options: bytes = b"") -> None:
        ack = 0
        if flags & ACK:
            ack = self.received.expected & MASK
            self._ack_due = False
        packet = Packet("tcp", *self.key, payload, self._ttl, True, flags, number & MASK, ack, 65535, options)
        routes = self._routes
        hop = routes.table.get(packet.destination) or routes.find(packet.destination)
        if hop.wire is None:
            self._stack.send_without_wire(packet, hop)
        else:
            self._stack.depart(hop, packet)

    # --- the end

    def _leave_if_done(self) -> None:
        if self._state != "connected" or not self.received.ended or not self._send.finished:
            return
        if not self._lasting:
            self._end()
            return
        # the side that closed first answers a late FIN for a while: RFC 9293 3.3.2
        self._state = "time-wait"
        self._stack.loop.post(self._stack.loop.now + TIME_WAIT_S, self._forget, None)
        self._wake_all()

    def _fail(self, failure: TcpFailure) -> None:
        if self._state in ("syn-sent", "syn-received"):
            self._end()
            self.settled(self, failure)

    def _end(self) -> None:
        self._state = "closed"
        self._deadline = None
        self._forget(None)
        self._wake_all()

    def _wake_all(self) -> None:
        for waiters in (self._readers, self._writers):
            if waiters is not None:
                waiters.wake()

    def _forget(self, _: None) -> None:
        self._stack.forget(self)
