"""The client's side of a conversation with a DERP server: the HTTP upgrade, the introduction, and packets."""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final, Literal, NamedTuple

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.derp import derpframes as f
from nattools.protocols.derp.derpkeys import KeyPair
from nattools.protocols.headers import parse_head, split_head
from nattools.protocols.http import status_line

VERSION: Final = 2
_TIMES: Final = Layout(">II")
_MAX_TEXT: Final = 300
_MOST_ANSWERS: Final = 64
"""To pings of a server that does not read them."""

State = Literal["upgrade", "server key", "server info", "ready"]
"""What is waited for, in the order in which it comes; "ready" is what lasts."""
EndCause = Literal["not-a-relay", "verifies", "closed"]
_ENDS: Final[dict[State, tuple[EndCause, str]]] = {
    "upgrade": ("closed", "it closed the connection instead of answering the HTTP request"),
    "server key": ("not-a-relay", "it closed the connection after the upgrade, before it showed its key"),
    "server info": ("verifies", "it closed the connection when it was shown this client's key"),
    "ready": ("closed", "it closed the connection"),
}
"""What it means that the server closes the connection, by what was waited for. A server that verifies its
clients refuses by that alone."""


class PacketReceived(NamedTuple):
    """A packet, from the holder of the key `source`."""

    source: bytes
    data: bytes


class PeerGone(NamedTuple):
    """A peer that was sent to is not connected to this server, or no longer."""

    key: bytes
    was_here: bool


class Health(NamedTuple):
    """The server's complaint about this connection, in its words; "" when it has none any more. derper
    complains of a key that two connections have."""

    problem: str


class Restarting(NamedTuple):
    """The server is about to end: come back after so many seconds, and try for so many more."""

    reconnect_in_s: float
    try_for_s: float


DerpEvent = PacketReceived | PeerGone | Health | Restarting


class _ServerInfo(msgspec.Struct):
    version: int = 0


class DerpClient:
    """One connection to a server. Pure: the caller has the stream.

    How to drive it: write what `data_to_send` returns, at first and after each of the calls below; pass what
    is read to `receive`; at the end of the stream ask `why_closed`. Once `state` is "ready", `send` and
    `ping`. The server's own pings are answered here.
    """

    def __init__(self, keys: KeyPair, authority: str) -> None:
        """`authority`: the server's name and port as a Host header has them."""
        self.keys = keys
        self.state: State = "upgrade"
        self.server_key: bytes | None = None
        self._deframer = f.DerpFrameReader()
        self._head = bytearray()
        self._leaving = [_upgrade(authority)]

    def data_to_send(self) -> bytes:
        """What is due now."""
        data = b"".join(self._leaving)
        self._leaving.clear()
        return data

    def send(self, data: bytes, to: bytes) -> None:
        """Queue a packet for the holder of a key. ValueError: more than 64 KiB, no key, or not let in yet."""
        if self.state != "ready" or len(to) != f.KEY_SIZE:
            raise ValueError("no packet can be sent to that key now")
        self._leaving.append(f.encode(f.SEND, to, data))

    def ping(self, token: bytes) -> None:
        """Ask the server for a sign of life. ValueError: the token has not 8 bytes, or not let in yet."""
        if self.state != "ready" or len(token) != f.TOKEN_SIZE:
            raise ValueError("no ping")
        self._leaving.append(f.encode(f.PING, token))

    def receive(self, data: bytes) -> list[DerpEvent]:
        """What came of bytes that were read. ProtocolError: this is no DERP server, or not a sane one; then
        the conversation is of no use."""
        if self.state == "upgrade":
            self._head += data
            end = split_head(self._head)
            if end is None:
                return []
            self._read_head(bytes(self._head[:end]))
            data = bytes(self._head[end:])
            self._head.clear()
        events = [self._take(frame) for frame in self._deframer.feed(data)]
        return [event for event in events if event is not None]

    def why_closed(self) -> tuple[EndCause, str]:
        """What it means that the server has closed the connection now, and in words."""
        return _ENDS[self.state]

    def _read_head(self, head: bytes) -> None:
        status, reason = status_line(parse_head(head)[0])
        if status != 101:
            raise ProtocolError(
                f"it answered HTTP {status} {reason}".rstrip() + " instead of changing to DERP"
            )
        self.state = "server key"

    def _take(self, frame: f.Frame) -> DerpEvent | None:
        """By the order in which a server introduces itself; afterwards anything may come."""
        kind, body = frame
        if self.state == "server key":
            self._take_server_key(kind, body)
            return None
        if self.state == "server info":
            self._take_server_info(kind, body)
            return None
        if kind == f.RECEIVED:
            return PacketReceived(body[: f.KEY_SIZE], body[f.KEY_SIZE :])
        if kind == f.PING:
            if len(self._leaving) < _MOST_ANSWERS:
                self._leaving.append(f.encode(f.PONG, body[: f.TOKEN_SIZE]))
            return None
        if kind == f.PEER_GONE:
            return PeerGone(body[: f.KEY_SIZE], was_here=body[f.KEY_SIZE : f.KEY_SIZE + 1] != b"\1")
        if kind == f.HEALTH:
            return Health(body[: 4 * _MAX_TEXT].decode("utf-8", "replace")[:_MAX_TEXT])
        if kind == f.RESTARTING:
            wait_ms, try_ms = _TIMES.unpack_from(body)
            return Restarting(wait_ms / 1000, try_ms / 1000)
        return None  # a sign of life, or what a later version says

    def _take_server_key(self, kind: int, body: bytes) -> None:
        if kind != f.SERVER_KEY or not body.startswith(f.MAGIC):
            raise ProtocolError("what it sent after the upgrade is not DERP")
        self.server_key = body[len(f.MAGIC) : len(f.MAGIC) + f.KEY_SIZE]
        about = msgspec.json.encode({"version": VERSION, "CanAckPings": True})
        self._leaving.append(
            f.encode(f.CLIENT_INFO, self.keys.public, self.keys.seal(about, self.server_key))
        )
        self.state = "server info"

    def _take_server_info(self, kind: int, body: bytes) -> None:
        assert self.server_key is not None
        if kind != f.SERVER_INFO:
            raise ProtocolError(f"a frame of type {kind:#x} where the server's introduction belongs")
        try:
            msgspec.json.decode(self.keys.open(body, self.server_key), type=_ServerInfo)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"an introduction that cannot be read: {error}") from None
        self.state = "ready"


def _upgrade(authority: str) -> bytes:
    """RFC 9110 7.8. ValueError: `authority` would break out of its line."""
    if not authority.isprintable() or not authority.isascii() or " " in authority:
        raise ValueError("no host to put into a request")
    lines = ("GET /derp HTTP/1.1", f"Host: {authority}", "Upgrade: DERP", "Connection: Upgrade", "", "")
    return "\r\n".join(lines).encode()
