"""Peers met through a relay: does the connection become a direct one?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.model.peertrial import UpgradeTried
from nattools.net.eventloop import TimeLimit
from nattools.net.libp2p.directupgrades import DirectUpgrades
from nattools.net.libp2p.peerconnection import Libp2pConnection
from nattools.net.libp2p.peerhost import PeerHost, listen_on_any_port
from nattools.net.libp2p.peerquestions import connect_through, identify, ping, reserve
from nattools.probes.libp2p.peervisits import PROBE, PeerContext, PeerPlace, Visited, locate, visit
from nattools.probes.libp2p.reservations import RelayedCalls
from nattools.protocols.libp2p import dcutr
from nattools.protocols.libp2p.identify import PeerDescription
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at

BEGIN_S: Final = 12.0
"""A peer first tries to dial us, and begins when that has failed."""
_BETWEEN_S: Final = 7.0
"""An attempt takes 5 s, and the next one begins soon after it."""
_MOST_PUBLIC: Final = 4


class _Site:
    """A port that listens, from which the relay was called, so that it is known how that is seen."""

    def __init__(self, context: PeerContext, host: PeerHost, relay: Visited, local: Endpoint) -> None:
        self.context, self.host, self.relay, self.local = context, host, relay, local
        observed = relay.description.observed
        found = [] if observed is None or observed.over != "tcp" else [observed.without_peer()]
        own = relay.connection.local.host
        self.public = own if context.network.is_public(own) else None
        if self.public is not None:
            host.addresses = (multiaddr_at(Endpoint(self.public, local.port)),)
            found.extend(host.addresses)
        self.seen = tuple(dict.fromkeys(found))
        self.upgrades = self.start_upgrades()

    def start_upgrades(self) -> DirectUpgrades:
        """The host's part in those that begin from now on."""
        return DirectUpgrades(self.host, self.local, self.seen, self.context.interface, self.public)


async def _site(context: PeerContext, stack: AsyncExitStack, address: Multiaddr) -> _Site | None:
    """None: the relay cannot be visited, which is recorded, or no port can listen."""
    place = await locate(context, address)
    if place is None:
        return None
    for endpoint in place.endpoints:
        host = await stack.enter_async_context(PeerHost(context.network, context.key))
        local = await listen_on_any_port(host, endpoint.family, interface=context.interface)
        if local is None:
            continue
        relay = await visit(context, host, PeerPlace(address, (endpoint,)), port=local.port, listening=True)
        if relay is not None:
            return _Site(context, host, relay, local)
    return None


async def call_through(context: PeerContext, address: Multiaddr) -> None:
    """Call a peer through the relay that its address names, and see whether the connection becomes direct.
    The peer leads that."""
    relay, target = address.relay, address.peer
    if relay is None or target is None:
        return
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        site = await _site(context, stack, relay)
        if site is None:
            return
        began = loop.time()
        answer = await connect_through(site.relay.connection, target)
        seen = UpgradeTried(
            probe=PROBE,
            relay=site.relay.text,
            peer=str(target),
            role="caller",
            relayed=answer.outcome if answer.message is None else answer.message.status,
            own=tuple(map(str, site.seen)),
        )
        relayed = None
        if answer.granted and answer.stream is not None:
            made = await site.host.take(answer.stream, initiates=True, expected=target, relayed=True)
            relayed = made if isinstance(made, Libp2pConnection) else None
        if relayed is None:
            seen = msgspec.structs.replace(seen, relayed=seen.relayed if not answer.granted else "broken")
        else:
            seen = await _followed(site, relayed, seen)
        context.recorder.add(seen, at=began)


async def _followed(site: _Site, relayed: Libp2pConnection, seen: UpgradeTried) -> UpgradeTried:
    """Wait for what the peer does: it dials this machine, or begins an upgrade."""
    loop, upgrades = asyncio.get_running_loop(), site.upgrades
    began = loop.time()
    rtt_s = await ping(relayed)
    direct = await _awaited(site, relayed, until=began + BEGIN_S)
    took_s = loop.time() - began
    end = ("met" if upgrades.record.attempts else "dialled") if direct is not None else "failed"
    if direct is None and not upgrades.record.attempts:
        end = "silent"
    seen = msgspec.structs.replace(seen, relayed_rtt_s=_rounded(rtt_s), end=end, took_s=round(took_s, 6))
    return await _with_connection(seen, upgrades, direct)


async def _awaited(site: _Site, relayed: Libp2pConnection, until: float) -> Libp2pConnection | None:
    """A direct connection to the same peer; None: it did not come about by `until`, or after three attempts,
    between which the peer has some seconds."""
    loop, upgrades, seen = asyncio.get_running_loop(), site.upgrades, 0
    while not relayed.ended.is_set():
        direct = upgrades.record.connection or _direct_to(site.host, relayed)
        if direct is not None:
            return direct
        attempts = upgrades.record.attempts
        if attempts > seen or upgrades.meeting:
            seen, until = attempts, loop.time() + _BETWEEN_S
        if loop.time() >= until or (attempts >= dcutr.ATTEMPTS and not upgrades.meeting):
            return None
        site.host.changed.clear()
        async with TimeLimit(until - loop.time()):
            await site.host.changed.wait()
    return None


def _direct_to(host: PeerHost, relayed: Libp2pConnection) -> Libp2pConnection | None:
    """A connection to the same peer that goes through no relay."""
    same = (each for each in host.connections if each.peer == relayed.peer and not each.relayed)
    return next(same, None)


async def _with_connection(
    seen: UpgradeTried, upgrades: DirectUpgrades, direct: Libp2pConnection | None
) -> UpgradeTried:
    rtt_s = None if direct is None else await ping(direct)
    return msgspec.structs.replace(
        seen,
        attempts=upgrades.record.attempts,
        targets=tuple(map(str, upgrades.record.targets)),
        local=None if direct is None else str(direct.local),
        remote=None if direct is None else str(direct.remote),
        rtt_s=_rounded(rtt_s),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


async def wait_for_calls(
    context: PeerContext, relay: Multiaddr, seconds: float, told: Callable[[str], None]
) -> str | None:
    """Take a reservation at a relay, and for so many seconds lead the upgrade of whatever call comes. `told`
    hears the address to call. Why none came; None: one did."""
    async with AsyncExitStack() as stack:
        site = await _site(context, stack, relay)
        if site is None:
            return "the relay does not answer"
        calls: asyncio.Queue[Libp2pConnection] = asyncio.Queue()
        RelayedCalls(site.host, calls.put_nowait)
        answer = await reserve(site.relay.connection)
        if not answer.granted:
            return "the relay gives no reservation"
        address = site.relay.address.without_peer().to(
            ("p2p", str(site.relay.connection.peer)), ("p2p-circuit", ""), ("p2p", str(site.host.peer))
        )
        told(str(address))
        called = False
        async with TimeLimit(seconds):
            while True:
                call = await calls.get()
                called = True
                await _lead(site, call)
        return None if called else f"nobody called in {seconds:g} s"


async def _lead(site: _Site, relayed: Libp2pConnection) -> None:
    context, loop = site.context, asyncio.get_running_loop()
    began = loop.time()
    upgrades = site.start_upgrades()
    description = await identify(relayed)
    rtt_s = await ping(relayed)
    await upgrades.lead(relayed, _public(context, description))
    seen = UpgradeTried(
        probe=PROBE,
        relay=site.relay.text,
        peer=str(relayed.peer),
        role="called",
        relayed="ok",
        relayed_rtt_s=_rounded(rtt_s),
        own=tuple(map(str, site.seen)),
        end=upgrades.record.end,
        took_s=round(loop.time() - began, 6),
    )
    context.recorder.add(await _with_connection(seen, upgrades, upgrades.record.connection), at=began)


def _public(context: PeerContext, description: PeerDescription | None) -> list[Endpoint]:
    """Where the peer says that anybody can connect over TCP."""
    addresses = () if description is None else description.addresses
    ends = (each.endpoint for each in addresses if each.over == "tcp")
    return [each for each in ends if each is not None and context.network.is_public(each.host)][:_MOST_PUBLIC]
