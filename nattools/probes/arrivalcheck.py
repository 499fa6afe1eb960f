"""Did what was sent to this machine come to its interface, before any firewall of its own?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import ArrivalWatch, Network
from nattools.probes.target import Target


@contextlib.contextmanager
def watching_arrivals(network: Network, family: Family) -> Iterator[ArrivalWatch | None]:
    """From now on. None: this system does not show it, or not to this user."""
    try:
        watch = network.watch_arrivals(family)
    except CannotRun:
        yield None
        return
    with contextlib.closing(watch):
        yield watch


def has_arrived(
    watch: ArrivalWatch | None,
    transport: Literal["udp", "tcp", "icmp"],
    port: int,
    origin: Endpoint | None,
    target: Target,
) -> bool | None:
    """Has something come for this port from the server, by whichever of its addresses? None: nobody
    looked."""
    if watch is None:
        return None
    hosts = {target.endpoint.host}
    hosts |= {each.host for each in (origin, target.other) if each is not None}
    return any(watch.saw(host, transport, port) for host in hosts)
