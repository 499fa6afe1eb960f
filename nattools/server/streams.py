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
    `idle_s` seconds. A source beyond its share of `places`, or anyone beyond the total, is reset."""
    if not places.enter(stream.remote):
        stream.abort()
        return
    try:
        framer = stun.Framer()
        while (messages := await _next(stream, framer, idle_s)) is not None:
            for message in messages:
                data = answer(message, stream)
                if data is not None and not await _write(stream, data, idle_s):
                    return
    except ProtocolError:
        pass
    finally:
        places.leave(stream.remote)
        stream.close()


async def _next(stream: TcpStream, framer: stun.Framer, idle_s: float) -> list[bytes] | None:
    """One or more whole messages; None: there will be no more."""
    try:
        async with asyncio.timeout(idle_s):
            while data := await stream.read():
                if messages := framer.feed(data):
                    return messages
    except TimeoutError:
        pass
    return None


async def _write(stream: TcpStream, data: bytes, idle_s: float) -> bool:
    """False: the client does not read what it asked for."""
    stream.write(data)
    try:
        async with asyncio.timeout(idle_s):
            await stream.drain()
    except TimeoutError:
        stream.abort()
        return False
    return True
