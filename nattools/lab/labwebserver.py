"""What a lab's servers that speak HTTP have in common: one port within TLS, others without."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.lab.labidentity import context_of, identity_at
from nattools.model.endpoint import family_of
from nattools.net.base import Network, TcpListener, TcpStream
from nattools.net.web.tls import start_tls
from nattools.protocols.headers import Headers, parse_head, split_head
from nattools.server.connections import BackgroundTasks

_HANDSHAKE_S: Final = 10.0
_LARGEST_HEAD: Final = 16_384


class WebRequest(NamedTuple):
    """What is asked for, by `path`, with its query."""

    path: str
    headers: Headers


Answer = Callable[[TcpStream, WebRequest], Awaitable[None]]


class LabWebServer:
    """Each request has a connection of its own, which `answer` may go on with. `silent`: it takes connections
    and says nothing."""

    def __init__(self, network: Network, answer: Answer, *, silent: bool) -> None:
        self.tasks = BackgroundTasks()
        self._network = network
        self._answer = answer
        self._silent = silent
        self._open: list[TcpListener] = []

    async def open(
        self, addresses: Iterable[str], port: int, more: Iterable[int], *, names: tuple[str, ...] | None
    ) -> None:
        """Within TLS at `port`, with a certificate for these names (None: there without TLS, too); without at
        `more`. CannotRun: an address is not this node's, or a port is taken."""
        await self.tasks.start()
        tls = None if names is None else context_of(identity_at(names))
        for host in addresses:
            for number in {port, *more}:
                listener = await self._network.listen_tcp(
                    family=family_of(host),
                    host=host,
                    port=number,
                    on_stream=partial(self._accepted, tls if number == port else None),
                )
                self._open.append(listener)

    async def close(self) -> None:
        """Idempotent."""
        for each in self._open:
            each.close()
        self._open.clear()
        await self.tasks.close()

    def _accepted(self, tls: ssl.SSLContext | None, stream: TcpStream) -> None:
        self.tasks.spawn(self._serve(stream, tls))

    async def _serve(self, accepted: TcpStream, tls: ssl.SSLContext | None) -> None:
        stream: TcpStream = accepted
        try:
            if self._silent:
                while await stream.read():
                    pass
                return
            if tls is not None:
                secured = await start_tls(accepted, tls, timeout_s=_HANDSHAKE_S)
                if isinstance(secured, str):
                    return
                stream = secured
            with contextlib.suppress(ProtocolError):
                request = await _request(stream)
                if request is not None:
                    await self._answer(stream, request)
        finally:
            stream.close()


async def _request(stream: TcpStream) -> WebRequest | None:
    """None: none comes, or what comes is no HTTP."""
    head = b""
    while (end := split_head(head)) is None:
        data = await stream.read()
        if not data or len(head) > _LARGEST_HEAD:
            return None
        head += data
        if not head[:1].isalpha():
            stream.write(page("400 Bad Request"))
            return None
    request, headers = parse_head(head[:end])
    return WebRequest(request.split(" ")[1] if request.count(" ") == 2 else "", headers)


def page(status: str, body: str = "", header: str = "") -> bytes:
    """The last of a connection; `header` ends each of its lines with CR LF."""
    head = f"HTTP/1.1 {status}\r\n{header}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return f"{head}{body}".encode()
