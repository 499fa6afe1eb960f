"""The receiving end of a link over loopback, in a process of its own: `linkpeer.py quic|tls|tcp`.

It prints its port, reads the sender's, and at the end prints how much arrived and its CPU seconds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from time import process_time
from typing import Protocol

from linked import SocketPath

from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.traversal.links.quicopening import quic_link
from nattools.traversal.links.tlslink import tls_link

HOST = "127.0.0.1"
SECRET = bytes(32)


class Readable(Protocol):
    """A stream or a link."""

    async def read(self, limit: int = 65536) -> bytes:
        """As both do."""

    def close(self) -> Awaitable[None] | None:
        """A stream's returns at once."""


async def opened(kind: str) -> Readable | str:
    """What the sender connects to."""
    network = HostNetwork()
    if kind == "quic":
        socket = await network.open_udp(family=4, host=HOST)
        print(socket.local.port, flush=True)
        path = SocketPath(socket, Endpoint(HOST, int(sys.stdin.readline())))
        return await quic_link(path, SECRET, leads=False, timeout_s=10)
    accepted: asyncio.Future[TcpStream] = asyncio.get_running_loop().create_future()
    listener = await network.listen_tcp(family=4, host=HOST, on_stream=accepted.set_result)
    print(listener.local.port, flush=True)
    sys.stdin.readline()
    stream = await accepted
    return stream if kind == "tcp" else await tls_link(stream, SECRET, leads=False, timeout_s=10)


async def main(kind: str) -> None:
    """Read until the end."""
    link = await opened(kind)
    if isinstance(link, str):
        sys.exit(link)
    size, began = 0, process_time()
    while data := await link.read():
        size += len(data)
    spent = process_time() - began
    closing = link.close()
    if closing is not None:
        await closing  # or the sender waits for a confirmation that was lost
    print(size, spent, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
