"""When a server does not answer on its port: is it the port, or everything of that transport?

Anything that comes back from the server's own address, even a refusal, proves that packets to that port
leave this network and return.
"""

from __future__ import annotations

import asyncio

from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure
from nattools.probes.context import ProbeContext
from nattools.probes.hint import Hint
from nattools.probes.question import open_asker
from nattools.probes.reach import target_of
from nattools.probes.target import Target
from nattools.probes.tcpbinding import TcpQuestion, ask_over_tcp

PORTS = (3478, 443, 53)
COPIES = 8
TCP_PATIENCE_S = 1.5


async def ports_udp(context: ProbeContext, uri: str, endpoint: Endpoint, hint: Hint) -> list[Target]:
    """The other usual ports of one server, side by side; those that answer as targets."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_one_udp(context, uri, at, hint)) for at in _others(endpoint)]
    return [found for task in tasks if (found := task.result()) is not None]


def _others(endpoint: Endpoint) -> list[Endpoint]:
    return [Endpoint(endpoint.host, port) for port in PORTS if port != endpoint.port]


async def _one_udp(context: ProbeContext, uri: str, endpoint: Endpoint, hint: Hint) -> Target | None:
    asker = await open_asker(context)
    try:
        question = asker.prepare(endpoint, "ports")
        for _ in range(COPIES):
            asker.put(question)
            if await question.done.within(hint.gap_s(0.15)):
                break
        if not question.done.came:
            await question.done.within(hint.last_wait_s())
        asker.record(question)
        return target_of(context, uri, question, asker)
    finally:
        asker.close()


async def ports_tcp(context: ProbeContext, uri: str, endpoint: Endpoint) -> None:
    """The other usual ports of one server over TCP."""

    async def one(at: Endpoint) -> None:
        stream = await ask_over_tcp(context, TcpQuestion(at, "ports"), timeout_s=TCP_PATIENCE_S)
        if not isinstance(stream, TcpFailure):
            stream.close()

    async with asyncio.TaskGroup() as group:
        for at in _others(endpoint):
            group.create_task(one(at))
