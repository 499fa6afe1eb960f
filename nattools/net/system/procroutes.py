"""Default routes as Linux writes them to /proc/net (proc_net(5)), for where a filter or a container refuses
netlink."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path

from nattools.model.host import Gateway

_UP = 1


def gateways(folder: Path = Path("/proc/net")) -> tuple[Gateway, ...]:
    """IPv4 before IPv6, the preferred ones first; none where these files cannot be read."""
    found: list[Gateway] = []
    for file, parse in (("route", _four), ("ipv6_route", _six)):
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = (folder / file).read_text().splitlines()
            found += sorted(parse(lines), key=lambda gateway: gateway.metric or 0)
    return tuple(found)


def _four(lines: list[str]) -> Iterator[Gateway]:
    """Interface, destination, gateway, flags, two counters, metric, mask; addresses as the machine stores
    them, in hexadecimal."""
    for fields in (line.split() for line in lines[1:]):
        if int(fields[1], 16) == int(fields[7], 16) == 0 and int(fields[3], 16) & _UP:
            router = ipaddress.IPv4Address(int(fields[2], 16).to_bytes(4, sys.byteorder))
            yield Gateway(
                interface=fields[0],
                family=4,
                address=str(router) if int(router) else None,
                metric=int(fields[6]),
            )


def _six(lines: list[str]) -> Iterator[Gateway]:
    """Destination and its length, source and its, gateway, metric, two counters, flags, interface. (Loopback
    has the route that refuses what no other leads to.)"""
    for fields in (line.split() for line in lines):
        if int(fields[0], 16) == int(fields[1], 16) == 0 and int(fields[8], 16) & _UP and fields[9] != "lo":
            router = ipaddress.IPv6Address(bytes.fromhex(fields[4]))
            zone = f"%{fields[9]}" if router.is_link_local else ""
            yield Gateway(
                interface=fields[9],
                family=6,
                address=f"{router}{zone}" if int(router) else None,
                metric=int(fields[5], 16),
            )
