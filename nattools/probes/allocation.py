"""Which outside ports does the NAT hand out (RFC 4787 4.2)?"""

from __future__ import annotations

import asyncio

from nattools.probes.context import ProbeContext
from nattools.probes.question import open_asker
from nattools.probes.target import Target

PORTS = 8


async def allocation_udp(context: ProbeContext, target: Target) -> None:
    """Fresh local ports, one destination, one after the other without waiting for the answers, so that as
    few of other hosts' allocations as possible fall in between."""
    askers = [await open_asker(context) for _ in range(PORTS)]
    try:
        questions = [asker.prepare(target.endpoint, "allocation") for asker in askers]
        async with asyncio.TaskGroup() as group:
            for asker, question in zip(askers, questions, strict=True):
                group.create_task(asker.expect(question))
        for asker, question in zip(askers, questions, strict=True):
            asker.record(question)
    finally:
        for asker in askers:
            asker.close()
