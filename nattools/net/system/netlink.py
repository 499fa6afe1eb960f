"""What the kernel is asked of interfaces and routes (Linux): a question, and its answer at once."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family
from nattools.protocols import rtnetlink
from nattools.protocols.rtnetlink import (
    BlockingRoute,
    End,
    KernelAddress,
    KernelLink,
    KernelNeighbour,
    Message,
    NetlinkError,
    SilentNeighbour,
    TableRoute,
)

Kind = TypeVar("Kind")

_ROUTE = 0  # NETLINK_ROUTE
_LONGEST_S = 1.0
_DATAGRAM = 1 << 17
_MOST_MESSAGES = 20_000
"""A router of the internet's core has a million routes, the default ones first."""


def _asked(request: Callable[[int], bytes], *, dump: bool = True) -> list[Message]:
    """The answer in the calling thread's namespace. OSError: there is no netlink here, or no answer."""
    if not sys.platform.startswith("linux"):
        raise OSError(f"{sys.platform} has no netlink")
    sequence = 1
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _ROUTE) as sock:
        sock.settimeout(_LONGEST_S)
        sock.sendto(request(sequence), (0, 0))
        found: list[Message] = []
        while len(found) < _MOST_MESSAGES:
            try:
                found += rtnetlink.decode(sock.recv(_DATAGRAM), sequence)
            except ProtocolError as error:
                raise OSError(str(error)) from error
            if not dump or any(isinstance(each, (End, NetlinkError)) for each in found[-2:]):
                break
        return found


def _dumped(kind: type[Kind], request: Callable[[int], bytes]) -> list[Kind]:
    return [each for each in _asked(request) if isinstance(each, kind)]


def links() -> list[KernelLink]:
    """All interfaces. OSError as in all functions here."""
    return _dumped(KernelLink, rtnetlink.dump_links)


def addresses(family: Family) -> list[KernelAddress]:
    """All own addresses of a family, with what the kernel knows of them."""
    return _dumped(KernelAddress, partial(rtnetlink.dump_addresses, family=family))


def neighbours(family: Family) -> list[KernelNeighbour]:
    """The machines of a family that are known on links."""
    return _dumped(KernelNeighbour, partial(rtnetlink.dump_neighbours, family=family))


def silent_neighbours(family: Family) -> list[SilentNeighbour]:
    """The neighbours of a family that do not answer."""
    return _dumped(SilentNeighbour, partial(rtnetlink.dump_neighbours, family=family))


def table_routes(family: Family) -> list[TableRoute]:
    """The routes of all tables, the default ones among them."""
    return _dumped(TableRoute, partial(rtnetlink.dump_routes, family=family))


def blocking_routes(family: Family) -> list[BlockingRoute]:
    """The routes by which nothing leaves."""
    return _dumped(BlockingRoute, partial(rtnetlink.dump_routes, family=family))


def route_to(destination: str, *, source: str | None = None, link: int | None = None) -> TableRoute | None:
    """The route that a packet takes; None: there is none."""
    ask = partial(rtnetlink.ask_route, destination=destination, source=source, link=link)
    answer = _asked(ask, dump=False)
    return next((each for each in answer if isinstance(each, TableRoute)), None)
