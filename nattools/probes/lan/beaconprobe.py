"""Beacons between machines that run `nattools lan`: each hears by which ways the other's come, and is told by
which ways its own have come."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.chance import random_bytes
from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import BROADCAST, Endpoint, Family
from nattools.model.lanseen import BeaconPeer, BeaconsSent
from nattools.net.base import UdpSocket
from nattools.probes.lan.lancontext import LanContext
from nattools.protocols.lanbeacon import (
    GROUPS,
    IDENTITY,
    MOST_HEARD,
    PORT,
    WAYS,
    Beacon,
    BeaconWay,
    decode_beacon,
    encode_beacon,
)

EVERY_S: Final = 0.25
_MULTICAST: Final[dict[Family, BeaconWay]] = {4: "multicast4", 6: "multicast6"}


class BeaconStation:
    """One machine's beacons, sent and heard."""

    def __init__(self, context: LanContext) -> None:
        self._context = context
        self.identity = random_bytes(IDENTITY)
        self.sent: dict[str, int] = {}
        self.came: dict[bytes, set[BeaconWay]] = {}
        self.arrived: dict[bytes, frozenset[BeaconWay]] = {}
        self.sends: dict[bytes, frozenset[BeaconWay]] = {}
        self.places: dict[bytes, Endpoint] = {}
        self.last: dict[bytes, dict[str, float]] = {}
        self._time = asyncio.get_running_loop().time
        self._began_at = self._time()
        self._sockets: dict[Family, UdpSocket] = {}

    async def open(self) -> None:
        """On every family that can be had."""
        for family in self._context.families:
            try:
                socket = await self._context.network.open_udp(
                    family=family,
                    host=self._context.own[family],
                    port=PORT,
                    group=self._context.group(GROUPS[family]),
                    broadcast=True,
                )
            except CannotRun:
                continue
            socket.on_datagram = self._arrived
            self._sockets[family] = socket

    def close(self) -> None:
        """Idempotent."""
        for socket in self._sockets.values():
            socket.close()
        self._sockets.clear()

    def _arrived(self, data: bytes, source: Endpoint) -> None:
        try:
            beacon = decode_beacon(data)
        except ProtocolError:
            return
        if beacon.sender == self.identity or self._context.is_own(source.host):
            return  # by another program of this machine it proves nothing of the network
        if beacon.sender not in self.came and len(self.came) >= MOST_HEARD:
            return
        self.came.setdefault(beacon.sender, set()).add(beacon.way)
        moment = round(self._time() - self._began_at, 3)
        self.last.setdefault(beacon.sender, {})[beacon.way] = moment
        known = self.arrived.get(beacon.sender, frozenset())
        self.arrived[beacon.sender] = known | beacon.heard.get(self.identity, frozenset())
        sends = self.sends.get(beacon.sender, frozenset())
        self.sends[beacon.sender] = sends | beacon.heard.get(beacon.sender, frozenset())
        if beacon.sender not in self.places or source.family == 4:
            self.places[beacon.sender] = source

    def send(self) -> None:
        """By every way, once."""
        for family, socket in self._sockets.items():
            self._send(socket, _MULTICAST[family], Endpoint(self._context.group(GROUPS[family]), PORT))
        if 4 in self._sockets:
            self._send(self._sockets[4], "broadcast", Endpoint(BROADCAST, PORT))
        for place in list(self.places.values()):
            if place.family in self._sockets:
                self._send(self._sockets[place.family], "unicast", Endpoint(place.host, PORT))

    def _send(self, socket: UdpSocket, way: BeaconWay, to: Endpoint) -> None:
        heard = {self.identity: frozenset(way for way in WAYS if way in self.sent)}
        heard |= {sender: frozenset(ways) for sender, ways in self.came.items()}
        if socket.send(encode_beacon(Beacon(self.identity, way, heard)), to, ttl=1) is None:
            self.sent[way] = self.sent.get(way, 0) + 1


async def exchange_beacons(context: LanContext) -> None:
    """Send and hear beacons for as long as is listened."""
    station, loop = BeaconStation(context), asyncio.get_running_loop()
    began_at = loop.time()
    await station.open()
    try:
        while loop.time() - began_at < context.listen_s:
            station.send()
            await asyncio.sleep(EVERY_S)
    finally:
        station.close()
        listened_s = round(loop.time() - began_at, 3)
        context.recorder.add(BeaconsSent(probe="lan", sent=dict(station.sent), listened_s=listened_s))
        for sender, ways in station.came.items():
            context.recorder.add(
                BeaconPeer(
                    probe="lan",
                    address=station.places[sender].host,
                    came=tuple(way for way in WAYS if way in ways),
                    arrived=tuple(way for way in WAYS if way in station.arrived[sender]),
                    sends=tuple(way for way in WAYS if way in station.sends[sender]),
                    last_s=dict(station.last[sender]),
                )
            )
