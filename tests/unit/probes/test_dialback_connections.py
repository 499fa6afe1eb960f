"""Connections that come to listen for dial-backs: none outlives the listener."""

from __future__ import annotations

import asyncio

from nattools.model.endpoint import Endpoint
from nattools.probes.dialbacks import DialBacks, InboundListener


class Stream:
    """A connection on which nothing is said."""

    local = remote = Endpoint("192.0.2.1", 1)
    over = False

    def __init__(self) -> None:
        self.aborted = False

    async def read(self, limit: int = 65536) -> bytes:
        await asyncio.Event().wait()
        return b""

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def end(self) -> None: ...

    def close(self) -> None:
        self.abort()


def test_one_that_came_just_before_the_end_is_closed_with_the_listener() -> None:
    async def main(turns: int) -> None:
        listener, stream = InboundListener("tcp"), Stream()
        listener.on_stream(stream)
        for _ in range(turns):
            await asyncio.sleep(0)
        listener.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert stream.aborted

    for turns in range(3):
        asyncio.run(main(turns))


def test_one_that_came_just_before_the_end_of_the_probe_is_closed_with_it() -> None:
    async def main() -> None:
        stream = Stream()
        try:
            async with asyncio.TaskGroup() as group:
                DialBacks().greet(stream, group)
                raise KeyError
        except* KeyError:
            pass
        assert stream.aborted

    asyncio.run(main())
