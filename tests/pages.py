"""A web server of a simulated host that gives what a table has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from nattools.net.base import Network, TcpStream


def response(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """A whole one."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


class Pages:
    """`asked`: the targets, in the order in which they were asked for."""

    def __init__(self, table: Mapping[str, bytes]) -> None:
        self.asked: list[str] = []
        self._table = table
        self._serving: list[asyncio.Task[None]] = []

    async def open(self, network: Network, port: int = 80) -> None:
        """Serve until the simulator ends."""
        await network.listen_tcp(family=4, host=None, port=port, on_stream=self._accept)

    def _accept(self, stream: TcpStream) -> None:
        self._serving.append(asyncio.get_running_loop().create_task(self._serve(stream)))

    async def _serve(self, stream: TcpStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = await stream.read()
            if not data:
                return
            head += data
        target = head.split(b" ")[1].decode()
        self.asked.append(target)
        if target in self._table:
            stream.write(self._table[target])
            stream.end()
