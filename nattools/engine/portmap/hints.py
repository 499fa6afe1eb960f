"""Hearing that a router has restarted, before anybody asks it."""

from __future__ import annotations

from collections.abc import Callable

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import UdpSocket
from nattools.probes.portmap import Place, listen
from nattools.protocols import ssdp


async def hear_restarts(here: tuple[Place, ...], on_hint: Callable[[], None]) -> list[UdpSocket]:
    """Call `on_hint` at each announcement by PCP, NAT-PMP or SSDP from a router here, until the sockets are
    closed. Where nothing can be heard, as when another program has the port, asking must do."""
    sockets = []
    for place in here:
        heard = await listen(place, on_hint)
        if not isinstance(heard, str):
            sockets.append(heard)
        notified = await _hear_notify(place, on_hint)
        if notified is not None:
            sockets.append(notified)
    return sockets


async def _hear_notify(place: Place, on_hint: Callable[[], None]) -> UdpSocket | None:
    """SSDP's NOTIFY (UPnP Device Architecture 1.1, section 1.2.2)."""
    group = ssdp.GROUPS[place.family][0]
    zoned = f"{group}%{place.interface}" if place.family == 6 else group
    try:
        socket = await place.network.open_udp(
            family=place.family, host=place.host, port=ssdp.PORT, group=zoned
        )
    except CannotRun:
        return None

    boots: dict[str, int | None] = {}

    def on_datagram(data: bytes, source: Endpoint) -> None:
        told = _gateway_alive(data) if place.neighbourhood.is_gateway(source.host) else None
        if told is None:
            return
        if boots.setdefault(told.udn, told.boot_id) != told.boot_id:
            boots[told.udn] = told.boot_id
            on_hint()

    socket.on_datagram = on_datagram
    return socket


def _gateway_alive(data: bytes) -> ssdp.Announcement | None:
    """A gateway's word that it is there. Many repeat it every few minutes: what tells a restart is another
    BOOTID (UPnP Device Architecture 1.1, section 1.2.1)."""
    try:
        told = ssdp.decode(data)
    except ProtocolError:
        return None
    return told if told.kind == "alive" and told.is_gateway else None
