"""A DERP server of a lab: what derper does for its clients, and what goes wrong with such servers.

Its certificate follows from its first address, so that `derp_map` can name it without asking.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.lab.labidentity import fingerprint_at
from nattools.lab.labwebserver import LabWebServer, WebRequest, page
from nattools.lab.scenario import DerpSpec, Scenario, ServerSpec
from nattools.model.endpoint import Endpoint, family_of
from nattools.net.base import DatagramHandler, Network, TcpStream, UdpSocket
from nattools.protocols import derp, stun
from nattools.protocols.derp import derpframes as f
from nattools.protocols.headers import Headers
from nattools.protocols.stun import constants as c

_QUEUE: Final = 32
"""Packets that wait for one client, as derper has it; what comes then is dropped."""
_KEEP_ALIVE_S: Final = 60.0
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
        self._web = LabWebServer(network, self._answer, silent=own.fault == "silent")
        self._sockets: list[UdpSocket] = []
        self._private = random_bytes(f.KEY_SIZE)
        self._clients: dict[bytes, _Client] = {}
        self._restarts = own.fault == "restarts"

    async def open(self, addresses: tuple[str, ...]) -> None:
        """CannotRun: an address is not this node's, or a port is taken."""
        own = self._own
        for host in addresses if own.stun else ():
            socket = await self._network.open_udp(family=family_of(host), host=host, port=self._spec.port)
            socket.on_datagram = _tailnode_answers(socket)
            self._sockets.append(socket)
        shown = ("a portal",) if own.fault == "portal" else addresses
        more = (80,) if own.port_80 else ()
        await self._web.open(addresses, own.port, more, names=shown if own.tls else None)

    async def close(self) -> None:
        """Idempotent."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()
        await self._web.close()

    # --- HTTP

    async def _answer(self, stream: TcpStream, request: WebRequest) -> None:
        if (
            request.path == "/derp"
            and request.headers.get("upgrade").lower() == "derp"
            and self._own.fault not in ("no-derp", "portal")
        ):
            stream.write(_UPGRADED.encode())
            await self._converse(stream)
            return
        stream.write(self._found(request.path, request.headers))
        await stream.drain()

    def _found(self, path: str, headers: Headers) -> bytes:
        if self._own.fault == "portal":
            return page("302 Found", header="Location: http://10.0.0.1/login\r\n")
        if path in ("/derp/latency-check", "/derp/probe"):
            return page("200 OK")
        if path == "/generate_204" and self._own.port_80:
            repeated = f"response {headers.get('x-tailscale-challenge')}"
            return page("204 No Content", header=f"X-Tailscale-Response: {repeated}\r\n")
        return page("426 Upgrade Required" if path == "/derp" else "404 Not Found")

    # --- DERP

    async def _converse(self, stream: TcpStream) -> None:
        keys = derp.KeyPair(self._private)
        stream.write(f.encode(f.SERVER_KEY, f.MAGIC, keys.public))
        deframer = derp.DerpFrameReader()
        client: _Client | None = None
        try:
            while data := await stream.read():
                for frame in deframer.feed(data):
                    if client is None:
                        client = self._admit(stream, keys, frame)
                        if client is None:
                            return
                    else:
                        self._take(client, frame)
        finally:
            if client is not None:
                self._leave(client)

    def _admit(self, stream: TcpStream, keys: derp.KeyPair, frame: derp.Frame) -> _Client | None:
        """None: it is not let in."""
        if frame.kind != f.CLIENT_INFO:
            raise ProtocolError("no introduction")
        key = frame.body[: f.KEY_SIZE]
        keys.open(frame.body[f.KEY_SIZE :], key)
        if self._own.verifies:
            return None
        stream.write(f.encode(f.SERVER_INFO, keys.seal(b'{"version":2}', key)))
        if self._own.fault == "lies":
            stream.write(f.encode(f.RECEIVED, key, b"from nobody") + b"\xff\xff\xff\xff\xff")
        client = self._clients[key] = _Client(key, stream)
        self._web.tasks.spawn(client.write())
        if self._restarts:
            self._restarts = False
            self._web.tasks.spawn(self._restart(client))
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
