"""How a link over QUIC begins: the first connection, which proves both sides.

Anybody who sees first packets can end a handshake by one that is forged (RFC 9001 5.2). So the leader tries
some times, and the follower goes on waiting for somebody who knows the secret. Only the leader is ever the
first one's client, so that nobody's own messages can be turned back at him (RFC 9257 4.1).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nattools.model.statement import Statement, statement
from nattools.traversal.links.link import DatagramPath
from nattools.traversal.links.quiclink import QuicLink

TRIES: Final = 4
AGAIN_S: Final = 2.0
"""So long for one try until another one is made beside it; at once when it fails."""
_USE: Final = b"pre-shared key"


async def quic_link(
    path: DatagramPath, secret: bytes, *, leads: bool, timeout_s: float
) -> QuicLink | Statement:
    """Connect to the peer at the other end of the path, who knows the same 32 bytes. Exactly one side leads.

    A statement says why it failed; then the path is as it was."""
    from nattools.traversal.links.quic import PeerConnections
    from nattools.traversal.links.quickeys import Keys

    link = QuicLink(path, leads=leads)
    link.connections = PeerConnections(Keys(secret), path.send, link)
    path.attach(link.connections.receive, link.path_changed)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await (_lead(link) if leads else _follow(link))
    except BaseException:
        link.abort()
        raise
    if link.first is not None:
        return link
    link.abort()
    silent = statement("link-silent", protocol="QUIC", limit_s=timeout_s)
    return silent if link.problem is None else statement("link-failed", problem=link.problem)


async def _follow(link: QuicLink) -> None:
    link.connections.accepts = _USE
    while link.first is None:
        await link.changes.next()


async def _lead(link: QuicLink) -> None:
    """The first try that is established ends the others, before they are on the other side."""
    for _ in range(TRIES):
        tried = link.try_first(_USE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AGAIN_S):
                while link.first is None and not tried.closed:
                    await link.changes.next()
        if link.first is not None:
            return
    while link.first is None and link.trying_first:
        await link.changes.next()
