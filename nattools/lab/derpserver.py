"""A DERP server of a lab: what derper does for its clients, and what goes wrong with such servers.

Its certificate follows from its first address, so that `derp_map` can name it without asking.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.lab.labidentity import context_of, fingerprint_at, identity_at
from nattools.lab.scenario import DerpSpec, Scenario, ServerSpec
from nattools.model.endpoint import Endpoint, family_of
from nattools.net.base import DatagramHandler, Network, TcpListener, TcpStream, UdpSocket
from nattools.net.tls import start_tls
from nattools.protocols import derp, stun
from nattools.protocols.derp import derpframes as f
from nattools.protocols.headers import Headers, parse_head, split_head
from nattools.protocols.stun import constants as c
from nattools.server.connections import BackgroundTasks

_QUEUE: Final = 32
"""Packets that wait for one client, as derper has it; what comes then is dropped."""
_KEEP_ALIVE_S: Final = 60.0
_HANDSHAKE_S: Final = 10.0
_FIRST_REGION: Final = 901
_RESTART_AFTER_S: Final = 1.0
_UPGRADED: Final = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"


def derp_map(scenario: Scenario, addresses: Mapping[str, tuple[str, ...]]) -> bytes:
    """The map of a scenario's DERP servers, a region for each, as Tailscale would give it."""
    regions: dict[str, object] = {}
    for name, spec in scenario.server.items():
        if spec.derp is not None:
            number = _FIRST_REGION + len(regions)
            node = _node(name, spec, spec.derp, addresses[name])
            named = {"RegionID": number, "RegionCode": name, "RegionName": name}
            regions[str(number)] = {**named, "Nodes": [node]}
    return msgspec.json.encode({"Regions": regions})


def _node(name: str, spec: ServerSpec, own: DerpSpec, addresses: tuple[str, ...]) -> dict[str, object]:
    first = {family_of(address): address for address in reversed(addresses)}
    certificate = fingerprint_at(addresses)
    return {
        "Name": name,
        "HostName": name,
        "IPv4": first.get(4, "none"),
        "IPv6": first.get(6, "none"),
        "DERPPort": own.port,
        "STUNPort": spec.port if own.stun else -1,
        "CanPort80": own.port_80,
        "CertName": f"sha256-raw:{certificate}" if own.tls else "",
    }


class LabDerpServer:
    """See `DerpSpec`."""

    def __init__(self, network: Network, spec: ServerSpec, own: DerpSpec) -> None:
        self._network = network
        self._spec = spec
        self._own = own
        self._tasks = BackgroundTasks()
        self._open: list[UdpSocket | TcpListener] = []
        self._tls: ssl.SSLContext | None = None
        self._keys = derp.KeyPair()
        self._clients: dict[bytes, _Client] = {}
        self._restarts = own.fault == "restarts"

    async def open(self, addresses: tuple[str, ...]) -> None:
        """CannotRun: an address is not this node's, or a port is taken."""
        await self._tasks.start()
        if self._own.tls:
            portal = self._own.fault == "portal"
            self._tls = context_of(identity_at(("a portal",) if portal else addresses))
        for host in addresses:
            family = family_of(host)
            if self._own.stun:
                socket = await self._network.open_udp(family=family, host=host, port=self._spec.port)
                socket.on_datagram = _tailnode_answers(socket)
                self._open.append(socket)
            for port in {self._own.port, 80} if self._own.port_80 else {self._own.port}:
                listener = await self._network.listen_tcp(
                    family=family,
                    host=host,
                    port=port,
                    on_stream=lambda stream: self._tasks.spawn(self._serve(stream)),
                )
                self._open.append(listener)

    async def close(self) -> None:
        """Idempotent."""
        for each in self._open:
            each.close()
        self._open.clear()
        await self._tasks.close()

    # --- HTTP

    async def _serve(self, accepted: TcpStream) -> None:
        stream: TcpStream = accepted
        try:
            if self._own.fault == "silent":
                while await stream.read():
                    pass
                return
            if self._tls is not None and accepted.local.port == self._own.port:
                secured = await start_tls(accepted, self._tls, timeout_s=_HANDSHAKE_S)
                if isinstance(secured, str):
                    return
                stream = secured
            with contextlib.suppress(ProtocolError):
                await self._answer(stream)
        finally:
            stream.close()

    async def _answer(self, stream: TcpStream) -> None:
        head = b""
        while (end := split_head(head)) is None:
            data = await stream.read()
            if not data:
                return
            head += data
            if not head[:1].isalpha():
                stream.write(_page("400 Bad Request"))
                return
        request, headers = parse_head(head[:end])
        path = request.split(" ")[1] if request.count(" ") == 2 else ""
        if (
            path == "/derp"
            and headers.get("upgrade").lower() == "derp"
            and self._own.fault not in ("no-derp", "portal")
        ):
            stream.write(_UPGRADED.encode())
            await self._converse(stream)
            return
        stream.write(self._found(path, headers))
        await stream.drain()

    def _found(self, path: str, headers: Headers) -> bytes:
        if self._own.fault == "portal":
            return _page("302 Found", "Location: http://10.0.0.1/login\r\n")
        if path in ("/derp/latency-check", "/derp/probe"):
            return _page("200 OK")
        if path == "/generate_204" and self._own.port_80:
            repeated = f"response {headers.get('x-tailscale-challenge')}"
            return _page("204 No Content", f"X-Tailscale-Response: {repeated}\r\n")
        return _page("426 Upgrade Required" if path == "/derp" else "404 Not Found")

    # --- DERP

    async def _converse(self, stream: TcpStream) -> None:
        stream.write(f.encode(f.SERVER_KEY, f.MAGIC, self._keys.public))
        deframer = derp.DerpFrameReader()
        client: _Client | None = None
        try:
            while data := await stream.read():
                for frame in deframer.feed(data):
                    if client is None:
                        client = self._admit(stream, frame)
                        if client is None:
                            return
                    else:
                        self._take(client, frame)
        finally:
            if client is not None:
                self._leave(client)

    def _admit(self, stream: TcpStream, frame: derp.Frame) -> _Client | None:
        """None: it is not let in."""
        if frame.kind != f.CLIENT_INFO:
            raise ProtocolError("no introduction")
        key = frame.body[: f.KEY_SIZE]
        self._keys.open(frame.body[f.KEY_SIZE :], key)
        if self._own.verifies:
            return None
        stream.write(f.encode(f.SERVER_INFO, self._keys.seal(b'{"version":2}', key)))
        if self._own.fault == "lies":
            stream.write(f.encode(f.RECEIVED, key, b"from nobody") + b"\xff\xff\xff\xff\xff")
        client = self._clients[key] = _Client(key, stream)
        self._tasks.spawn(client.write())
        if self._restarts:
            self._restarts = False
            self._tasks.spawn(self._restart(client))
        return client

    async def _restart(self, client: _Client) -> None:
        """Once: to say so, and to go."""
        await asyncio.sleep(_RESTART_AFTER_S)
        client.queue(f.encode(f.RESTARTING, (500).to_bytes(4, "big"), (5000).to_bytes(4, "big")))
        await asyncio.sleep(_RESTART_AFTER_S)
        client.stream.close()

    def _take(self, sender: _Client, frame: derp.Frame) -> None:
        if frame.kind == f.PING:
            sender.queue(f.encode(f.PONG, frame.body))
        elif frame.kind == f.SEND and self._own.fault != "drops":
            key, data = frame.body[: f.KEY_SIZE], frame.body[f.KEY_SIZE :]
            receiver = self._clients.get(key)
            if receiver is not None:
                receiver.heard_of.add(sender.key)
                receiver.queue(f.encode(f.RECEIVED, sender.key, data))

    def _leave(self, client: _Client) -> None:
        client.gone = True
        client.due.set()
        if self._clients.get(client.key) is client:
            del self._clients[client.key]
            for other in self._clients.values():
                if client.key in other.heard_of:
                    other.queue(f.encode(f.PEER_GONE, client.key, b"\0"))


class _Client:
    """One that was let in, and what waits for it."""

    def __init__(self, key: bytes, stream: TcpStream) -> None:
        self.key = key
        self.stream = stream
        self.heard_of: set[bytes] = set()
        self.gone = False
        self.due = asyncio.Event()
        self._waiting: deque[bytes] = deque()

    def queue(self, frame: bytes) -> None:
        if len(self._waiting) < _QUEUE:
            self._waiting.append(frame)
            self.due.set()

    async def write(self) -> None:
        while not self.gone:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_ALIVE_S):
                    await self.due.wait()
            self.due.clear()
            frames = b"".join(self._waiting) or f.encode(f.KEEP_ALIVE)
            self._waiting.clear()
            if not self.gone:
                self.stream.write(frames)
                await self.stream.drain()


def _page(status: str, header: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()


def _tailnode_answers(socket: UdpSocket) -> DatagramHandler:
    """STUN as DERP servers speak it: to their own clients alone."""

    def on_datagram(data: bytes, source: Endpoint) -> None:
        try:
            message = stun.decode(data)
        except ProtocolError:
            return
        expected = message.kind == "request" and message.method == c.BINDING
        if expected and message.get(c.SOFTWARE) == b"tailnode" and stun.verify_fingerprint(message):
            socket.send(stun.binding_success(message.transaction_id, source), source)

    return on_datagram
