"""How does the NAT map: one outside port for all destinations (RFC 4787 4.1), and which ports (4.2)?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from nattools.model.endpoint import Endpoint, read_endpoint
from nattools.model.observation import Binding
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.mappedaddress import as_ipv4, why_impossible
from nattools.probes.probe import EVERY_COMMAND, LaneProbe, ProbeContext
from nattools.probes.question import StunClient, expect_all, open_stun_client
from nattools.probes.target import BindingQuestion, Target
from nattools.probes.tcpquestion import KNOWN_PATIENCE_S, PATIENCE_S, ask_again, ask_over_tcp

MOST_DESTINATIONS = 9
CLAIMANTS = 2
POOLING_PORTS = 2
POOLING_ROUNDS = 3
ATTEMPTS = 2


def destinations(targets: Sequence[Target]) -> list[Endpoint]:
    """Distinct destinations to ask from one port: all corners of servers that claim two addresses (two such
    servers, since one may claim an address that is not its own), and other servers, so that one that errs
    is outvoted."""
    found = [corner for target in targets[:CLAIMANTS] for corner in target.corners()]
    found += [target.endpoint for target in targets[CLAIMANTS:]]
    return list(dict.fromkeys(found))[:MOST_DESTINATIONS]


class MappingUdp(LaneProbe):
    """One local port, all destinations at once."""

    name = "mapping"
    text = "does the NAT use one outside port for all destinations?"
    commands = EVERY_COMMAND
    transport = "udp"

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """All: they are the destinations."""
        return ranked

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Ask all, and whether the best ones can answer from their other address."""
        with await open_stun_client(context) as client:
            questions = [client.prepare(endpoint, "mapping") for endpoint in destinations(targets)]
            await expect_all([(client, question) for question in questions])
            for question in questions:
                client.record(question)
            for target in targets[:CLAIMANTS]:
                await _control(client, target, {each.asked: each.outside(client.local) for each in questions})


async def _control(client: StunClient, target: Target, seen: dict[Endpoint, Endpoint | None]) -> None:
    """Can the server answer from its other address at all? Asked from a port that has written there, so that
    no filter stops the answer: else its silence in a filtering test would be taken for a filter. Where each
    destination has an outside port of its own, the answer is to go to the one that wrote there (RFC 5780
    7.5). A nattools server has said that it can."""
    if target.other is None or not target.two_addresses or target.nattools:
        return
    here, there = seen.get(target.endpoint), seen.get(target.other)
    response_port = None
    if here is not None and there is not None and here != there:
        if here.host != there.host:
            return
        response_port = there.port
    question = client.prepare(
        target.endpoint,
        "control",
        change_address=True,
        change_port=True,
        response_port=response_port,
    )
    await client.try_out(question)
    if not question.server_gone:
        client.record(question)


class Pooling(LaneProbe):
    """Several external addresses were seen: does each server always see the same, or each port show another
    one, or does a server contradict itself? All destinations from fresh ports, several times from each."""

    name = "pooling"
    text = "several external addresses: which mapping has which?"
    transport = "udp"
    after = ("mapping", "allocation", "hairpin")

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """All: they are the destinations."""
        return ranked

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Nothing if there is but one."""
        if len(_hosts_seen(context)) < 2:
            return
        with ExitStack() as opened:
            clients = [opened.enter_context(await open_stun_client(context)) for _ in range(POOLING_PORTS)]
            for _ in range(POOLING_ROUNDS):
                asked = [
                    (client, client.prepare(endpoint, "mapping"))
                    for client in clients
                    for endpoint in destinations(targets)
                ]
                await expect_all(asked)
                for client, question in asked:
                    client.record(question)


def _hosts_seen(context: ProbeContext) -> set[str]:
    """The external addresses that servers named so far."""
    hosts: set[str] = set()
    for seen in context.recorder.observations:
        if not isinstance(seen, Binding) or seen.outcome != "answered" or seen.transport != "udp":
            continue
        mapped, asked = read_endpoint(seen.mapped), read_endpoint(seen.asked)
        if mapped is None or asked is None or seen.family != context.family or mapped.host in hosts:
            continue
        mapped = as_ipv4(mapped)
        if why_impossible(mapped, asked, None) is None:
            hosts.add(mapped.host)
    return hosts


class MappingTcp(LaneProbe):
    """One local port, connections to all destinations."""

    name = "mapping-tcp"
    text = "one outside port for all TCP connections?"
    transport = "tcp"
    commands = frozenset({"diagnose", "nat", "punch", "pwnat", "libp2p"})

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """All: they are the destinations."""
        return ranked

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Connect to one, then from the same port to the others. Of a NAT that lost its mappings in between
        they tell nothing: then all over again, from another port."""
        for _ in range(ATTEMPTS):
            if await _connect_to_all(context, destinations(targets)):
                return


async def _connect_to_all(context: ProbeContext, endpoints: Sequence[Endpoint]) -> bool:
    """False: the first connection, asked once more in the end, was not what it had been."""
    streams: list[TcpStream] = []
    try:
        first = BindingQuestion(endpoints[0], "mapping")
        stream = await ask_over_tcp(context, first, timeout_s=KNOWN_PATIENCE_S)
        if isinstance(stream, TcpFailure):
            return True
        streams.append(stream)
        local = stream.local

        async def also(endpoint: Endpoint) -> None:
            question = BindingQuestion(endpoint, "mapping")
            more = await ask_over_tcp(context, question, timeout_s=PATIENCE_S, local=local)
            if not isinstance(more, TcpFailure):
                streams.append(more)

        async with asyncio.TaskGroup() as group:
            for endpoint in endpoints[1:]:
                group.create_task(also(endpoint))
        return first.answer is None or len(streams) < 2 or await ask_again(context, stream, first)
    finally:
        for stream in streams:
            stream.abort()


PORTS = 8


class Allocation(LaneProbe):
    """Fresh local ports, one destination, one after the other without waiting for the answers, so that as few
    of other hosts' allocations as possible fall in between."""

    name = "allocation"
    text = "which outside ports does the NAT allocate?"
    transport = "udp"

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Ask from each port."""
        with ExitStack() as opened:
            clients = [opened.enter_context(await open_stun_client(context)) for _ in range(PORTS)]
            asked = [(client, client.prepare(targets[0].endpoint, "allocation")) for client in clients]
            await expect_all(asked)
            for client, question in asked:
                client.record(question)
