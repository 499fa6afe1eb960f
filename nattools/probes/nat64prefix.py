"""Which prefix has the NAT64 of a network without IPv4, and does it lead anywhere?

In the order of RFC 9872: what routers advertise (RFC 8781), then what the name server says of a name that has
no IPv6 address (RFC 7050). Where neither is right the well-known prefix is tried: name servers elsewhere, as
those asked over HTTPS, know nothing of this network. What is said is checked (RFC 7050 3.2): a server is
asked through each, and the first that leads to IPv4 is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

from msgspec.structs import replace

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Gap, Nat64, PrefixSource
from nattools.net import exchange
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import Network, TcpFailure
from nattools.net.eventloop import TimeLimit
from nattools.net.mappedaddress import as_ipv4
from nattools.protocols import stun
from nattools.protocols.nat64 import (
    LENGTHS,
    NAME,
    WELL_KNOWN,
    Nat64Prefix,
    parse_prefix,
    prefix_of,
    prefixes_in,
)

MOST = 4
"""Prefixes that are tried."""
MOST_SERVERS = 2
PATIENCE_S = 3.0
GUESS_S = 1.0
"""So long for a prefix that nobody has named."""


async def find_nat64(
    network: Network, servers: Sequence[tuple[str, int]], interface: str | None = None
) -> list[Nat64 | Gap]:
    """What there is, the one to use `used`; a gap where none is found and the router could not be asked.
    Nothing where IPv4 has a route of its own, or IPv6 none.
    `servers`: names or addresses, and ports, to ask through it."""
    if network.route(FAR_AWAY[4]) is not None or network.route(FAR_AWAY[6]) is None:
        return []
    told, named, whom = await asyncio.gather(
        network.advertised_nat64(), network.resolve(NAME, 6), _ipv4_of(network, servers)
    )
    found: dict[Nat64Prefix, PrefixSource] = dict.fromkeys(told or (), "router")
    made_with = prefixes_in(() if isinstance(named, str) else named)
    for prefix in made_with:
        found.setdefault(prefix, "dns")
    found = dict(list(found.items())[:MOST])
    found.setdefault(WELL_KNOWN, "guess")
    tried = [
        replace(each, dns64=parse_prefix(each.prefix) in made_with)
        for each in await _tried(network, found, whom, interface)
    ]
    unknown = told is None and not any(each.used for each in tried)
    return [*tried, _UNASKED] if unknown else [*tried]


_UNASKED = Gap(
    probe="nat64",
    question="Which NAT64 does the router advertise?",
    reason="a router is asked with a raw socket, which this process may not open",
    settle="the same as root, or with CAP_NET_RAW",
)


async def synthesized(network: Network, addresses: Sequence[str]) -> set[str]:
    """Those of a name's IPv6 addresses that a DNS64 made of its IPv4 ones (RFC 6147): they lead to the same
    machine by IPv4, which has an address of its own here. That one stands in the other is no proof of it."""
    fours = {each for each in addresses if ":" not in each}
    if not any(_within(each, fours) for each in addresses if ":" in each):
        return set()
    named = await network.resolve(NAME, 6)
    prefixes = prefixes_in(() if isinstance(named, str) else named)
    return {each for each in addresses if any(prefix.extract(each) in fours for prefix in prefixes)}


def _within(host: str, fours: set[str]) -> bool:
    found = (prefix_of(host, length) for length in LENGTHS)
    return any(prefix is not None and prefix.extract(host) in fours for prefix in found)


async def _ipv4_of(network: Network, servers: Sequence[tuple[str, int]]) -> list[Endpoint]:
    """IPv4 addresses of some of them."""
    names = dict.fromkeys(servers[: 2 * MOST_SERVERS])
    answers = await asyncio.gather(*(network.resolve(name, 4) for name, _ in names))
    known = [
        Endpoint(answer[0], port)
        for (_, port), answer in zip(names, answers, strict=True)
        if not isinstance(answer, str)
    ]
    return [each for each in known if network.is_public(each.host)][:MOST_SERVERS]


async def _tried(
    network: Network, found: dict[Nat64Prefix, PrefixSource], whom: list[Endpoint], interface: str | None
) -> list[Nat64]:
    """Ask through all at once; the first that is right is used, or where there is nobody to ask, the first
    that was named."""
    async with asyncio.TaskGroup() as group:
        tasks = {
            prefix: group.create_task(_leads(network, prefix, whom, interface, source))
            for prefix, source in found.items()
        }
        for task in tasks.values():
            await asyncio.wait((task,))
            if task.result() is True:
                break
        right = next((each for each, task in tasks.items() if task.done() and task.result()), None)
        results = {each: task.result() if task.done() else None for each, task in tasks.items()}
        for task in tasks.values():
            task.cancel()
    used = right or next((each for each in found if not whom and found[each] != "guess"), None)
    return [
        Nat64(probe="nat64", prefix=str(each), learnt=source, works=results[each], used=each == used)
        for each, source in found.items()
        if source != "guess" or results[each]
    ]


async def _leads(
    network: Network,
    prefix: Nat64Prefix,
    whom: list[Endpoint],
    interface: str | None,
    source: PrefixSource,
) -> bool | None:
    """Does it lead to any of these servers? None: there is nobody to ask."""
    asked = [Endpoint(prefix.embed(each.host), each.port) for each in whom]
    if not asked:
        return None
    questions = [ask(network, each, interface) for ask in (_answers, _answers_tcp) for each in asked]
    right = False
    async with asyncio.TaskGroup() as group, TimeLimit(GUESS_S if source == "guess" else PATIENCE_S):
        waiting = {group.create_task(_tolerant(question)) for question in questions}
        try:
            while waiting and not right:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                right = any(task.result() for task in done)
        finally:
            for task in waiting:
                task.cancel()
    return right


async def _tolerant(question: Coroutine[None, None, bool]) -> bool:
    """Where no socket can be had, nobody answers."""
    try:
        return await question
    except CannotRun:
        return False


async def _answers(network: Network, at: Endpoint, interface: str | None) -> bool:
    """Over UDP: does it see an IPv4 client? A prefix that leads to a machine with IPv6 is none."""
    socket = await network.open_udp(family=6, interface=interface)
    question = stun.Transaction(_request(), at, rto_s=0.15, rc=5)
    try:
        await exchange.run(question, socket)
    finally:
        socket.close()
    return _sees_ipv4(question.response)


async def _answers_tcp(network: Network, at: Endpoint, interface: str | None) -> bool:
    """Does the server answer over TCP? For a network where UDP does not get out."""
    stream = await network.connect_tcp(at, timeout_s=PATIENCE_S, interface=interface)
    if isinstance(stream, TcpFailure):
        return False
    stream.write(_request())
    framer = stun.Framer()
    try:
        while data := await stream.read():
            for message in framer.feed(data):
                return _sees_ipv4(stun.decode(message))
    except ProtocolError:
        pass
    finally:
        stream.abort()
    return False


def _request() -> bytes:
    return stun.binding_request(stun.new_transaction_id(), hello=False)


def _sees_ipv4(answer: stun.Message | None) -> bool:
    try:
        mapped = None if answer is None else answer.mapped
    except ProtocolError:
        return False
    return mapped is not None and as_ipv4(mapped).family == 4
