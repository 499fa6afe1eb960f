"""When what is sent through a lab's cables arrives (Linux).

The kernel takes an interface into service some time after it was told to: a worker of it hears that the
cable is in (its link watch), and until then all that is sent there is lost without a word; another worker
makes the route by which an IPv6 address is its machine's own. On a busy machine that takes milliseconds.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Collection, Iterable
from ipaddress import IPv6Address
from typing import Final

from nattools.errors import CannotRun
from nattools.lab.layout import Layout, Port
from nattools.lab.netns.namespaces import Namespace
from nattools.lab.netns.netlinkbatch import NetlinkBatch
from nattools.lab.netns.wiring import NetworkDevice, Wiring
from nattools.net.system.namespace import entered

LIMIT_S: Final = 60.0
_EVERY_S: Final = 0.001
_SIOCGIFFLAGS, _IFF_RUNNING = 0x8913, 0x40  # netdevice(7)
_REQUEST: Final = struct.Struct("16sH14x")
_ROUTES6: Final = "/proc/thread-self/net/ipv6_route"
_RTF_LOCAL: Final = 0x8000_0000


def in_service(layout: Layout, wiring: Wiring) -> dict[str, list[str]]:
    """The devices of each node that are plugged into something, by name; a bridge with the first of its
    ports."""
    out = {
        (port.node, port.interface) for segment in layout.segments for port in segment.ports if not port.link
    }
    found: dict[str, list[str]] = {}

    def add(device: NetworkDevice) -> None:
        names = found.setdefault(device.node, [])
        names += [name for name in (device.name, device.bridge) if name is not None and name not in names]

    for cable in wiring.cables:
        if not out.intersection((end.node, end.name) for end in (cable.left, cable.right)):
            add(cable.left)
            add(cable.right)
    for tunnel in wiring.tunnels:
        if (tunnel.device.node, tunnel.device.name) not in out:
            add(tunnel.device)
    return found


def own6(ports: Iterable[Port], without: Collection[tuple[str, int]]) -> list[str]:
    """The IPv6 addresses of a node's ports whose cables are in. `without`: as `nodesetup.set_up` has it."""
    plugged = [port for port in ports if port.link and (port.interface, 6) not in without]
    return [address.ip for port in plugged for address in port.addresses if ":" in address.ip]


def await_service(
    batch: NetlinkBatch, node: str, namespace: Namespace, devices: Collection[str], own: Collection[str]
) -> None:
    """Wait until the kernel has these devices of a node in service, and knows these IPv6 addresses as its
    own. CannotRun: it has not within LIMIT_S."""
    until = time.monotonic() + LIMIT_S
    with entered(namespace.path):
        while missing := _idle(devices) or _strange(own):
            if time.monotonic() > until:
                raise CannotRun(f"the kernel has not brought up {', '.join(missing)} of {node}")
            time.sleep(_EVERY_S)
    # an interface says that it runs a moment before its queue does; both happen under the kernel's lock, and
    # whoever has had that afterwards comes after both
    batch.append("bring up the loopback", "link", "set", index=1, state="up")
    batch.send(namespace)


def _idle(devices: Collection[str]) -> list[str]:
    """Which of the devices of this thread's namespace are not in service."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        asked = {name: fcntl.ioctl(sock, _SIOCGIFFLAGS, _REQUEST.pack(name.encode(), 0)) for name in devices}
    return [name for name, told in asked.items() if not _REQUEST.unpack(told)[1] & _IFF_RUNNING]


def _strange(addresses: Collection[str]) -> list[str]:
    """Which of these IPv6 addresses the namespace of this thread does not know as its own."""
    if not addresses:
        return []
    with open(_ROUTES6) as file:
        routes = [line.split() for line in file]
    local = {fields[0] for fields in routes if int(fields[8], 16) & _RTF_LOCAL}
    return [each for each in addresses if f"{int(IPv6Address(each)):032x}" not in local]
