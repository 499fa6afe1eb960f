"""Announcements of routers: that they have restarted, or that their address has changed."""

from __future__ import annotations

from collections.abc import Callable

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import UdpSocket
from nattools.probes.portmap.gateway import GatewayContext
from nattools.protocols import natpmp, pcp, ssdp

_MOST_DEVICES = 64
"""So many devices of one router are told apart."""


async def listen(gateway: GatewayContext, on_hint: Callable[[], None]) -> UdpSocket | str:
    """Call `on_hint` at each announcement of the router, until the socket returned is closed; or say
    why nothing can be heard, as a clause.

    RFC 6887 14.1.2 and RFC 6886 3.2.1: servers multicast to all hosts, which takes no joining. Anybody on the
    LAN can forge that, so it is a hint and no more: ask the router (`Mapper.check`).
    """
    try:
        # bound to no address and no interface: that is what hears multicast on every system
        socket = await gateway.network.open_udp(family=gateway.family, port=pcp.ANNOUNCE_PORT)
    except CannotRun as error:
        return str(error)

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if gateway.forwards(source.host) and is_announcement(data):
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


async def listen_for_restarts(
    here: tuple[GatewayContext, ...], on_hint: Callable[[], None]
) -> list[UdpSocket]:
    """Call `on_hint` at each announcement by PCP, NAT-PMP or SSDP from a router here, until the sockets are
    closed. Where nothing can be heard, as when another program has the port, asking must do."""
    sockets: list[UdpSocket] = []
    try:
        for gateway in here:
            heard = await listen(gateway, on_hint)
            if not isinstance(heard, str):
                sockets.append(heard)
            notified = await _hear_notify(gateway, on_hint)
            if notified is not None:
                sockets.append(notified)
    except BaseException:
        for socket in sockets:
            socket.close()
        raise
    return sockets


async def _hear_notify(gateway: GatewayContext, on_hint: Callable[[], None]) -> UdpSocket | None:
    """SSDP's NOTIFY (UPnP Device Architecture 1.1, section 1.2.2)."""
    group = ssdp.GROUPS[gateway.family][0]
    zoned = f"{group}%{gateway.interface}" if gateway.family == 6 else group
    try:
        socket = await gateway.network.open_udp(
            family=gateway.family, host=gateway.local, port=ssdp.PORT, group=zoned
        )
    except CannotRun:
        return None

    boots: dict[str, int | None] = {}
    left = False

    def on_datagram(data: bytes, source: Endpoint) -> None:
        nonlocal left
        told = _told_of_gateway(data) if gateway.forwards(source.host) else None
        if told is None:
            return
        if told.kind == "byebye":
            left = True
            boots.clear()
        elif told.udn in boots or len(boots) < _MOST_DEVICES:
            other = boots.setdefault(told.udn, told.boot_id) != told.boot_id
            boots[told.udn] = told.boot_id
            if other or left:
                left = False
                on_hint()

    socket.on_datagram = on_datagram
    return socket


def _told_of_gateway(data: bytes) -> ssdp.Announcement | None:
    """A gateway announces itself, or that it leaves. Many repeat it every few minutes: what tells a restart
    is another BOOTID (UPnP Device Architecture 1.1, section 1.2.1), or that it had left (1.2.3), as those of
    1.0 say too, which count no boots."""
    try:
        told = ssdp.decode(data)
    except ProtocolError:
        return None
    return told if told.kind in ("alive", "byebye") and told.is_gateway else None
