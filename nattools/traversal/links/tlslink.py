"""TLS 1.3 (RFC 8446) over a TCP stream: bytes and datagrams in records, and signs of life.

Within TLS there are records with a header of 2 bytes, the kind in the upper 2 bits and the length of what
follows in the lower 14. A full one fits into one TLS record (RFC 8446 5.1)."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from pathlib import Path
from typing import Final, Literal

from nattools.model.statement import Statement, statement
from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.net.web.tls import TlsStream, start_tls
from nattools.traversal.identity import NAME, UNPROVEN, Identity, identity
from nattools.traversal.links.link import LinkEnd

WINDOW: Final = 4 << 20
"""Above so many unread bytes nothing is taken from the stream, until half of them are read."""
KEEP_ALIVE_S: Final = 3.0
SILENCE_S: Final = 10.0
"""Both sides say something at least every `KEEP_ALIVE_S`, so that silence means that the path is dead. TCP
itself would go on trying for many minutes (RFC 9293 3.8.3)."""
STALLED_S: Final = 1.0
"""A timer so late means that this program, or the whole machine, did not run: nobody listened meanwhile."""
CLOSE_S: Final = 60.0
"""So long `close` waits for the peer to take what is queued and to close, too."""
Kind = Literal["bytes", "datagram", "alive", "goodbye"]

HEADER_SIZE: Final = 2
LONGEST: Final = 16384 - HEADER_SIZE
_KINDS: Final[tuple[Kind, ...]] = ("bytes", "datagram", "alive", "goodbye")
_LENGTH_BITS: Final = 14


async def tls_link(stream: TcpStream, secret: bytes, *, leads: bool, timeout_s: float) -> TlsLink | Statement:
    """Connect to the peer at the stream's other end, who knows the same 32 bytes. Exactly one side leads.

    A statement says why it failed, and the stream is closed. A link owns its stream."""
    peer = identity(secret, leads=not leads)
    context = _context(identity(secret, leads=leads), peer, leads=leads)
    try:
        async with TimeLimit(timeout_s):
            tls = await start_tls(stream, context, timeout_s=timeout_s, server_name=NAME if leads else None)
            if isinstance(tls, str):
                return statement("link-failed", problem=f"{UNPROVEN}: {tls}")
            if tls.peer_certificate != peer.der or not await _heard(tls):
                tls.abort()
                return statement("link-failed", problem=UNPROVEN)
            return TlsLink(tls)
    except BaseException:
        stream.abort()
        raise
    stream.abort()
    return statement("link-silent", protocol="TLS", limit_s=timeout_s)


async def _heard(tls: TlsStream) -> bool:
    """Both sides say that they have taken the other's certificate: in TLS 1.3 the client learns of a refusal
    only by what comes after the handshake. Nothing else is sent before."""
    hello = record("alive")
    tls.write(hello)
    got = b""
    while len(got) < len(hello):
        data = await tls.read(len(hello) - len(got))
        if not data:
            return False
        got += data
    return got == hello


def _context(own: Identity, peer: Identity, *, leads: bool) -> ssl.SSLContext:
    """The peer's certificate is the only one that is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if leads else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=peer.pem.decode())
    if not leads:
        context.num_tickets = 0
    _load(context, own)
    return context


def _load(context: ssl.SSLContext, own: Identity) -> None:
    """`ssl` reads keys from files alone: so it gets one, encrypted, for a moment."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    password = os.urandom(16).hex()
    key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode()))
    with tempfile.TemporaryDirectory(prefix="nattools-") as directory:
        path = Path(directory) / "identity.pem"
        path.write_bytes(own.pem + key)
        context.load_cert_chain(path, password=password)


class TlsLink(LinkEnd):
    """A `Link` over TLS, once the peer is proven. Make it within the event loop."""

    def __init__(self, tls: TlsStream) -> None:
        super().__init__("tls", LONGEST, tls)
        self._tls = tls
        self._room = asyncio.Event()
        self._room.set()
        self._over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(KEEP_ALIVE_S, self._keep_alive)
        self._pump = self._loop.create_task(self._receive())

    def write(self, data: bytes) -> None:
        """Queue bytes; after the end they are lost."""
        if data and self._reason is None and not self._said_all:
            self._tls.write(records_of(data))

    async def drain(self) -> None:
        """Wait until the stream's queue is short again, or the link has ended."""
        if self._reason is None:
            await self._tls.drain()

    def send_datagram(self, data: bytes) -> bool:
        """Send a datagram of at most `max_datagram` bytes; False if it was dropped here."""
        if self._reason is not None or self._said_all or len(data) > self.max_datagram:
            return False
        self._tls.write(record("datagram", data))
        return True

    async def close(self) -> None:
        """Deliver what is queued, wait for the peer to close as well, both bounded in time. Idempotent."""
        if self._reason is None and not self._said_all:
            self._said_all = True
            self._tls.write(record("goodbye"))
            self._inbox.end()
            self._room.set()
        async with TimeLimit(CLOSE_S):
            await self._over.wait()
        self._end("closed on this side")

    def abort(self) -> None:
        """End at once; what waits to be read is dropped. Idempotent."""
        self._end("broken off on this side", abruptly=True)
        self._inbox.end(drop=True)

    # --- what happens

    async def _receive(self) -> None:
        reader = RecordReader()
        try:
            while self._reason is None:
                data = await self._tls.read()
                self._heard_at = self._loop.time()
                for kind, content in reader.feed(data):
                    self._take(kind, content)
                if not data:
                    self._end("closed on this side" if self._said_all else "the peer broke it off")
                if self._inbox.waiting > WINDOW and not self._said_all:
                    self._room.clear()
                    await self._room.wait()
                    self._heard_at = self._loop.time()
        finally:
            self._end("a mistake of this program ended it", abruptly=True)

    def _take(self, kind: Kind, content: bytes) -> None:
        if kind == "bytes":
            self._inbox.put(content)
        elif kind == "datagram":
            self._datagram(content)
        elif kind == "goodbye":
            self._end("the peer closed the connection")

    def _taken(self, size: int) -> None:
        if self._inbox.waiting <= WINDOW // 2:
            self._room.set()

    def _keep_alive(self) -> None:
        """Silence counts only while we listen."""
        now = self._loop.time()
        if now - self._timer.when() > STALLED_S:
            self._heard_at = now
        if self._room.is_set() and now - self._heard_at >= SILENCE_S:
            self._end(f"nothing came from the peer for {SILENCE_S:.0f} s", abruptly=True)
            return
        self._tls.write(record("alive"))
        self._timer = self._loop.call_later(KEEP_ALIVE_S, self._keep_alive)

    def _end(self, reason: str, *, abruptly: bool = False) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        self._timer.cancel()
        if abruptly:
            self._tls.abort()
        else:
            self._tls.close()
        self._room.set()
        self._inbox.end()
        self._over.set()
        if asyncio.current_task() is not self._pump:
            self._pump.cancel()


def record(kind: Kind, data: bytes = b"") -> bytes:
    """One record. ValueError: more than `LONGEST` bytes."""
    if len(data) > LONGEST:
        raise ValueError(f"{len(data)} bytes do not fit into a record")
    return (_KINDS.index(kind) << _LENGTH_BITS | len(data)).to_bytes(HEADER_SIZE, "big") + data


def records_of(data: bytes) -> bytes:
    """Bytes of any length as records."""
    view = memoryview(data)
    pieces = (bytes(view[start : start + LONGEST]) for start in range(0, len(data), LONGEST))
    return b"".join(record("bytes", piece) for piece in pieces)


class RecordReader:
    """Any bytes are records; the last one may be incomplete. It keeps less than one record."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """The records that are complete now."""
        buffer = self._buffer
        buffer += data
        found: list[tuple[Kind, bytes]] = []
        start = 0
        while len(buffer) - start >= HEADER_SIZE:
            head = int.from_bytes(buffer[start : start + HEADER_SIZE], "big")
            end = start + HEADER_SIZE + (head & (1 << _LENGTH_BITS) - 1)
            if end > len(buffer):
                break
            found.append((_KINDS[head >> _LENGTH_BITS], bytes(buffer[start + HEADER_SIZE : end])))
            start = end
        del buffer[:start]
        return found
