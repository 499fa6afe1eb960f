"""IPv6 addresses are of use a moment after the kernel has taken them: a queue of its own puts the local route
of each into the table (Linux's addrconf), on a busy machine late, and what comes before is lost."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from nattools.net.namespace import entered

_ADDRESSES, _ROUTES = "/proc/thread-self/net/if_inet6", "/proc/thread-self/net/ipv6_route"
_LIMIT_S: Final = 2.0
_POLL_S: Final = 0.005
_LINK_LOCAL: Final = "fe8"
_RTF_LOCAL: Final = 0x80000000


def await_local_routes(paths: Iterable[str]) -> None:
    """Wait until the namespaces at these paths answer to their addresses, or for as long as is worth waiting:
    one that is on a link without a carrier may never be of use."""
    until = time.monotonic() + _LIMIT_S
    for path in paths:
        with entered(path):
            while not _complete() and time.monotonic() < until:
                time.sleep(_POLL_S)


def _complete() -> bool:
    """proc(5): addresses and routes as hexadecimal digits, the routes' flags in the ninth column."""
    try:
        with open(_ADDRESSES) as file:
            addresses = {line.split()[0] for line in file}
        with open(_ROUTES) as file:
            rows = [line.split() for line in file]
    except OSError:  # a kernel without IPv6
        return True
    local = {row[0] for row in rows if int(row[8], 16) & _RTF_LOCAL}
    return all(each in local or each.startswith(_LINK_LOCAL) for each in addresses)
