"""Does the NAT give one outside port to all destinations (RFC 5780 4.3)?"""

from __future__ import annotations

import asyncio

from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.probes.context import ProbeContext
from nattools.probes.question import Asker, expect_all, open_asker
from nattools.probes.target import Target
from nattools.probes.tcpbinding import KNOWN_PATIENCE_S, PATIENCE_S, TcpQuestion, ask_over_tcp

MOST_DESTINATIONS = 9
CLAIMANTS = 2


def destinations(targets: list[Target]) -> list[Endpoint]:
    """Distinct destinations to ask from one port: all corners of servers that claim two addresses (two such
    servers, since one may claim an address that is not its own), and other servers, so that one that errs
    is outvoted."""
    found = [corner for target in targets[:CLAIMANTS] for corner in target.corners()]
    found += [target.endpoint for target in targets[CLAIMANTS:]]
    return list(dict.fromkeys(found))[:MOST_DESTINATIONS]


async def mapping_udp(context: ProbeContext, targets: list[Target]) -> None:
    """One local port, all destinations at once."""
    asker = await open_asker(context)
    try:
        questions = [asker.prepare(endpoint, "mapping") for endpoint in destinations(targets)]
        await expect_all([(asker, question) for question in questions])
        for question in questions:
            asker.record(question)
        if len({question.mapped for question in questions}) == 1:
            await _control(asker, targets[0])
    finally:
        asker.close()


async def _control(asker: Asker, target: Target) -> None:
    """Can the server answer from its other address at all? Asked from a port that has written there, so that
    no filter stops the answer: else its silence in a filtering test would be taken for a filter. A nattools
    server has said that it can."""
    if not target.two_addresses or target.nattools:
        return
    question = asker.prepare(target.endpoint, "control", change_address=True, change_port=True)
    await asker.try_out(question)
    asker.record(question)


async def mapping_tcp(context: ProbeContext, targets: list[Target]) -> None:
    """One local port, connections to all destinations."""
    streams: list[TcpStream] = []
    try:
        endpoints = destinations(targets)
        first = TcpQuestion(endpoints[0], "mapping")
        stream = await ask_over_tcp(context, first, timeout_s=KNOWN_PATIENCE_S)
        if isinstance(stream, TcpFailure):
            return
        streams.append(stream)
        local = stream.local

        async def also(endpoint: Endpoint) -> None:
            question = TcpQuestion(endpoint, "mapping")
            more = await ask_over_tcp(
                context, question, host=local.host, port=local.port, timeout_s=PATIENCE_S
            )
            if not isinstance(more, TcpFailure):
                streams.append(more)

        async with asyncio.TaskGroup() as group:
            for endpoint in endpoints[1:]:
                group.create_task(also(endpoint))
    finally:
        for stream in streams:
            stream.abort()
