"""A control server of a lab: as much of Tailscale's and headscale's as a client needs before it logs in, and
what goes wrong with such servers."""

from __future__ import annotations

from typing import Final

from nattools.lab.labwebserver import LabWebServer, WebRequest, page
from nattools.lab.scenario import ControlSpec
from nattools.net.base import Network, TcpStream
from nattools.protocols.headers import Headers
from nattools.protocols.tailscalecontrol import UPGRADE

_KEY: Final = f'{{"legacyPublicKey":"mkey:{"0" * 64}","publicKey":"mkey:{"5a" * 32}"}}'


class LabControlServer:
    """See `ControlSpec`."""

    def __init__(self, network: Network, own: ControlSpec) -> None:
        self._own = own
        self._web = LabWebServer(network, self._answer, silent=own.fault == "silent")

    async def open(self, addresses: tuple[str, ...]) -> None:
        """CannotRun: an address is not this node's, or a port is taken."""
        shown = ("a proxy",) if self._own.fault == "inspected" else addresses
        await self._web.open(addresses, self._own.port, (80,), names=shown if self._own.tls else None)

    async def close(self) -> None:
        """Idempotent."""
        await self._web.close()

    async def _answer(self, stream: TcpStream, request: WebRequest) -> None:
        stream.write(self._found(request.path.partition("?")[0], request.headers))
        await stream.drain()

    def _found(self, path: str, headers: Headers) -> bytes:
        if self._own.fault == "another":
            return page("200 OK", "<html>It works!</html>")
        if path == "/generate_204":
            return page("204 No Content")
        if path == "/key":
            return page("200 OK", _KEY)
        if path == "/ts2021":
            seen = headers.get("upgrade") if self._own.fault != "proxied" else ""
            told = "missing Tailscale handshake header" if seen == UPGRADE else "missing next protocol"
            return page("400 Bad Request", told)
        return page("404 Not Found")
