"""Do two machines behind this NAT reach each other by their outside addresses (RFC 4787 6)?

Two own ports learn their outside addresses and then send to each other's, both of them, so that each has
opened its filter for the other. Repeated: a single try has given flaky answers elsewhere.
"""

from __future__ import annotations

import asyncio

from nattools.model.endpoint import Endpoint
from nattools.model.observation import Hairpin
from nattools.probes.context import ProbeContext
from nattools.probes.question import Asker, open_asker
from nattools.probes.target import Target
from nattools.protocols import stun

ROUNDS = 3
COPIES = 3
LOSSY_COPIES = 7
GAP_S = 0.02
WAIT_S = 0.15


async def hairpin_udp(context: ProbeContext, target: Target) -> None:
    """`ROUNDS` pairs of fresh ports."""
    async with asyncio.TaskGroup() as group:
        for _ in range(ROUNDS):
            group.create_task(_one_round(context, target))


async def _one_round(context: ProbeContext, target: Target) -> None:
    pair = [await open_asker(context), await open_asker(context)]
    try:
        questions = [asker.prepare(target.endpoint, "control") for asker in pair]
        async with asyncio.TaskGroup() as group:
            for asker, question in zip(pair, questions, strict=True):
                group.create_task(asker.expect(question))
        for asker, question in zip(pair, questions, strict=True):
            asker.record(question)
        mapped = [question.mapped for question in questions]
        if mapped[0] is None or mapped[1] is None or mapped[0] == pair[0].local:
            return
        copies = LOSSY_COPIES if context.pace.lost else COPIES
        sent = await _send_across(pair, [mapped[0], mapped[1]], copies)
        _record(context, pair[0], pair[1], mapped[1], sent)
        _record(context, pair[1], pair[0], mapped[0], sent)
    finally:
        for asker in pair:
            asker.close()


async def _send_across(pair: list[Asker], mapped: list[Endpoint], copies: int) -> set[bytes]:
    """Send both ways; returns the packets, which nobody else can know."""
    sent: set[bytes] = set()
    for _ in range(copies):
        for sender, target in ((pair[0], mapped[1]), (pair[1], mapped[0])):
            packet = indication()
            sent.add(packet)
            sender.socket.send(packet, target)
        await asyncio.sleep(GAP_S)
        if pair[0].unclaimed and pair[1].unclaimed:
            return sent
    await asyncio.sleep(WAIT_S)
    return sent


def indication() -> bytes:
    """A Binding indication: nobody answers it (RFC 8489 6.3.2)."""
    return b"\x00\x11\x00\x00\x21\x12\xa4\x42" + stun.new_transaction_id()


def _record(
    context: ProbeContext, sender: Asker, receiver: Asker, target: Endpoint, sent: set[bytes]
) -> None:
    came = [source for data, source in receiver.unclaimed if data in sent]
    number, at_s = context.recorder.stamp()
    context.recorder.add(
        Hairpin(
            id=number,
            probe="hairpin",
            at_s=at_s,
            transport="udp",
            family=target.family,
            local=str(sender.local),
            target=str(target),
            sent=len(sent) // 2,
            received=len(came),
            source=str(came[0]) if came else None,
        )
    )
