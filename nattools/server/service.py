"""Hands what arrives on a server's sockets to the logic that answers it, and sends the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import MachineSocket, Network, TcpStream
from nattools.protocols import dialback, errortrial, stun
from nattools.server.connections import CHANNELS, Answer, BackgroundTasks
from nattools.server.dialbackserver import DialBackServer, Order
from nattools.server.dialling import Dialled, Dialler
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.errortrialserver import ErrorTrialServer
from nattools.server.socketerrors import SocketErrors
from nattools.server.stun import PLAIN_REQUEST, BindingServer

if TYPE_CHECKING:
    from nattools.server.relay.relayservice import RelayService

_CHANNELS: Final = frozenset(bytes((each,)) for each in CHANNELS)
_TLS_HANDSHAKE: Final = b"\x16"


class StunService:
    """One address family's sockets and the servers behind them."""

    def __init__(
        self,
        network: Network,
        site: ServerEndpoints,
        sockets: dict[Role, MachineSocket],
        tasks: BackgroundTasks,
        binding: BindingServer,
        dial_back: DialBackServer | None,
        report: Callable[[str], None] | None = None,
        relay: RelayService | None = None,
        error_trials: ErrorTrialServer | None = None,
    ) -> None:
        self._site = site
        self._sockets = sockets
        self._tasks = tasks
        self._binding = binding
        self._dial_back = dial_back
        self._report = report
        self._relay = relay
        errors = SocketErrors(sockets)
        self._error_trials = error_trials
        if error_trials is not None:
            error_trials.errors = errors
        self._dialler = Dialler(network, site, sockets, errors)
        self._time = asyncio.get_running_loop().time

    def receive_on(self, role: Role) -> None:
        """Take what comes to a UDP socket. The plainest request is answered without decoding it,
        and so are requests like earlier ones; nor is ChannelData looked into."""
        socket = self._sockets[role]
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
        """Only requests of a known method are answered: neither noise nor what others answered. One who
        begins with DTLS is told that it is not spoken here, or would wait for a minute."""
        try:
            request = stun.decode(data)
        except ProtocolError:
            if data[:1] == _TLS_HANDSHAKE:
                self._refuse_dtls(data, source, role)
            return
        if self._relay is not None and self._relay.takes(request.method):
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

    def _refuse_dtls(self, data: bytes, source: Endpoint, role: Role) -> None:
        from nattools.protocols import dtls

        refusal = dtls.refusal(data)
        if refusal is not None:
            self._sockets[role].send(refusal, source)

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
            if self._relay is not None and self._relay.takes(request.method):
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
        found = Dialled("error", self._site.at(order.role))
        try:
            found = await self._dialler.dial(order)
        finally:
            answer = server.finish(order, found.outcome, found.origin, self._time(), found.offender)
        if self._report is not None:
            more = f" and {len(order.ask.ports) - 1} other ports" if len(order.ask.ports) > 1 else ""
            via = f"dial-back over {order.ask.transport}, {found.origin} to {order.target}{more}"
            self._report(f"{via}: {found.outcome}")
        return answer
