"""Tunnels of a lab's hosts (Linux): TUN devices, so that the kernel takes them for what they are."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import struct
from contextlib import suppress

from nattools.lab.netns.userspace import (
    ETHERNET,
    PACKET_HOST,
    FrameLoop,
    ImpairedDirection,
    raw,
    sender,
)
from nattools.lab.netns.wiring import TunnelCable

_ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_TUN_SET, _TUN, _NO_INFORMATION = 0x400454CA, 0x0001, 0x1000  # TUNSETIFF, IFF_TUN, IFF_NO_PI


class TunDevice:
    """A TUN device of the calling thread's namespace, read as a packet socket is: whole IP packets. It is
    there as long as a process holds this open."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self._file, _TUN_SET, struct.pack("16sH22x", name.encode(), _TUN | _NO_INFORMATION))

    def fileno(self) -> int:
        """For `select`."""
        return self._file

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int, int]]:
        """A packet that this machine sends, with the fields of an address that `FrameLoop` looks at."""
        return os.read(self._file, size), (self._name, 0, PACKET_HOST)

    def send(self, packet: bytes) -> None:
        """Have a packet arrive here."""
        with suppress(OSError):
            os.write(self._file, packet)

    def close(self) -> None:
        """This process's copy."""
        os.close(self._file)


def join_tunnel(
    frames: FrameLoop, tun: TunDevice, sock: socket.socket, tunnel: TunnelCable, rng: random.Random
) -> None:
    """Carry packets between a TUN device and the interface of the packet socket's namespace that leads to the
    router, in frames. Groups are not carried."""
    own, router = raw(tunnel.device.mac), raw(tunnel.router)
    inward = ImpairedDirection(frames, tun.send, tunnel.impairment, rng, up=False, header=0)
    outward = ImpairedDirection(frames, sender(sock, tunnel.end.name), tunnel.impairment, rng, up=True)

    def arrived(frame: bytes, kind: int) -> None:
        if frame[:6] == own and frame[12:ETHERNET] in _ETHERTYPES.values():
            inward.carry(frame[ETHERNET:], kind)

    def departed(packet: bytes, kind: int) -> None:
        ethertype = _ETHERTYPES.get(packet[0] >> 4)
        group = packet[24 if ethertype == _ETHERTYPES[6] else 16] >= 224
        if ethertype is not None and not group:
            outward.carry(router + own + ethertype + packet, kind)

    frames.listen(sock, tunnel.end.name, arrived)
    frames.listen(tun, tunnel.device.name, departed)
