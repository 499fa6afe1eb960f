"""Connections to peers: who they are, what they offer, and from where they see us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.model.peertrial import PeerVisit, VisitOutcome
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.libp2p.peerconnection import Libp2pConnection, PeerFailure
from nattools.net.libp2p.peerhost import PeerHost
from nattools.net.libp2p.peerquestions import identify, ping
from nattools.probes.probe import Recorder
from nattools.protocols.libp2p.autonat import DIAL_REQUEST
from nattools.protocols.libp2p.circuit import HOP
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.identify import PeerDescription
from nattools.protocols.libp2p.multiaddr import Multiaddr

PROBE: Final = "libp2p"
VISIT_S: Final = 6.0
WEB_SOCKETS: Final = ("ws", "wss")
"""By which browsers come, over a port that can be connected to."""
_MOST_PROTOCOLS: Final = 40
_MOST_OF_FAMILY: Final = 2
"""Addresses of a name: all share the time of a visit."""
_FAILED: Final[dict[str, VisitOutcome]] = {
    "refused": "refused",
    "timeout": "timeout",
    "unreachable": "unreachable",
    "prohibited": "prohibited",
    "reset": "reset",
    "closed": "closed",
    "protocol": "protocol",
}


class PeerContext(msgspec.Struct):
    """How peers are asked. `key`: by whom. `lossy()`: does the path lose packets, so that one failure says
    little?"""

    network: Network
    recorder: Recorder
    key: HostKey
    families: tuple[Family, ...] = (4, 6)
    interface: str | None = None
    lossy: Callable[[], bool] = lambda: False


class Visited(NamedTuple):
    """A peer that said who it is: by which address it was asked, and the connection to it."""

    address: Multiaddr
    connection: Libp2pConnection
    description: PeerDescription

    @property
    def text(self) -> str:
        """Its address with who it is."""
        if self.address.peer is not None:
            return str(self.address)
        return str(self.address.to(("p2p", str(self.connection.peer))))

    def offers(self, protocol: str) -> bool:
        """Does it say that it speaks this?"""
        return protocol in self.description.protocols


class PeerPlace(NamedTuple):
    """A peer's address, and the IP endpoints that it stands for."""

    address: Multiaddr
    endpoints: tuple[Endpoint, ...]


async def locate(context: PeerContext, address: Multiaddr) -> PeerPlace | None:
    """Where it is; None: that is not known, or not by a way that is spoken here, which is recorded."""
    problem: tuple[VisitOutcome, str] | None = None
    endpoints: tuple[Endpoint, ...] = ()
    kind, port = address.parts[0][0], address.port
    if address.over not in ("tcp", *WEB_SOCKETS) or port is None or address.host is None:
        placed = address.host is not None or address.over == "relay"
        problem = ("unsupported", address.over if placed else kind)
    else:
        family: Family | None = {"dns4": 4, "dns6": 6}.get(kind)  # type: ignore[assignment]
        found = await context.network.resolve(address.host, family)
        if isinstance(found, str):
            problem = ("unresolved", found)
        else:
            every = tuple(Endpoint(host, port) for host in found)
            firsts = [
                [each for each in every if each.family == own][:_MOST_OF_FAMILY] for own in context.families
            ]
            endpoints = tuple(each for each in every if any(each in some for some in firsts))
            if not endpoints:
                problem = ("unresolved", "it has no address of a family that is measured here")
    if problem is not None:
        outcome, detail = problem
        context.recorder.add(
            PeerVisit(probe=PROBE, address=str(address), outcome=outcome, stage="connect", detail=detail)
        )
        return None
    return PeerPlace(address, endpoints)


async def visit(
    context: PeerContext, host: PeerHost, place: PeerPlace, *, port: int = 0, listening: bool = False
) -> Visited | None:
    """Connect to the first of a peer's endpoints that takes it, and ask who it is; None: it does not say.
    `port`: from this own port, which is `listening` too."""
    if place.address.over in WEB_SOCKETS:
        await _knock(context, place)
        return None
    began = asyncio.get_running_loop().time()
    made: Libp2pConnection | PeerFailure | TcpFailure = TcpFailure("error", "no address")
    remote = place.endpoints[0]
    for remote in place.endpoints:
        try:
            made = await host.dial(
                remote,
                place.address.peer,
                timeout_s=VISIT_S / len(place.endpoints),
                port=port,
                interface=context.interface,
            )
        except CannotRun as error:
            made = TcpFailure("error", str(error))
        if isinstance(made, Libp2pConnection):
            break
    seen = PeerVisit(
        probe=PROBE, address=str(place.address), outcome="connected", remote=str(remote), listening=listening
    )
    if not isinstance(made, Libp2pConnection):
        context.recorder.add(_failed(seen, made), at=began)
        return None
    connected_s = asyncio.get_running_loop().time() - began
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(identify(made))
        pinged = group.create_task(ping(made))
    description, rtt_s = asked.result(), pinged.result()
    seen = msgspec.structs.replace(
        seen,
        local=str(made.local),
        peer=str(made.peer),
        identified=description is not None,
        connected_s=round(connected_s, 6),
        rtt_s=None if rtt_s is None else round(rtt_s, 6),
    )
    if description is not None:
        seen = _described(seen, description)
    context.recorder.add(seen, at=began)
    return None if description is None else Visited(place.address, made, description)


async def _knock(context: PeerContext, place: PeerPlace) -> None:
    """Does its port take connections? More is not asked."""
    began, seen = (
        asyncio.get_running_loop().time(),
        PeerVisit(
            probe=PROBE,
            address=str(place.address),
            outcome="unsupported",
            stage="security",
            detail=place.address.over,
        ),
    )
    made: TcpStream | TcpFailure = TcpFailure("error", "no address")
    for remote in place.endpoints:
        seen = msgspec.structs.replace(seen, remote=str(remote))
        try:
            made = await context.network.connect_tcp(
                remote, timeout_s=VISIT_S / len(place.endpoints), interface=context.interface
            )
        except CannotRun as error:
            made = TcpFailure("error", str(error))
        if not isinstance(made, TcpFailure):
            made.abort()
            context.recorder.add(seen, at=began)
            return
    if isinstance(made, TcpFailure):
        context.recorder.add(_failed(seen, made), at=began)


def _described(seen: PeerVisit, description: PeerDescription) -> PeerVisit:
    """Of very many protocols, those that something follows from are kept."""
    asked = [each for each in (DIAL_REQUEST, HOP) if each in description.protocols]
    return msgspec.structs.replace(
        seen,
        agent=description.agent,
        protocols=tuple(dict.fromkeys((*asked, *description.protocols)))[:_MOST_PROTOCOLS],
        observed=None if description.observed is None else str(description.observed),
    )


def _failed(seen: PeerVisit, failure: PeerFailure | TcpFailure) -> PeerVisit:
    if isinstance(failure, TcpFailure):
        outcome = _FAILED.get(failure.outcome, "error")
        return msgspec.structs.replace(seen, outcome=outcome, stage="connect", detail=failure.detail)
    outcome = _FAILED.get(failure.cause, "error")
    return msgspec.structs.replace(seen, outcome=outcome, stage=failure.stage, detail=failure.detail)
