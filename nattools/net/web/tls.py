"""TLS over the streams of any network: `ssl`'s state machine, driven."""

from __future__ import annotations

import contextlib
import ssl
from typing import Final, Literal

from nattools.errors import UsageError
from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit

HANDSHAKE_BYTE: Final = 0x16
"""How a TLS connection begins (RFC 8446 5.1)."""


class TlsFailure(str):
    """Why there is no TLS, in words; `cause` in one: the other side's certificate is not the right one, it
    does not speak TLS (or none that is acceptable), it closed the connection, or it did not answer."""

    cause: Literal["certificate", "not-tls", "closed", "timeout"]

    def __new__(cls, cause: Literal["certificate", "not-tls", "closed", "timeout"], words: str) -> TlsFailure:
        made = super().__new__(cls, words)
        made.cause = cause
        return made


class TlsStream:
    """`nattools.net.base.TcpStream` within another one, after its handshake."""

    def __init__(
        self, stream: TcpStream, tls: ssl.SSLObject, arriving: ssl.MemoryBIO, leaving: ssl.MemoryBIO
    ):
        self.local = stream.local
        self.remote = stream.remote
        self._stream = stream
        self._tls = tls
        self._arriving = arriving
        self._leaving = leaving
        self._ended = False
        self._closed = False

    @property
    def peer_certificate(self) -> bytes | None:
        """In DER; None if the peer has shown none."""
        return self._tls.getpeercert(binary_form=True)

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes; b"" at the end of the stream, also after a reset or when TLS is broken."""
        while not self._ended:
            try:
                return self._tls.read(limit)
            except ssl.SSLWantReadError:
                self._flush()
                await self._feed()
            except ssl.SSLError:
                self._ended = True
        while self._closed and await self._stream.read():
            pass  # what arrives after our close_notify
        return b""

    def write(self, data: bytes) -> None:
        try:
            self._tls.write(data)
        except (ssl.SSLError, ValueError):
            self._ended = True
        self._flush()

    async def drain(self) -> None:
        await self._stream.drain()

    @property
    def over(self) -> bool:
        return self._closed or self._stream.over

    def end(self) -> None:
        """Send close_notify (RFC 8446 6.1) and go on reading. Idempotent."""
        self._send_close_notify()
        self._stream.end()

    def close(self) -> None:
        """Send close_notify and what is queued, then FIN. Idempotent."""
        self._closed = True
        if not self._ended:
            self._ended = True
            self._send_close_notify()
        self._stream.close()

    def _send_close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLError, ValueError):  # the other side's close_notify is not awaited
            self._tls.unwrap()
        self._flush()

    def abort(self) -> None:
        self._ended = True
        self._stream.abort()

    async def handshake(self) -> TlsFailure | None:
        """None when it is done, else why it failed."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not await self._feed():
                    return TlsFailure("closed", "the connection ended during the TLS handshake")
            except ssl.SSLCertVerificationError as error:
                self._flush()
                words = f"its certificate is not valid: {error.verify_message}"
                return TlsFailure("certificate", words)
            except ssl.SSLError as error:
                self._flush()
                return TlsFailure("not-tls", f"the TLS handshake failed: {error.reason or error}")
            else:
                self._flush()
                return None

    async def _feed(self) -> bool:
        data = await self._stream.read()
        if data:
            self._arriving.write(data)
        else:
            self._ended = True
        return bool(data)

    def _flush(self) -> None:
        if data := self._leaving.read():
            self._stream.write(data)


async def start_tls(
    stream: TcpStream,
    context: ssl.SSLContext,
    *,
    timeout_s: float,
    server_name: str | None = None,
    first: bytes = b"",
) -> TlsStream | TlsFailure:
    """Make the handshake on a connected stream: as the server, with `first` read already, if `server_name`
    is None, else as the client. A text says why it failed, and the stream is closed."""
    arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    arriving.write(first)
    tls = context.wrap_bio(arriving, leaving, server_side=server_name is None, server_hostname=server_name)
    secured = TlsStream(stream, tls, arriving, leaving)
    problem: TlsFailure | None = TlsFailure("timeout", f"no TLS handshake in {timeout_s:g} s")
    async with TimeLimit(timeout_s):
        problem = await secured.handshake()
    if problem is None:
        return secured
    stream.close()
    return problem


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """From files in PEM. UsageError: they cannot be read, or do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise UsageError(
            f"{certificate} and {key} are not a certificate and its key in PEM: {error.reason or error}"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or certificate}: {error.strerror}") from None
    return context


def client_context() -> ssl.SSLContext:
    """Checks the server's name and certificate against the system's authorities."""
    return ssl.create_default_context()
