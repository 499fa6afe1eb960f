"""Conversations over TCP: several requests a connection, a time limit for silence, a cap on connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nattools.errors import ProtocolError
from nattools.net.base import TcpStream
from nattools.protocols import stun
from nattools.server.limits import Occupancy

Answer = Callable[[bytes, TcpStream], bytes | None]
"""The framed answer to a framed message; None: there is none. ProtocolError: it was no message at all."""


async def converse(stream: TcpStream, answer: Answer, places: Occupancy, *, idle_s: float) -> None:
    """Serve an accepted connection until the client ends it, breaks the protocol, or completes no message in
    `idle_s` seconds. A source beyond its share of `places`, or anyone beyond the total, is reset, and so is
    one that does not read what it asked for."""
    if not places.enter(stream.remote):
        stream.abort()
        return
    writing = False
    loop, framer = asyncio.get_running_loop(), stun.Framer()
    try:
        async with asyncio.timeout(idle_s) as limit:
            while data := await stream.read():
                messages = framer.feed(data)
                if messages:
                    limit.reschedule(loop.time() + idle_s)
                writing = True
                for message in messages:
                    reply = answer(message, stream)
                    if reply is not None:
                        stream.write(reply)
                        await stream.drain()
                writing = False
    except ProtocolError:
        pass
    except TimeoutError:
        if writing:
            stream.abort()
    finally:
        places.leave(stream.remote)
        stream.close()
