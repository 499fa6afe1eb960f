"""Plain checks to where the peer was seen ("host", "reflexive", "mapped", "low-ttl").

The first packet goes out with a TTL that brings it through the own outermost NAT and no further: it opens the
own side, and cannot reach the peer's router before that router knows us (one whose INPUT is open would
remember it and give the peer's own mapping another port). On a retry the roles change: one opens and waits,
the other calls first.
"""

from __future__ import annotations

from nattools.net.base import Network
from nattools.traversal.meeting import Meeting, Outcome
from nattools.traversal.steps import Part
from nattools.traversal.strategies.course import run


async def plain(network: Network, meeting: Meeting, part: Part, *, wait_s: float = 0.5) -> Outcome:
    """This side's part; `wait_s`: how long to wait for late packets at the end."""
    return await run(network, meeting, part, wait_s)
