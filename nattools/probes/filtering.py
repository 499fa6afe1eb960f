"""Who may send in (RFC 5780 4.4)?

Each test has a port of its own, so that no test opens the filter for the next; each port first asks the
server plainly (purpose "control"), which makes the mapping that the test is about.
"""

from __future__ import annotations

from typing import Literal

from nattools.probes.context import ProbeContext
from nattools.probes.question import Question, open_asker
from nattools.probes.target import Target

FilterPurpose = Literal["filter-address", "filter-port"]


async def filtering_udp(context: ProbeContext, target: Target, purpose: FilterPurpose) -> Question | None:
    """Ask for an answer from another address and port, or from another port of the same address; None if
    the server answered no plain question before it."""
    asker = await open_asker(context)
    try:
        control = await asker.expect(asker.prepare(target.endpoint, "control"))
        asker.record(control)
        if control.answer is None:
            return None
        question = asker.prepare(
            target.endpoint, purpose, change_address=purpose == "filter-address", change_port=True
        )
        await asker.try_out(question)
        if question.answer is None:
            await context.settled.wait()
            await asker.try_out(question)
        asker.record(question)
        return question
    finally:
        asker.close()
