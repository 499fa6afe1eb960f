"""The servers that a scenario can have: `nattools serve`, plain and old ones, and ones that misbehave.

Those that misbehave do what public servers have been seen to do; a client must not be misled by them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from nattools.errors import ProtocolError
from nattools.lab.scenario import Libp2pSpec, ServerSpec
from nattools.model.endpoint import Endpoint, Family, family_of, parse_endpoint
from nattools.net.base import DatagramHandler, Network, StreamHandler, TcpListener, TcpStream, UdpSocket
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute
from nattools.server.connections import BackgroundTasks, converse
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.limits import RateLimit, Slots
from nattools.server.serving import ServeConfig, serve
from nattools.server.stun import BindingServer, Reply

if TYPE_CHECKING:
    from nattools.lab.controlserver import LabControlServer
    from nattools.lab.derpserver import LabDerpServer
    from nattools.server.peer.peerservice import PeerServiceConfig

_IDLE_S = 30.0
_WRONG_ADDRESS: dict[Family, str] = {4: "11.99.99.99", 6: "2a10:9999::9999"}
_WRONG_ONCE_IN = 3
_ELSEWHERE: dict[Family, str] = {4: "11.98.98.98", 6: "2a10:9898::9898"}
_REASONS = {300: "Try Alternate", 401: "Unauthorized", 420: "Unknown Attribute", 438: "Stale Nonce"}
_FIRST: Role = (0, 0)


class RunningServer(Protocol):
    """A running server."""

    async def close(self) -> None:
        """Idempotent."""


async def start(network: Network, spec: ServerSpec, addresses: tuple[str, ...]) -> RunningServer:
    """Start a server of this kind on its own `addresses`, at `spec.port` and the port after it.

    CannotRun: an address is not this node's, or a port is taken.
    """
    if spec.relay is not None:
        from nattools.lab.labrelay import serve_relay

        return await serve_relay(network, spec, spec.relay, addresses)
    if spec.kind == "nattools" and spec.derp is None and spec.control is None:
        config = ServeConfig(
            addresses=addresses,
            port=spec.port,
            alternate_port=spec.port + 1,
            tcp=spec.tcp,
            libp2p=None if spec.libp2p is None else _peer(spec.libp2p, addresses),
        )
        return await serve(network, config)
    server = _other(network, spec)
    try:
        await server.open(addresses)
    except BaseException:
        await server.close()
        raise
    return server


def _peer(spec: Libp2pSpec, addresses: tuple[str, ...]) -> PeerServiceConfig:
    from nattools.lab.labpeers import seed_at
    from nattools.server.peer.peerrelay import PeerRelayLimits
    from nattools.server.peer.peerservice import PeerServiceConfig

    limits = PeerRelayLimits(reservations_per_source=spec.places) if spec.relay else None
    return PeerServiceConfig(seed=seed_at(addresses), relay=limits)


def _other(network: Network, spec: ServerSpec) -> _Server | LabDerpServer | LabControlServer:
    if spec.control is not None:
        from nattools.lab.controlserver import LabControlServer

        return LabControlServer(network, spec.control)
    if spec.derp is None:
        return _Server(network, spec)
    from nattools.lab.derpserver import LabDerpServer

    return LabDerpServer(network, spec, spec.derp)


class AnswerPolicy:
    """How a kind of server answers what arrives at one of its roles. This one listens, and never answers."""

    def __init__(self, site: ServerEndpoints) -> None:
        pass

    def datagram(self, data: bytes, source: Endpoint, role: Role) -> Reply | None:
        """Over UDP."""
        answer = self.message(data, source, role)
        return None if answer is None else Reply(answer, role, source)

    def message(self, data: bytes, source: Endpoint, role: Role) -> bytes | None:
        """Over TCP, and over UDP where nothing else is said."""
        return None


class _Server:
    """Sockets, and the policy by which what arrives is answered."""

    def __init__(self, network: Network, spec: ServerSpec) -> None:
        self._network = network
        self._spec = spec
        self._tasks = BackgroundTasks()
        self._open: list[UdpSocket | TcpListener] = []
        self._slots = Slots(per_source=1000, total=1000)

    async def open(self, addresses: tuple[str, ...]) -> None:
        await self._tasks.start()
        families: tuple[Family, ...] = (4, 6)
        for family in families:
            hosts = [each for each in addresses if family_of(each) == family]
            if hosts:
                await self._open_family(family, hosts)

    async def close(self) -> None:
        """Idempotent."""
        for each in self._open:
            each.close()
        self._open.clear()
        await self._tasks.close()

    async def _open_family(self, family: Family, hosts: list[str]) -> None:
        ports = (self._spec.port, self._spec.port + 1)
        site = ServerEndpoints(tuple(tuple(Endpoint(host, port) for port in ports) for host in hosts))
        policy = _POLICIES[self._spec.kind](site)
        if self._spec.kind == "refuses":
            policy = _Refuses(site, self._spec.error)
        elif self._spec.says is not None or self._spec.rewritten is not None:
            policy = _Says(policy, site, self._spec)
        sockets: dict[Role, UdpSocket] = {}
        for role, endpoint in site:
            if self._spec.kind in _TWO_PORTS or role[1] == 0:
                sockets[role] = await self._network.open_udp(
                    family=family, host=endpoint.host, port=endpoint.port
                )
                self._open.append(sockets[role])
        for role, socket in sockets.items():
            socket.on_datagram = _handler(policy, role, sockets)
            if self._spec.tcp and self._spec.kind != "rfc3489":
                await self._listen(policy, role, site.at(role))

    async def _listen(self, policy: AnswerPolicy, role: Role, endpoint: Endpoint) -> None:
        listener = await self._network.listen_tcp(
            family=endpoint.family,
            host=endpoint.host,
            port=endpoint.port,
            on_stream=self._on_stream(policy, role),
        )
        self._open.append(listener)

    def _on_stream(self, policy: AnswerPolicy, role: Role) -> StreamHandler:
        def answer(data: bytes, stream: TcpStream) -> bytes | None:
            return policy.message(data, stream.remote, role)

        return lambda stream: self._tasks.spawn(
            converse(stream, answer, self._slots, patience_s=lambda stream: _IDLE_S)
        )


def _handler(policy: AnswerPolicy, role: Role, sockets: dict[Role, UdpSocket]) -> DatagramHandler:
    def on_datagram(data: bytes, source: Endpoint) -> None:
        reply = policy.datagram(data, source, role)
        if reply is not None:
            sockets[reply.role].send(reply.data, reply.to)

    return on_datagram


def _request(data: bytes) -> stun.Message | None:
    """A Binding request, or None for everything else."""
    try:
        message = stun.decode(data)
    except ProtocolError:
        return None
    return message if message.kind == "request" and message.method == stun.BINDING else None


class _Full(AnswerPolicy):
    """RFC 5780 with all that the addresses allow, as coturn does it. `only_legacy`: an old server, to which
    a request with the magic cookie is no request."""

    def __init__(self, site: ServerEndpoints, only_legacy: bool = False) -> None:
        unlimited = RateLimit(rate=1e9, burst=1e9, total_rate=1e9, total_burst=1e9)
        self._binding = BindingServer(site, unlimited, None)
        self._only_legacy = only_legacy

    def datagram(self, data: bytes, source: Endpoint, role: Role) -> Reply | None:
        request = _request(data)
        if request is None or (self._only_legacy and not request.legacy):
            return None
        return self._binding.answer(request, source, role, 0.0)

    def message(self, data: bytes, source: Endpoint, role: Role) -> bytes | None:
        request = _request(data)
        return None if request is None else self._binding.answer_stream(request, source, role)


class _DropsChange(_Full):
    """Two addresses, and a firewall or a fault that swallows every CHANGE-REQUEST."""

    def datagram(self, data: bytes, source: Endpoint, role: Role) -> Reply | None:
        request = _request(data)
        if request is None or request.get(c.CHANGE_REQUEST) is not None:
            return None
        return super().datagram(data, source, role)


class _Plain(AnswerPolicy):
    """Binding and nothing else: what most public servers do. `change`: what becomes of CHANGE-REQUEST,
    which such a server does not know."""

    def __init__(
        self,
        site: ServerEndpoints,
        *,
        change: Literal["refused", "ignored"] = "refused",
        mapped: bool = True,
        wrong: bool = False,
        fake: bool = False,
    ) -> None:
        self._site = site
        self._change = change
        self._mapped = mapped
        self._wrong = wrong
        self._fake = fake
        self._answers = 0

    def message(self, data: bytes, source: Endpoint, role: Role) -> bytes | None:
        request = _request(data)
        if request is None:
            return None
        if self._change == "refused" and request.get(c.CHANGE_REQUEST) is not None:
            refusal = (
                (c.ERROR_CODE, stun.pack_error_code(420, "Unknown Attribute")),
                (c.UNKNOWN_ATTRIBUTES, stun.pack_types((c.CHANGE_REQUEST,))),
            )
            return stun.encode(stun.Message(stun.BINDING, "error", request.transaction_id, refusal))
        attributes = self._attributes(request, self._seen(source), role)
        return stun.encode(stun.Message(stun.BINDING, "success", request.transaction_id, attributes))

    def _seen(self, source: Endpoint) -> Endpoint:
        """The client's address, or now and then another one."""
        self._answers += 1
        if self._wrong and self._answers % _WRONG_ONCE_IN == 0:
            return Endpoint(_WRONG_ADDRESS[source.family], source.port)
        return source

    def _attributes(self, request: stun.Message, seen: Endpoint, role: Role) -> tuple[Attribute, ...]:
        if request.legacy:
            return ((c.MAPPED_ADDRESS, stun.pack_address(seen)),)
        found = [(c.XOR_MAPPED_ADDRESS, stun.pack_xor_address(seen, request.transaction_id))]
        if self._mapped:
            found.append((c.MAPPED_ADDRESS, stun.pack_address(seen)))
        if self._fake:
            found += self._false_claims(request, role)
        return tuple(found)

    def _false_claims(self, request: stun.Message, role: Role) -> list[Attribute]:
        """What it falsely claims: another address, and that the answer came from there."""
        other = self._site.other(role) or Endpoint(self._site.at(_FIRST).host, self._site.at((0, 1)).port)
        try:
            changed = any(request.change_request or ())
        except ProtocolError:
            changed = False
        origin = other if changed else self._site.at(role)
        return [
            (c.RESPONSE_ORIGIN, stun.pack_address(origin)),
            (c.OTHER_ADDRESS, stun.pack_address(other)),
        ]


class _Garbage(AnswerPolicy):
    """Answers noise of several kinds in turn, from random bytes to answers that are nearly right."""

    def __init__(self, site: ServerEndpoints) -> None:
        self._random = random.Random(3489)
        self._answers = 0

    def message(self, data: bytes, source: Endpoint, role: Role) -> bytes | None:
        self._answers += 1
        request = _request(data)
        if request is None:
            return self._random.randbytes(20)
        right = stun.binding_success(request.transaction_id, source)
        kinds = (
            self._random.randbytes(40),
            right[:-3],
            stun.binding_success(self._random.randbytes(len(request.transaction_id)), source),
            right[:20] + b"\0\x20\xff\xff" + right[24:],
            right[:24] + b"\0\x07" + right[26:],
        )
        return kinds[self._answers % len(kinds)]


class _Refuses(AnswerPolicy):
    """Answers with an error. To 300 belongs the server to ask instead (RFC 8489 10)."""

    def __init__(self, site: ServerEndpoints, error: int = 401) -> None:
        self._error = error
        self._instead = Endpoint(_ELSEWHERE[site.at(_FIRST).family], 3478)

    def message(self, data: bytes, source: Endpoint, role: Role) -> bytes | None:
        request = _request(data)
        if request is None:
            return None
        found = [(c.ERROR_CODE, stun.pack_error_code(self._error, _REASONS.get(self._error, "Error")))]
        if self._error == 300:
            found.append((c.ALTERNATE_SERVER, stun.pack_address(self._instead)))
        return stun.encode(stun.Message(stun.BINDING, "error", request.transaction_id, tuple(found)))


class _Says(AnswerPolicy):
    """Another policy's answers, with other words about the client's address."""

    def __init__(self, inner: AnswerPolicy, site: ServerEndpoints, spec: ServerSpec) -> None:
        self._inner = inner
        self._site = site
        self._spec = spec

    def datagram(self, data: bytes, source: Endpoint, role: Role) -> Reply | None:
        reply = self._inner.datagram(data, source, role)
        return None if reply is None else reply._replace(data=self._changed(reply.data, source, role))

    def message(self, data: bytes, source: Endpoint, role: Role) -> bytes | None:
        answer = self._inner.message(data, source, role)
        return None if answer is None else self._changed(answer, source, role)

    def _changed(self, answer: bytes, source: Endpoint, role: Role) -> bytes:
        message = stun.decode(answer)
        if message.kind != "success":
            return answer
        seen = self._named(self._spec.says, source, role)
        unmasked = self._named(self._spec.rewritten, seen, role)
        words = {
            c.XOR_MAPPED_ADDRESS: stun.pack_xor_address(seen, message.transaction_id[-12:]),
            c.MAPPED_ADDRESS: stun.pack_address(unmasked),
        }
        changed = tuple((number, words.get(number, value)) for number, value in message.attributes)
        return stun.encode(stun.Message(stun.BINDING, "success", message.transaction_id, changed))

    def _named(self, says: str | None, source: Endpoint, role: Role) -> Endpoint:
        if says is None:
            return source
        if says == "mapped":
            return Endpoint(f"::ffff:{source.host}", source.port)
        if says == "own":
            return Endpoint(self._site.at(role).host, source.port)
        return parse_endpoint(says) if says.count(":") == 1 or "]" in says else Endpoint(says, source.port)


_TWO_PORTS = frozenset({"rfc5780", "rfc3489", "drops-change"})
_POLICIES: dict[str, Callable[[ServerEndpoints], AnswerPolicy]] = {
    "rfc5780": _Full,
    "rfc3489": lambda site: _Full(site, only_legacy=True),
    "plain": _Plain,
    "xor-only": lambda site: _Plain(site, mapped=False),
    "wrong-address": lambda site: _Plain(site, wrong=True),
    "fake-other": lambda site: _Plain(site, change="ignored", fake=True),
    "ignores-change": lambda site: _Plain(site, change="ignored"),
    "drops-change": _DropsChange,
    "silent": AnswerPolicy,
    "garbage": _Garbage,
    "refuses": _Refuses,
}
