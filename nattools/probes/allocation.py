"""Which outside ports does the NAT hand out (RFC 4787 4.2)?"""

from __future__ import annotations

from nattools.probes.context import ProbeContext
from nattools.probes.question import expect_all, open_asker
from nattools.probes.target import Target

PORTS = 8


async def allocation_udp(context: ProbeContext, target: Target) -> None:
    """Fresh local ports, one destination, one after the other without waiting for the answers, so that as
    few of other hosts' allocations as possible fall in between."""
    askers = [await open_asker(context) for _ in range(PORTS)]
    try:
        asked = [(asker, asker.prepare(target.endpoint, "allocation")) for asker in askers]
        await expect_all(asked)
        for asker, question in asked:
            asker.record(question)
    finally:
        for asker in askers:
            asker.close()
