"""Many ports on the side whose port is drawn at random, many distinct tries on the other ("birthday").

The same for a small pool of ports: a block that a carrier gives each customer, or those 424 into which Linux
maps source ports below 1024 (`Part.sources`; it takes the privilege to bind them). Where both sides' ports
move, one side opens its whole pool to a few ports of the other, which tries all of them.

Nothing is tried twice within a pass, the rate is the part's, and the first authentic packet ends it.
"""

from __future__ import annotations

from nattools.net.base import Network
from nattools.traversal.meeting import Meeting, Outcome
from nattools.traversal.steps import Part
from nattools.traversal.strategies.course import run


async def birthday(
    network: Network, meeting: Meeting, part: Part, *, wait_s: float, seed: int | None = None
) -> Outcome:
    """This side's part. `wait_s`: how long the peer may go on after it. `seed` repeats the draw of ports
    (None: nobody can guess it)."""
    return await run(network, meeting, part, wait_s, seed=seed)
