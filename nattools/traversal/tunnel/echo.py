"""What is done by default once two machines are connected: a few echoes."""

from __future__ import annotations

import asyncio
from statistics import median
from typing import Final

from nattools.model.punch import Echoes
from nattools.traversal.tunnel.tunnel import Tunnel

ECHOES: Final = 10
WAIT_S: Final = 2.0


async def echoes(tunnel: Tunnel, count: int = ECHOES, *, wait_s: float = WAIT_S) -> Echoes:
    """One after the other; each is waited for `wait_s` at most, and so is a link if there is none."""
    sent, rtts_ms = 0, []
    while sent < count and tunnel.ended is None:
        sent += 1
        rtt_s = await _one(tunnel, wait_s)
        if rtt_s is not None:
            rtts_ms.append(rtt_s * 1000)
    return Echoes(sent=sent, received=len(rtts_ms), rtt_ms=_three(rtts_ms))


async def _one(tunnel: Tunnel, wait_s: float) -> float | None:
    try:
        async with asyncio.timeout(wait_s):
            await tunnel.present.wait()
    except TimeoutError:
        return None
    return await tunnel.echo(wait_s)


def _three(values_ms: list[float]) -> tuple[float, float, float] | None:
    if not values_ms:
        return None
    return round(min(values_ms), 3), round(median(values_ms), 3), round(max(values_ms), 3)
