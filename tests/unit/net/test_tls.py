"""TLS within a simulated TCP connection."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from certificates import HOST, certificate
from simulated import open_internet, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net import tls
from nattools.net.base import TcpFailure, TcpStream

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
