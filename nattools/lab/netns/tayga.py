"""The NAT64 of a router in a lab made of network namespaces: tayga (Debian's) translates between IPv6 and an
IPv4 network of the router's own, and the kernel's NAT does the rest (Linux)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from nattools.errors import CannotRun
from nattools.lab.netns import processes
from nattools.lab.netns.nft import TRANSLATED
from nattools.lab.scenario import Nat64Spec
from nattools.net.system.namespace import entered
from nattools.protocols.nat64 import parse_prefix

POOL: Final = "192.168.255.0/24"
"""Every inside host has an address of it, between the two translations."""
_OWN = "192.168.255.1"
_TUN = "/dev/net/tun"
_MOST_SAID = 4096
_START_LIMIT_S = 60.0
_POLL_S = 0.005


class ProgramLab(Protocol):
    """What of a lab it needs."""

    def popen(self, node: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on a node."""

    def network_path(self, node: str) -> str:
        """The path of a node's namespace."""


def start(lab: ProgramLab, router: str, spec: Nat64Spec, inside6: str) -> None:
    """Start it on a router whose inside IPv6 address is `inside6`, and wait until packets pass. CannotRun:
    there is no tayga, or it does not start."""
    program, ip = processes.find("tayga", "tayga"), processes.find("ip", "iproute2")
    prefix = str(parse_prefix(spec.prefix))
    file, said = os.memfd_create("tayga.conf"), os.memfd_create("tayga.log")
    try:
        os.write(file, _configuration(prefix, inside6).encode())
        tayga = f"{program} --config /proc/self/fd/{file}"
        steps = (
            f"{tayga} --mktun",
            f"{ip} link set {TRANSLATED} up",
            f"{ip} route add {POOL} dev {TRANSLATED}",
            f"{ip} -6 route add {prefix} dev {TRANSLATED}",
            f"exec {tayga} --nodetach",
        )
        process = lab.popen(
            router,
            ["sh", "-c", " && ".join(steps)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(file,),
        )
        if not _has_carrier_soon(process, lab.network_path(router)):
            raise _failed(os.pread(said, _MOST_SAID, 0).decode(errors="replace"))
    finally:
        os.close(file)
        os.close(said)


def _failed(said: str) -> CannotRun:
    why = next((line for line in reversed(said.splitlines()) if line.strip()), "")
    remedy = ""
    if not os.path.exists(_TUN):
        remedy = f"It needs {_TUN}: a container gets it by --device {_TUN}."
    elif not os.access(_TUN, os.R_OK | os.W_OK):
        remedy = f"Run it as root, or let everybody use tunnels of their own: chmod 666 {_TUN}."
    return CannotRun("tayga did not start" + (f": {why.strip()[:200]}" if why else ""), remedy)


def _configuration(prefix: str, inside6: str) -> str:
    """Its own IPv6 address must not be of the well-known prefix: RFC 6052 3.1 forbids private IPv4 there. The
    inside host .1 of the pool is tayga itself."""
    own = inside6.rpartition(":")[0] + ":64:64"
    lines = (
        f"tun-device {TRANSLATED}",
        f"ipv4-addr {_OWN}",
        f"ipv6-addr {own}",
        f"prefix {prefix}",
        f"dynamic-pool {POOL}",
    )
    return "".join(f"{line}\n" for line in lines)


def _has_carrier_soon(process: subprocess.Popen[Any], path: str) -> bool:
    """What is sent to a TUN device that nobody has opened is lost. False: nobody opens it."""
    until = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        with entered(path):
            if _has_carrier():
                return True
        time.sleep(_POLL_S)
    return False


def _has_carrier() -> bool:
    """By netdevice(7): IFF_RUNNING."""
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            found = fcntl.ioctl(sock, 0x8913, struct.pack("16sH22x", TRANSLATED.encode(), 0))
        except OSError:
            return False
    return bool(struct.unpack_from("H", found, 16)[0] & 0x40)
