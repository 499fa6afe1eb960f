"""TLS within a simulated TCP connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from certificates import HOST, certificate
from simulated import open_internet, run

from nattools.errors import UsageError
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.web import tls

BOB = Endpoint("11.102.0.2", 443)


async def secured(lab: SimLab, files: tuple[str, str]) -> tuple[tls.TlsStream, tls.TlsStream]:
    """Both ends of a connection, the client's first."""
    accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
    await lab.network("bob").listen_tcp(family=4, port=443, on_stream=accepted.put_nowait)
    client = await lab.network("alice").connect_tcp(BOB, timeout_s=5)
    assert not isinstance(client, TcpFailure)
    context = ssl.create_default_context(cafile=files[0])
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*files)
    ends = await asyncio.gather(
        tls.start_tls(client, context, timeout_s=5, server_name=HOST),
        tls.start_tls(await accepted.get(), serving, timeout_s=5),
    )
    assert not isinstance(ends[0], str)
    assert not isinstance(ends[1], str)
    return ends[0], ends[1]


def test_a_stream_that_has_ended_still_reads(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        client, server = await secured(lab, certificate(tmp_path))
        client.write(b"all")
        client.end()
        assert await server.read() == b"all"
        assert await server.read() == b""
        assert not client.over
        server.write(b"answer")
        assert await client.read() == b"answer"
        server.close()
        assert await client.read() == b""
        client.close()
        assert client.over

    run(open_internet(delay_ms=5), main)


def hands_shaken(peer: Callable[[TcpStream], Awaitable[None]]) -> str:
    """Why a client's handshake failed, with a peer that does this."""

    async def main(lab: SimLab) -> str:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        await lab.network("bob").listen_tcp(family=4, port=443, on_stream=accepted.put_nowait)
        client = await lab.network("alice").connect_tcp(BOB, timeout_s=5)
        assert not isinstance(client, TcpFailure)
        shaking = asyncio.ensure_future(
            tls.start_tls(client, tls.client_context(), timeout_s=5, server_name=HOST)
        )
        await peer(await accepted.get())
        problem = await shaking
        assert isinstance(problem, str)
        return problem

    return run(open_internet(delay_ms=5), main)


def test_why_a_handshake_fails(tmp_path: Path) -> None:
    files = certificate(tmp_path)

    async def stranger(stream: TcpStream) -> None:
        await tls.start_tls(stream, tls.server_context(*files), timeout_s=5)

    async def speaks_otherwise(stream: TcpStream) -> None:
        stream.write(b"220 mail.example.net ready\r\n" * 8)

    async def leaves(stream: TcpStream) -> None:
        stream.close()

    async def is_silent(stream: TcpStream) -> None:
        await stream.read()

    assert hands_shaken(stranger) == "its certificate is not valid: self-signed certificate"
    assert hands_shaken(speaks_otherwise).startswith("the TLS handshake failed: ")
    assert hands_shaken(leaves) == "the connection ended during the TLS handshake"
    assert hands_shaken(is_silent) == "no TLS handshake in 5 s"


def test_what_is_no_tls_ends_the_stream(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        client, server = await secured(lab, certificate(tmp_path))
        assert client.peer_certificate is not None
        assert server.peer_certificate is None
        server._stream.write(b"not a record")
        assert await client.read() == b""
        client.write(b"nobody reads this")
        await client.drain()
        client.abort()
        assert client.over
        assert await server.read() == b""
        server.close()

    run(open_internet(delay_ms=5), main)


def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        tls.server_context(str(tmp_path / "none.pem"), key)
    with pytest.raises(UsageError, match="are not a certificate and its key in PEM"):
        tls.server_context(key, cert)
