"""Hands what arrives on a server's sockets to the logic that answers it, and sends the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, SendFailure, TcpFailure, TcpStream, UdpSocket
from nattools.protocols import dialback, errortrial, stun
from nattools.protocols.dialback import Outcome
from nattools.server.connections import CHANNELS, Answer, BackgroundTasks
from nattools.server.dialbackserver import DialBackServer, Order
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.errortrials import ErrorTrials
from nattools.server.relayservice import RelayService
from nattools.server.stun import PLAIN_REQUEST, BindingServer
from nattools.server.turn import METHODS

_CHANNELS: Final = frozenset(bytes((each,)) for each in CHANNELS)
_DIAL_TIMEOUT_S: Final = 3.0
_NOT_SENT: Final[dict[SendFailure, Outcome]] = {
    "unreachable": "unreachable",
    "prohibited": "unreachable",
    "too-big": "error",
    "refused": "refused",
    "error": "error",
}
_NOT_CONNECTED: Final[dict[str, Outcome]] = {
    "refused": "refused",
    "reset": "refused",
    "timeout": "timeout",
    "unreachable": "unreachable",
    "prohibited": "unreachable",
    "error": "error",
}
_TELLING: Final[tuple[Outcome, ...]] = ("connected", "refused", "unreachable", "timeout", "error")


class _Connected(Exception):  # noqa: N818 -- it is no error
    """One connection attempt succeeded, which ends the others."""


class StunService:
    """One address family's sockets and the servers behind them."""

    def __init__(
        self,
        network: Network,
        site: ServerEndpoints,
        sockets: dict[Role, UdpSocket],
        tasks: BackgroundTasks,
        binding: BindingServer,
        dial_back: DialBackServer | None,
        report: Callable[[str], None] | None = None,
        relay: RelayService | None = None,
        error_trials: ErrorTrials | None = None,
    ) -> None:
        self._network = network
        self._site = site
        self._sockets = sockets
        self._tasks = tasks
        self._binding = binding
        self._dial_back = dial_back
        self._report = report
        self._relay = relay
        self._error_trials = error_trials
        self._time = asyncio.get_running_loop().time

    def receive_on(self, role: Role) -> None:
        """Take what comes to a UDP socket. The plainest request is answered without decoding it,
        and so are requests like earlier ones; nor is ChannelData looked into."""
        socket = self._sockets[role]
        if self._error_trials is not None:
            self._error_trials.listen_on(socket)
        answer_plain, now, send = self._binding.answer_plain, self._time, socket.send
        again = self._binding.repeats(role).answer

        def on_datagram(data: bytes, source: Endpoint) -> None:
            if len(data) == 20 and data[:8] == PLAIN_REQUEST:
                answer = answer_plain(data, source, role, now())
                if answer is not None:
                    send(answer, source)
                return
            reply = again(data, source)
            if reply is None:
                self._receive(data, source, role)
            else:
                self._sockets[reply[0]].send(reply[1], source)

        if self._relay is None:
            socket.on_datagram = on_datagram
            return
        on_channel_data = self._relay.channel_handler(self._site.at(role))

        def on_any(data: bytes, source: Endpoint) -> None:
            if data[:1] in _CHANNELS:
                on_channel_data(data, len(data), source)
            else:
                on_datagram(data, source)

        def on_batch(data: bytes, size: int, source: Endpoint) -> None:
            if data and all(map(CHANNELS.__contains__, data[::size])):
                on_channel_data(data, size, source)
            else:
                for start in range(0, max(1, len(data)), max(1, size)):
                    on_any(data[start : start + size], source)

        socket.on_datagram, socket.on_batch = on_any, on_batch

    def _receive(self, data: bytes, source: Endpoint, role: Role) -> None:
        """Only requests of a known method are answered: neither noise nor what others answered."""
        try:
            request = stun.decode(data)
        except ProtocolError:
            return
        if request.method in METHODS and self._relay is not None:
            self._relay.on_message(request, source, self._sockets[role])
        if request.kind != "request":
            return
        if request.method == stun.BINDING:
            reply = self._binding.answer(request, source, role, self._time())
            if reply is not None:
                self._sockets[reply.role].send(reply.data, reply.to)
        elif request.method == errortrial.METHOD and self._error_trials is not None:
            told = self._error_trials.answer(request, source, role, self._time())
            if told is not None:
                self._sockets[role].send(told, source)
        elif request.method == dialback.METHOD and self._dial_back is not None:
            decision = self._dial_back.receive(request, source, role, self._time())
            if isinstance(decision, Order):
                self._tasks.spawn(self._dial_and_tell(self._dial_back, decision, role))
            elif decision is not None:
                self._sockets[role].send(decision, source)

    def stream_answer(self, role: Role) -> Answer:
        """What a conversation over TCP asks for each message. A dial-back's answer comes when it is over:
        requests behind it do not wait."""

        again = self._binding.repeats(role, stream=True).answer

        def answer(data: bytes, stream: TcpStream) -> bytes | Awaitable[bytes | None] | None:
            if self._relay is not None and data[:1] in _CHANNELS:
                return self._relay.on_stream_message(data, None, stream)
            reply = again(data, stream.remote)
            if reply is not None:
                return reply[1]
            request = stun.decode(data)
            if self._relay is not None and request.method in METHODS:
                return self._relay.on_stream_message(data, request, stream)
            if request.kind != "request":
                return None
            if request.method == stun.BINDING:
                return self._binding.answer_stream(request, stream.remote, role)
            if request.method == dialback.METHOD and self._dial_back is not None:
                decision = self._dial_back.receive(request, stream.remote, role, self._time(), proven=True)
                if not isinstance(decision, Order):
                    return decision
                self._tasks.spawn(self._dial_and_write(self._dial_back, decision, stream))
            return None

        return answer

    async def _dial_and_tell(self, server: DialBackServer, order: Order, role: Role) -> None:
        self._sockets[role].send(await self._dial(server, order), order.source)

    async def _dial_and_write(self, server: DialBackServer, order: Order, stream: TcpStream) -> None:
        stream.write(await self._dial(server, order))

    async def _dial(self, server: DialBackServer, order: Order) -> bytes:
        """Carry out an order; the answer to its request."""
        outcome: Outcome = "error"
        origin = self._site.at(order.role)
        try:
            if order.ask.transport == "udp":
                outcome = await self._send_copies(order)
            else:
                outcome, origin = await self._connect(order)
        finally:
            answer = server.finish(order, outcome, origin, self._time())
        if self._report is not None:
            more = f" and {len(order.ask.ports) - 1} other ports" if len(order.ask.ports) > 1 else ""
            self._report(f"dial-back over {order.ask.transport}, {origin} to {order.target}{more}: {outcome}")
        return answer

    async def _send_copies(self, order: Order) -> Outcome:
        """ "sent" if any of them was."""
        failures: list[SendFailure | None] = []
        for number, datagram in enumerate(order.datagrams):
            if failures:
                await asyncio.sleep(order.ask.spacing_ms / 1000)
            failures.append(self._sockets[order.role].send(datagram, order.target_of(number)))
        failure = failures[-1]
        return "sent" if failure is None or None in failures else _NOT_SENT[failure]

    async def _connect(self, order: Order) -> tuple[Outcome, Endpoint]:
        """Attempt to connect until one attempt succeeds; else the most telling outcome."""
        found: list[tuple[Outcome, Endpoint]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(order.datagrams)):
                    if number:
                        await asyncio.sleep(order.ask.spacing_ms / 1000)
                    group.create_task(self._attempt(order, number, found))
        except* _Connected:
            pass
        return min(found, key=lambda each: _TELLING.index(each[0]))

    async def _attempt(self, order: Order, number: int, found: list[tuple[Outcome, Endpoint]]) -> None:
        """Add the outcome and the own endpoint; its port is 0 where the system chose one that is not known.
        _Connected: no other attempt is needed."""
        found.append(await self._dial_once(order, number))
        if found[-1][0] == "connected":
            raise _Connected

    async def _dial_once(self, order: Order, number: int) -> tuple[Outcome, Endpoint]:
        own = self._site.at(order.role)
        port = 0 if order.ask.change_port else own.port
        try:
            stream = await self._network.connect_tcp(
                order.target, host=own.host, port=port, timeout_s=_DIAL_TIMEOUT_S
            )
        except CannotRun:
            return "error", Endpoint(own.host, port)
        if isinstance(stream, TcpFailure):
            return _NOT_CONNECTED[stream.outcome], Endpoint(own.host, port)
        stream.write(order.datagrams[number])
        stream.close()
        return "connected", stream.local
