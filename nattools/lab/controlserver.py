"""A control server of a lab: as much of Tailscale's and headscale's as a client needs before it logs in, and
what goes wrong with such servers."""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

from nattools.errors import ProtocolError
from nattools.lab.labidentity import context_of, identity_at
from nattools.lab.scenario import ControlSpec
from nattools.model.endpoint import family_of
from nattools.net.base import Network, TcpListener, TcpStream
from nattools.net.tls import start_tls
from nattools.protocols.headers import Headers, parse_head, split_head
from nattools.protocols.tailscalecontrol import UPGRADE
from nattools.server.connections import BackgroundTasks

_HANDSHAKE_S: Final = 10.0
_LARGEST_HEAD: Final = 16_384
_KEY: Final = f'{{"legacyPublicKey":"mkey:{"0" * 64}","publicKey":"mkey:{"5a" * 32}"}}'


class LabControlServer:
    """See `ControlSpec`."""

    def __init__(self, network: Network, own: ControlSpec) -> None:
        self._network = network
        self._own = own
        self._tasks = BackgroundTasks()
        self._open: list[TcpListener] = []
        self._tls: ssl.SSLContext | None = None

    async def open(self, addresses: tuple[str, ...]) -> None:
        """CannotRun: an address is not this node's, or a port is taken."""
        await self._tasks.start()
        if self._own.tls:
            inspected = self._own.fault == "inspected"
            self._tls = context_of(identity_at(("a proxy",) if inspected else addresses))
        for host in addresses:
            for port in {self._own.port, 80}:
                listener = await self._network.listen_tcp(
                    family=family_of(host),
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
            if not data or len(head) > _LARGEST_HEAD:
                return
            head += data
        request, headers = parse_head(head[:end])
        path = request.split(" ")[1] if request.count(" ") == 2 else ""
        stream.write(self._found(path.partition("?")[0], headers))
        await stream.drain()

    def _found(self, path: str, headers: Headers) -> bytes:
        if self._own.fault == "another":
            return _page("200 OK", "<html>It works!</html>")
        if path == "/generate_204":
            return _page("204 No Content")
        if path == "/key":
            return _page("200 OK", _KEY)
        if path == "/ts2021":
            seen = headers.get("upgrade") if self._own.fault != "proxied" else ""
            told = "missing Tailscale handshake header" if seen == UPGRADE else "missing next protocol"
            return _page("400 Bad Request", told)
        return _page("404 Not Found")


def _page(status: str, body: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return f"{head}{body}".encode()
