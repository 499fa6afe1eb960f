"""Towards ports that were foretold ("prediction"): a NAT that counts gives the next port to the next flow.

Both sides' flows are new ones. Passes after the first repeat the same flows, which take no further ports, so
that a lost packet shifts nothing.
"""

from __future__ import annotations

from nattools.net.base import Network
from nattools.traversal.meeting import Meeting, Outcome
from nattools.traversal.steps import Part
from nattools.traversal.strategies.course import run


async def prediction(network: Network, meeting: Meeting, part: Part, *, wait_s: float = 0.5) -> Outcome:
    """This side's part; `wait_s`: how long to wait for late packets at the end."""
    return await run(network, meeting, part, wait_s)
