"""Connections that are closed and whose client takes nothing, on sockets of the system: loopback alone."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import sys
from collections.abc import Callable

import pytest
import uvloop

from nattools.net.base import TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.server import connections
from nattools.server.connections import close_within

LIMIT_S = 30.0


@pytest.mark.skipif(sys.platform != "linux", reason="a reset is seen by poll(2) as Linux tells it")
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_it_is_reset_though_nobody_holds_it(
    loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop does, as long as there is something to send."""
    monkeypatch.setattr(connections, "UNTAKEN_S", 0.2)

    async def main() -> list[tuple[int, int]]:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        listener = await HostNetwork().listen_tcp(family=4, host="127.0.0.1", on_stream=accepted.put_nowait)
        with socket.create_connection(listener.local) as client:
            stream = await accepted.get()
            stream.write(bytes(16_000_000))
            close_within(stream)
            del stream
            gc.collect()
            seen = select.poll()
            seen.register(client, 0)
            found = await asyncio.to_thread(seen.poll, LIMIT_S * 1000)
        listener.close()
        await asyncio.sleep(0)  # it closes then
        return found

    with asyncio.Runner(loop_factory=loop) as runner:
        found = runner.run(main())
    assert [events & select.POLLERR for _, events in found] == [select.POLLERR]
