"""WebSocket (RFC 6455) over the streams of any network: the sans-IO core of `websockets`, driven.

Without compression. Messages are bounded, and so is in how many pieces one may come.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit

if TYPE_CHECKING:
    from websockets.client import ClientProtocol
    from websockets.server import ServerProtocol

_MAX_PIECES: Final = 16
_MAX_HEAD: Final = 8192  # bytes of a request
_MAX_ANSWER: Final = 65536  # bytes of a response, with what a server says that is none of WebSocket
_UNLOGGED: Final = logging.Logger("websockets", logging.CRITICAL + 1)
"""`websockets` logs a traceback for what a stranger sends; here that ends the connection, and no more."""


class WebSocket:
    """An open connection. One coroutine receives; anyone may send."""

    def __init__(self, stream: TcpStream, protocol: ServerProtocol | ClientProtocol) -> None:
        self.stream = stream
        self._protocol = protocol
        self._ready: list[bytes] = []
        self._pieces: list[bytes] = []

    async def receive(self) -> bytes | None:
        """The next message, text or binary; None at the end, whoever ended it and how. A control message
        (ping, pong) is an empty one."""
        while not self._ready:
            data = await self.stream.read()
            if not data:
                return None
            self._protocol.receive_data(data)
            self._take(self._protocol.events_received())
            self._flush()
            await self.stream.drain()
            if self._closed and not self._ready:
                return None
        return self._ready.pop(0)

    def send(self, text: bytes) -> None:
        """Queue a text message; after the end it is lost. `stream.drain` waits for its departure."""
        if not self._closed:
            self._protocol.send_text(text)
            self._flush()

    def ping(self) -> None:
        """Send a ping."""
        if not self._closed:
            self._protocol.send_ping(b"")
            self._flush()

    def close(self) -> None:
        """Send a close frame and what is queued. Idempotent."""
        if not self._closed:
            self._protocol.send_close(1000)
            self._flush()
        self.stream.close()

    async def wait_closed(self, within_s: float) -> None:
        """After `close`: wait until what was queued has left; reset the connection when time is up."""
        async with TimeLimit(within_s) as limit:
            while await self.stream.read():
                pass
        if limit.expired():
            self.stream.abort()

    @property
    def _closed(self) -> bool:
        # a close frame that came together with the handshake leaves the state as it is
        return self._protocol.state.name != "OPEN" or self._protocol.close_rcvd is not None

    def _take(self, events: list[Any]) -> None:
        from websockets.frames import Frame, Opcode

        for frame in events:
            if not isinstance(frame, Frame):
                continue
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._assemble(bytes(frame.data), frame.fin)
            else:
                self._ready.append(b"")

    def _assemble(self, data: bytes, last: bool) -> None:
        self._pieces.append(data)
        if last:
            self._ready.append(b"".join(self._pieces))
            self._pieces.clear()
        elif len(self._pieces) >= _MAX_PIECES:
            self._pieces.clear()
            self._protocol.fail(1009, "too many pieces")

    def _flush(self) -> None:
        _write(self.stream, self._protocol)


async def accept(
    stream: TcpStream, first: bytes, *, path: str, max_size: int, timeout_s: float
) -> WebSocket | None:
    """Answer a client's handshake, of which `first` was read already; None: there was none, or a wrong one,
    and the stream is closed. Pages of browsers (they send an Origin) are refused, and so is one who goes on
    before it is answered (RFC 6455 4.1)."""
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

    protocol = ServerProtocol(origins=[None], max_size=max_size, logger=_UNLOGGED)
    request = await _first_event(stream, protocol, first, timeout_s, _MAX_HEAD)
    if not isinstance(request, Request):
        stream.close()
        return None
    found = request.path.partition("?")[0] == path
    response = protocol.accept(request) if found else protocol.reject(404, "there is nothing here\n")
    protocol.send_response(response)
    _write(stream, protocol)
    if protocol.state.name != "OPEN":
        stream.close()
        return None
    return WebSocket(stream, protocol)


async def connect(
    stream: TcpStream, *, host: str, path: str, max_size: int, timeout_s: float
) -> WebSocket | str:
    """Make the handshake on a connected stream; a text says why it failed, and the stream is closed."""
    from websockets.client import ClientProtocol
    from websockets.http11 import Response
    from websockets.uri import parse_uri

    protocol = ClientProtocol(parse_uri(f"ws://{host}{path}"), max_size=max_size, logger=_UNLOGGED)
    protocol.send_request(protocol.connect())
    _write(stream, protocol)
    response = await _first_event(stream, protocol, b"", timeout_s, _MAX_ANSWER)
    if isinstance(response, Response) and protocol.state.name == "OPEN":
        socket = WebSocket(stream, protocol)
        socket._take(protocol.events_received())
        return socket
    stream.close()
    if isinstance(response, Response):
        return f"it answered the WebSocket handshake with HTTP {response.status_code}"
    return "it is not a WebSocket server"


async def _first_event(
    stream: TcpStream, protocol: ServerProtocol | ClientProtocol, first: bytes, timeout_s: float, most: int
) -> object:
    """The request or the response, of at most so many bytes; None if there is none in time, or if something
    stands behind a request."""
    head, data = b"", first
    async with TimeLimit(timeout_s):
        while data := data or await stream.read():
            head += data
            if len(head) > most or _goes_on(head, protocol):
                return None
            protocol.receive_data(data)
            data = b""
            events = protocol.events_received()
            if events:
                protocol.events[:0] = events[1:]
                return events[0]
            if protocol.handshake_exc is not None or protocol.parser_exc is not None:
                break
    _write(stream, protocol)
    return None


def _goes_on(head: bytes, protocol: ServerProtocol | ClientProtocol) -> bool:
    """Does a client say more than its request? Requests have no body here."""
    return protocol.side.name == "SERVER" and -1 < head.find(b"\r\n\r\n") < len(head) - 4


def _write(stream: TcpStream, protocol: ServerProtocol | ClientProtocol) -> None:
    for data in protocol.data_to_send():
        if data:
            stream.write(data)
        else:
            stream.close()
