"""Do the QUIC ports of peers answer from here?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.peertrial import QuicAsked
from nattools.probes.libp2p.peervisits import PROBE, PeerContext, Visited
from nattools.protocols.libp2p.multiaddr import Multiaddr
from nattools.protocols.libp2p.quicprobe import VersionProbe

_SENT_AT_S: Final = (0.0, 0.3, 0.9)
_WAIT_S: Final = 1.5
_MOST: Final = 8


async def ask_quic_ports(
    context: PeerContext, visited: Sequence[Visited], named: Sequence[Multiaddr]
) -> None:
    """Those that were `named`, and those that peers say they have at the address at which they answered: no
    other address is written to because a peer names it."""
    wanted: dict[Endpoint, str] = {}
    for address in named:
        if address.over == "quic" and (endpoint := address.endpoint) is not None:
            wanted[endpoint] = str(address)
    for peer in visited:
        for address in peer.description.addresses:
            endpoint, host = address.endpoint, peer.connection.remote.host
            if address.over == "quic" and endpoint is not None and endpoint.host == host and endpoint.port:
                wanted.setdefault(endpoint, peer.text)
    async with asyncio.TaskGroup() as group:
        for endpoint, text in list(wanted.items())[:_MOST]:
            group.create_task(_ask(context, endpoint, text))


async def _ask(context: PeerContext, remote: Endpoint, text: str) -> None:
    loop = asyncio.get_running_loop()
    try:
        socket = await context.network.open_udp(family=remote.family, interface=context.interface)
    except CannotRun:
        return
    began, probe = loop.time(), VersionProbe()
    answer: asyncio.Future[tuple[int, ...]] = loop.create_future()

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if source != remote or answer.done():
            return
        try:
            answer.set_result(probe.answered(data))
        except ProtocolError:
            return

    socket.on_datagram = on_datagram
    sent = 0
    try:
        for number, at_s in enumerate(_SENT_AT_S):
            socket.send(probe.packet, remote)
            sent += 1
            until = _SENT_AT_S[number + 1] if number + 1 < len(_SENT_AT_S) else _WAIT_S
            await asyncio.wait([answer], timeout=until - at_s)
            if answer.done():
                break
    finally:
        socket.close()
    versions = answer.result() if answer.done() else ()
    context.recorder.add(
        QuicAsked(
            probe=PROBE,
            address=text,
            remote=str(remote),
            sent=sent,
            answered=bool(versions),
            versions=tuple(f"{each:#010x}" for each in versions[:8]),
            rtt_s=round(loop.time() - began, 6) if versions else None,
        ),
        at=began,
    )
