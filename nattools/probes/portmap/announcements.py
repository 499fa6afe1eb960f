"""Hearing a router say that it has restarted, or that its address has changed, before anybody asks it."""

from __future__ import annotations

from collections.abc import Callable

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import UdpSocket
from nattools.probes.portmap.place import Place
from nattools.protocols import natpmp, pcp


async def listen(place: Place, on_hint: Callable[[], None]) -> UdpSocket | str:
    """Call `on_hint` at each announcement of the place's router, until the socket returned is closed; or say
    why nothing can be heard, as a clause.

    RFC 6887 14.1.2 and RFC 6886 3.2.1: servers multicast to all hosts, which takes no joining. Anybody on the
    LAN can forge that, so it is a hint and no more: ask the router (`Mapper.check`).
    """
    try:
        # bound to no address and no interface: that is what hears multicast on every system
        socket = await place.network.open_udp(family=place.family, port=pcp.ANNOUNCE_PORT)
    except CannotRun as error:
        return str(error)

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if place.neighbourhood.is_gateway(source.host) and is_announcement(data):
            on_hint()

    socket.on_datagram = on_datagram
    return socket


def is_announcement(data: bytes) -> bool:
    """Is it PCP's ANNOUNCE response, or NAT-PMP's response with the external address?"""
    try:
        if data[:1] == b"\x00":
            return natpmp.decode_response(data).opcode == natpmp.EXTERNAL_ADDRESS
        return pcp.decode_response(data).opcode == pcp.ANNOUNCE
    except ProtocolError:
        return False
