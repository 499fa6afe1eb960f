"""Does this machine itself spread what it sends over several interfaces, each destination by one of them (a
multipath route)? What servers at several addresses see is then a mixture of several networks."""

from __future__ import annotations

from typing import Final

from nattools.net.base import Network

FAR_APART: Final = (
    "198.41.0.4",
    "192.33.4.12",
    "199.7.91.13",
    "192.203.230.10",
    "192.5.5.241",
    "192.112.36.4",
    "198.97.190.53",
    "192.36.148.17",
    "192.58.128.30",
    "193.0.14.129",
    "199.7.83.42",
    "202.12.27.33",
)
"""Addresses of root name servers. The routing table is asked about them, and nothing is sent there."""


def spread_over(network: Network) -> tuple[str, ...]:
    """The interfaces by which IPv4 packets leave for places far apart, the first one that of most commands;
    none if all leave by one."""
    routes = [route for host in FAR_APART if (route := network.route(host)) is not None]
    found = tuple(dict.fromkeys(name for name, _ in routes if name is not None))
    return found if len(found) > 1 else ()
