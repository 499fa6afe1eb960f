"""`--forward` and `--reverse`: connections to a port of one machine, made on from the other one."""

from __future__ import annotations

import asyncio
import errno
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, Transport, family_of, parse_address
from nattools.net.base import Network, StreamHandler, TcpListener, TcpStream, UdpSocket
from nattools.protocols.tunnel import Accepted, Listen, Purpose, TcpTo, UdpTo
from nattools.traversal.forwardspec import ANY, Allowed, Forward, written
from nattools.traversal.tunnel.join import Flow, join, splice
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel


def _nothing(_: str) -> None:
    """Nobody looks on."""


class Forwarding:
    """Both sides make one before the tunnel runs, and await `start` once it does, if they have any purpose.
    Without `allowed` the other side can have nothing connected to or listened at from here. `say` is told
    what a person should know: what listens, what was refused, what failed; parts of it are the other side's
    words. `bound`: forwards that are listened for already.
    """

    def __init__(
        self,
        tunnel: Tunnel,
        network: Network,
        allowed: Allowed | None = None,
        say: Say = _nothing,
        bound: Sequence[BoundForward] = (),
    ) -> None:
        self._tunnel = tunnel
        self._network = network
        self._allowed = allowed or Allowed()
        self._say = say
        self._report = ThrottledSay(say).say
        self._bound = list(bound)
        self._reverses: dict[int, Forward] = {}
        tunnel.serve(TcpTo, self._on_target)
        tunnel.serve(UdpTo, self._on_target)
        tunnel.serve(Listen, self._on_listen)
        tunnel.serve(Accepted, self._on_accepted)

    async def start(self, forwards: Iterable[Forward] = (), reverses: Iterable[Forward] = ()) -> list[str]:
        """Listen here for the forwards, have the other side listen for the reverses. Returns what the other
        side refused, a sentence each. CannotRun: a port here cannot be listened on."""
        self._bound += await bind(self._network, forwards, self._say)
        for each in self._bound:
            each.clients.tunnel = self._tunnel
            self._say(
                f"{each.listening} on this side is forwarded to {each.forward.target} on the other side"
            )
        answers = [await self._reverse(reverse) for reverse in reverses]
        return [answer for answer in answers if answer is not None]

    def detach(self) -> None:
        """Whoever comes from now on is sent away, until there is another tunnel. Idempotent."""
        for each in self._bound:
            each.clients.tunnel = None

    def close(self) -> None:
        """Listen no more. Idempotent."""
        for each in self._bound:
            each.listening.close()

    # What this side asks for.

    async def _reverse(self, reverse: Forward) -> str | None:
        """None once the other side listens, else why it does not."""
        stream = self._tunnel.open(Listen(reverse.transport, reverse.bind, reverse.port))
        self._reverses[stream.id] = reverse
        where = await _line(stream)
        if not where:
            del self._reverses[stream.id]
            return f"{reverse}: {stream.failed or 'the other side does not listen'}"
        self._say(f"{where} on the other side is forwarded to {reverse.target} on this side")
        self._tunnel.spawn(self._watch(stream, reverse))
        return None

    async def _watch(self, stream: TunnelStream, reverse: Forward) -> None:
        while await stream.read():
            pass
        self._reverses.pop(stream.id, None)
        if self._tunnel.ended is None:
            self._say(f"{reverse}: the other side has stopped listening: {stream.failed or 'it ended'}")

    # What the other side asks for.

    async def _on_target(self, stream: TunnelStream) -> None:
        asked = stream.purpose
        assert isinstance(asked, TcpTo | UdpTo)
        transport: Transport = "tcp" if isinstance(asked, TcpTo) else "udp"
        place = written(transport, asked.host, asked.port)
        if not self._allowed.target(transport, asked.host, asked.port):
            said = f"the other side asked for {place}"
            self._refuse(stream, f"{place} is not allowed", said, allowing=place)
            return
        await self._join(stream, transport, asked.host, asked.port)

    async def _on_accepted(self, stream: TunnelStream) -> None:
        asked = stream.purpose
        assert isinstance(asked, Accepted)
        reverse = self._reverses.get(asked.listener)
        if reverse is None:
            stream.reset("no such listener was asked for")
            return
        await self._join(stream, reverse.transport, reverse.host, reverse.host_port)

    async def _join(self, stream: TunnelStream, transport: Transport, host: str, port: int) -> None:
        failed = await join(self._tunnel, self._network, stream, transport, host, port)
        if failed is not None:
            self._report(f"{written(transport, host, port)}: {failed}")

    async def _on_listen(self, stream: TunnelStream) -> None:
        asked = stream.purpose
        assert isinstance(asked, Listen)
        place = written(asked.transport, asked.host, asked.port)
        if not self._allowed.listen(asked.transport, asked.host, asked.port):
            reason = f"listening at {place} is not allowed"
            said = f"the other side asked to listen at {place}"
            self._refuse(stream, reason, said, allowing=f"listen:{place}")
            return

        def purpose(source: Endpoint) -> Accepted:
            return Accepted(stream.id, str(source))

        clients = Clients(purpose, f"{place} for the other side", self._report, self._tunnel)
        listening = await clients.listen(self._network, asked.transport, asked.host, asked.port)
        try:
            self._report(f"{listening} is forwarded to the other side")
            stream.write(f"{listening}\n".encode())
            while await stream.read():
                pass
            stream.end()
        finally:
            listening.close()

    def _refuse(self, stream: TunnelStream, reason: str, said: str, *, allowing: str) -> None:
        option = f"--allow {shlex.quote(allowing)}"
        stream.reset(f"{reason} on the other side, which was started without {option}")
        self._report(f"{said}, which is not allowed here: refused. {option} would allow it.")


async def _line(stream: TunnelStream) -> str:
    """The first line of a stream; "" if it ends before, or says too much."""
    text = b""
    while b"\n" not in text and len(text) < 1000:
        data = await stream.read()
        if not data:
            return ""
        text += data
    return text.partition(b"\n")[0].decode(errors="replace")


MAX_FLOWS: Final = 128
_LINES: Final = 10
_LINE_EVERY_S: Final = 10.0
Say = Callable[[str], None]


class ThrottledSay:
    """Says what the other side brings about, as often as it likes: some lines at once, then one now and then
    with the number of those left out."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._time = asyncio.get_running_loop().time
        self._lines, self._counted_at = float(_LINES), self._time()
        self._left_out = 0

    def say(self, text: str) -> None:
        """Unless there was too much of it lately."""
        now = self._time()
        self._lines = min(_LINES, self._lines + (now - self._counted_at) / _LINE_EVERY_S)
        self._counted_at = now
        if self._lines < 1:
            self._left_out += 1
            return
        self._lines -= 1
        more = f" ({self._left_out} lines before this one were left out)" if self._left_out else ""
        self._left_out = 0
        self._say(text + more)


class Clients:
    """Of one listening end. `purpose` says what a client's stream is for, given where the client is; `name`
    is what `say` calls this end when it tells of a failure. As long as there is no `tunnel`, whoever comes is
    sent away."""

    def __init__(
        self, purpose: Callable[[Endpoint], Purpose], name: str, say: Say, tunnel: Tunnel | None = None
    ) -> None:
        self.tunnel = tunnel
        self._purpose = purpose
        self._name = name
        self._say = say
        self._flows: dict[tuple[Endpoint, Endpoint], Flow] = {}
        self._told_full = False

    async def listen(self, network: Network, transport: Transport, bind: str, port: int) -> Listening:
        """See `listening.listen`."""
        return await listen(
            network, transport, bind, port, on_stream=self._connected, on_datagram=self._datagram
        )

    def _open(self, tunnel: Tunnel, source: Endpoint) -> TunnelStream | None:
        try:
            return tunnel.open(self._purpose(source))
        except CannotRun as error:
            self._failed(source, str(error))
            return None

    def _connected(self, tcp: TcpStream) -> None:
        tunnel = self.tunnel
        stream = None if tunnel is None else self._open(tunnel, tcp.remote)
        if tunnel is None or stream is None:
            tcp.abort()
        else:
            tunnel.spawn(self._splice(stream, tcp))

    async def _splice(self, stream: TunnelStream, tcp: TcpStream) -> None:
        failed = await splice(stream, tcp)
        if failed is not None:
            self._failed(tcp.remote, failed)

    def _datagram(self, socket: UdpSocket, data: bytes, source: Endpoint) -> None:
        if self.tunnel is None:
            return
        flow = self._flows.get((socket.local, source)) or self._new_flow(self.tunnel, socket, source)
        if flow is not None:
            flow.send(data)

    def _new_flow(self, tunnel: Tunnel, socket: UdpSocket, source: Endpoint) -> Flow | None:
        if len(self._flows) >= MAX_FLOWS:
            if not self._told_full:
                self._told_full = True
                self._failed(source, f"{MAX_FLOWS} other clients are sending datagrams there already")
            return None
        stream = self._open(tunnel, source)
        if stream is None:
            return None
        flow = Flow(tunnel, stream, lambda data: socket.send(data, source))
        self._flows[socket.local, source] = flow
        tunnel.spawn(self._run(flow, socket.local, source))
        return flow

    async def _run(self, flow: Flow, local: Endpoint, source: Endpoint) -> None:
        try:
            failed = await flow.run()
        finally:
            del self._flows[local, source]
        if failed is not None:
            self._failed(source, failed)

    def _failed(self, source: Endpoint, reason: str) -> None:
        self._say(f"{self._name}, from {source}: {reason}")


_LOOPBACK: Final[tuple[tuple[Family, str], ...]] = ((4, "127.0.0.1"), (6, "::1"))
SocketHandler = Callable[[UdpSocket, bytes, Endpoint], None]


_LACKING: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENODEV, errno.EPROTONOSUPPORT, 10047, 10049)


@dataclass(frozen=True, slots=True)
class BoundForward:
    """A forward that is listened for, before there is a tunnel or with one."""

    forward: Forward
    clients: Clients
    listening: Listening


async def bind(network: Network, forwards: Iterable[Forward], say: Say) -> list[BoundForward]:
    """Listen for all of them. CannotRun: one cannot be listened for, so none is."""
    bound: list[BoundForward] = []
    try:
        for forward in forwards:
            clients = Clients(_leading_to(forward), str(forward), say)
            listening = await clients.listen(network, forward.transport, forward.bind, forward.port)
            bound.append(BoundForward(forward, clients, listening))
    except BaseException:
        for each in bound:
            each.listening.close()
        raise
    return bound


def _leading_to(forward: Forward) -> Callable[[Endpoint], Purpose]:
    kind = TcpTo if forward.transport == "tcp" else UdpTo
    purpose = kind(forward.host, forward.host_port)
    return lambda _: purpose


@dataclass(slots=True)
class Listening:
    """What listens for one forward; `port` is the same on all addresses."""

    port: int
    ends: list[TcpListener | UdpSocket] = field(default_factory=list)

    def close(self) -> None:
        """Idempotent."""
        for end in self.ends:
            end.close()

    def __str__(self) -> str:
        return " and ".join(str(end.local) for end in self.ends)


async def listen(
    network: Network,
    transport: Transport,
    bind: str,
    port: int,
    *,
    on_stream: StreamHandler,
    on_datagram: SocketHandler,
) -> Listening:
    """Listen on an address, on both loopback ones ("") or on all ("*"); a machine may lack one of the two
    families, but where a port is taken or not permitted in one, who connects by name might reach another
    program.

    CannotRun: none can be listened on, or not all that there are."""
    listening, problem = Listening(port), CannotRun("there is no address to listen on")
    for family, host in _places(bind):
        try:
            if transport == "tcp":
                end: TcpListener | UdpSocket = await network.listen_tcp(
                    family=family, host=host, port=listening.port, on_stream=on_stream
                )
            else:
                end = await _udp(network, family, host, listening.port, on_datagram)
        except CannotRun as error:
            problem = error
            if _is_lacking(error) or (listening.ends and not port):
                continue
            listening.close()
            raise
        listening.ends.append(end)
        listening.port = end.local.port
    if not listening.ends:
        raise problem
    return listening


def _is_lacking(error: CannotRun) -> bool:
    """Does the machine have no such address or family?"""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _LACKING


def _places(bind: str) -> tuple[tuple[Family, str | None], ...]:
    if not bind:
        return _LOOPBACK
    if bind == ANY:
        return ((4, None), (6, None))
    try:
        parse_address(bind)
    except ValueError:
        raise CannotRun(f"{bind!r} is not an address to listen on") from None
    return ((family_of(bind), bind),)


async def _udp(
    network: Network, family: Family, host: str | None, port: int, on_datagram: SocketHandler
) -> UdpSocket:
    socket = await network.open_udp(family=family, host=host, port=port)
    socket.on_datagram = lambda data, source: on_datagram(socket, data, source)
    return socket
