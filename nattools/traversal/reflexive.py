"""Server-reflexive candidates: Binding requests from the sockets that ICE will use (RFC 8445 5.1.1.2)."""

from __future__ import annotations

from collections.abc import Callable

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import UdpSocket
from nattools.protocols import ice, stun

Found = Callable[[ice.Candidate], None]


class Reflexive:
    """The questions under way, on any number of sockets. Nobody waits for them: a candidate is `found` when
    its answer comes, and a server that does not answer delays nothing.

    Driven like the agent, by the driver that has the sockets. `rtt_s` is the shortest round trip measured.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self._under_way: list[tuple[UdpSocket, stun.Transaction]] = []
        self.rtt_s: float | None = None
        self.silent: list[Endpoint] = []

    def ask(self, socket: UdpSocket, server: Endpoint, *, rto_s: float = 0.25) -> None:
        """Ask a STUN server what it sees of a socket."""
        request = stun.binding_request(stun.new_transaction_id(), hello=False)
        self._under_way.append((socket, stun.Transaction(request, server, rto_s=rto_s, rc=5)))

    @property
    def idle(self) -> bool:
        """Has every question been answered or given up?"""
        return not self._under_way

    def next_timeout(self) -> float | None:
        """When to call `run`."""
        times = [transaction.next_timeout() for _, transaction in self._under_way]
        return min((time for time in times if time is not None), default=None)

    def run(self, now: float) -> None:
        """Send what is due, and give up what has waited enough."""
        for socket, transaction in list(self._under_way):
            transaction.handle_timeout(now)
            for data, server in transaction.datagrams_to_send(now):
                socket.send(data, server)
            if transaction.state != "running":
                self.silent.append(transaction.destination)
                self._under_way.remove((socket, transaction))

    def receive(self, data: bytes, local: Endpoint, source: Endpoint, now: float) -> bool:
        """Take what arrived; False if it answers no question."""
        for entry in self._under_way:
            socket, transaction = entry
            if socket.local == local and transaction.receive_datagram(data, source, now):
                if transaction.state != "running":
                    self._under_way.remove(entry)
                    self._conclude(socket, transaction)
                return True
        return False

    def _conclude(self, socket: UdpSocket, transaction: stun.Transaction) -> None:
        if transaction.rtt_s is not None:
            self.rtt_s = min(transaction.rtt_s, self.rtt_s or transaction.rtt_s)
        try:
            mapped = transaction.response.mapped if transaction.response is not None else None
        except ProtocolError:
            mapped = None
        if mapped is None or mapped == socket.local:
            return
        server = transaction.destination.host
        self._found(ice.local_candidate("srflx", mapped, base=socket.local, server=server))
