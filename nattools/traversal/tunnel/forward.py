"""`--forward` and `--reverse`: connections to a port of one machine, made on from the other one."""

from __future__ import annotations

from collections.abc import Iterable

from nattools.model.endpoint import Endpoint, Transport
from nattools.net.base import Network
from nattools.protocols.tunnel import Accepted, Listen, TcpTo, UdpTo
from nattools.traversal.forwardspec import Allowed, Forward, written
from nattools.traversal.tunnel.clients import Clients, Say
from nattools.traversal.tunnel.listening import Listening
from nattools.traversal.tunnel.outgoing import join
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel


def _nothing(_: str) -> None:
    """Nobody looks on."""


class Forwarding:
    """Both sides make one before the tunnel runs, and await `start` once it does, if they have wishes.
    Without `allowed` the other side can have nothing connected to or listened at from here. `say` is told
    what a person should know: what listens, what was refused, what failed; parts of it are the other side's
    words.
    """

    def __init__(
        self, tunnel: Tunnel, network: Network, allowed: Allowed | None = None, say: Say = _nothing
    ) -> None:
        self._tunnel = tunnel
        self._network = network
        self._allowed = allowed or Allowed()
        self._say = say
        self._listening: list[Listening] = []
        self._reverses: dict[int, Forward] = {}
        tunnel.serve(TcpTo, self._on_target)
        tunnel.serve(UdpTo, self._on_target)
        tunnel.serve(Listen, self._on_listen)
        tunnel.serve(Accepted, self._on_accepted)

    async def start(self, forwards: Iterable[Forward] = (), reverses: Iterable[Forward] = ()) -> list[str]:
        """Listen here for the forwards, have the other side listen for the reverses. Returns what the other
        side refused, a sentence each. CannotRun: a port here cannot be listened on."""
        for forward in forwards:
            await self._forward(forward)
        answers = [await self._reverse(reverse) for reverse in reverses]
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """Listen no more. Idempotent."""
        for listening in self._listening:
            listening.close()

    # What is wished here.

    async def _forward(self, forward: Forward) -> None:
        kind = TcpTo if forward.transport == "tcp" else UdpTo
        purpose = kind(forward.host, forward.host_port)
        clients = Clients(self._tunnel, lambda _: purpose, str(forward), self._say)
        listening = await clients.listen(self._network, forward.transport, forward.bind, forward.port)
        self._listening.append(listening)
        self._say(f"{listening} here leads to {forward.target} there")

    async def _reverse(self, reverse: Forward) -> str | None:
        """None once the other side listens, else why it does not."""
        stream = self._tunnel.open(Listen(reverse.transport, reverse.bind, reverse.port))
        self._reverses[stream.id] = reverse
        where = await _line(stream)
        if not where:
            del self._reverses[stream.id]
            return f"{reverse}: {stream.failed or 'the other side does not listen'}"
        self._say(f"{where} there leads to {reverse.target} here")
        self._tunnel.spawn(self._watch(stream, reverse))
        return None

    async def _watch(self, stream: TunnelStream, reverse: Forward) -> None:
        while await stream.read():
            pass
        self._reverses.pop(stream.id, None)
        if self._tunnel.ended is None:
            self._say(f"{reverse}: the other side listens no more: {stream.failed or 'it ended'}")

    # What the other side wishes.

    async def _on_target(self, stream: TunnelStream) -> None:
        wish = stream.purpose
        assert isinstance(wish, TcpTo | UdpTo)
        transport: Transport = "tcp" if isinstance(wish, TcpTo) else "udp"
        place = written(transport, wish.host, wish.port)
        if not self._allowed.target(transport, wish.host, wish.port):
            self._refuse(stream, f"{place} is not allowed", f"the other side asked for {place}")
            return
        await self._join(stream, transport, wish.host, wish.port)

    async def _on_accepted(self, stream: TunnelStream) -> None:
        wish = stream.purpose
        assert isinstance(wish, Accepted)
        reverse = self._reverses.get(wish.listener)
        if reverse is None:
            stream.reset("no such listener was asked for")
            return
        await self._join(stream, reverse.transport, reverse.host, reverse.host_port)

    async def _join(self, stream: TunnelStream, transport: Transport, host: str, port: int) -> None:
        failed = await join(self._tunnel, self._network, stream, transport, host, port)
        if failed is not None:
            self._say(f"{written(transport, host, port)}: {failed}")

    async def _on_listen(self, stream: TunnelStream) -> None:
        wish = stream.purpose
        assert isinstance(wish, Listen)
        place = written(wish.transport, wish.host, wish.port)
        if not self._allowed.listen(wish.transport, wish.host, wish.port):
            reason = f"listening at {place} is not allowed"
            self._refuse(stream, reason, f"the other side asked to listen at {place}")
            return

        def purpose(source: Endpoint) -> Accepted:
            return Accepted(stream.id, str(source))

        clients = Clients(self._tunnel, purpose, f"{place} for the other side", self._say)
        listening = await clients.listen(self._network, wish.transport, wish.host, wish.port)
        try:
            self._say(f"{listening} leads to the other side")
            stream.write(f"{listening}\n".encode())
            while await stream.read():
                pass
            stream.end()
        finally:
            listening.close()

    def _refuse(self, stream: TunnelStream, reason: str, said: str) -> None:
        stream.reset(f"{reason} on the other side")
        self._say(f"{said}, which was not allowed here: refused")


async def _line(stream: TunnelStream) -> str:
    """The first line of a stream; "" if it ends before, or says too much."""
    text = b""
    while b"\n" not in text and len(text) < 1000:
        data = await stream.read()
        if not data:
            return ""
        text += data
    return text.partition(b"\n")[0].decode(errors="replace")
