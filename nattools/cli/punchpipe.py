"""The two ends of `--pipe` on this machine."""

from __future__ import annotations

import asyncio
import sys

from nattools.traversal.tunnel.standard import ByteSink, ByteSource, standard_input, standard_output


def pipe_ends() -> tuple[ByteSource, ByteSink]:
    """Standard input and output. A person at a terminal does not have to end the input once the other side
    has ended its own: there is nobody left to type for."""
    source, sink = standard_input(), standard_output()
    if sys.stdin is None or not sys.stdin.isatty():
        return source, sink
    terminal = Conversation(source, sink)
    return terminal, terminal


class Conversation:
    """A `ByteSource` that ends when it, as the `ByteSink`, is closed."""

    def __init__(self, source: ByteSource, sink: ByteSink) -> None:
        self._source, self._sink = source, sink
        self._over = asyncio.Event()

    async def read(self) -> bytes:
        """Some bytes; b"" at the end of either direction."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._source.read())
            over = group.create_task(self._over.wait())
            await asyncio.wait((reading, over), return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, over):
                task.cancel()
        return b"" if reading.cancelled() else reading.result()

    async def write(self, data: bytes) -> str | None:
        """Write all of it; None, or why nothing can be written any more."""
        return await self._sink.write(data)

    async def close(self) -> str | None:
        """The other side has ended."""
        self._over.set()
        return await self._sink.close()
