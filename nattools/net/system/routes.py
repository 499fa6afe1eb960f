"""Which interface and source address a destination has: asked of the system once, until its routes change.

Linux reports changes of links, addresses, routes and rules to a netlink socket (rtnetlink(7)); that costs one
system call for each question. Elsewhere an answer is good for `TRUSTED_S` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import weakref
from collections.abc import Callable
from math import inf
from typing import Final

from nattools.net.system.namespace import entered

logger = logging.getLogger(__name__)

TRUSTED_S: Final = 5.0
_MOST_ROUTES: Final = 1024
_NETLINK_ROUTE: Final = 0
# RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE; RTNLGRP_IPV6_RULE (rtnetlink.h)
_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18

Route = tuple[str | None, str]
"""Interface name (None if not known) and source address."""


class RouteCache:
    """Routes by destination, of this process or of the namespace `netns` (as in `HostNetwork`)."""

    def __init__(self, netns: str | None = None) -> None:
        self._netns = netns
        self._routes: dict[str, Route | None] = {}
        self._changes: socket.socket | None = None
        self._trusted_until = -inf
        self._listening = False

    def route(self, destination: str, ask: Callable[[str], Route | None]) -> Route | None:
        """The route to an address in text form (None: none); `ask` puts the question to the system."""
        if self._are_stale() or len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        if destination not in self._routes:
            self._routes[destination] = ask(destination)
        return self._routes[destination]

    def _are_stale(self) -> bool:
        """Did something change since the last call, or may it have?"""
        if not self._listening:
            self._listening = True
            self._changes = self._listen()
        if self._changes is not None:
            return _drain(self._changes)
        now = _loop_time()
        if now < self._trusted_until:
            return False
        self._trusted_until = now + TRUSTED_S
        return True

    def _listen(self) -> socket.socket | None:
        """A netlink socket that hears of changes; None where there is none."""
        if not hasattr(socket, "AF_NETLINK"):
            return None
        try:
            with entered(self._netns):
                sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
            weakref.finalize(self, sock.close)
            sock.setblocking(False)
            sock.bind((0, _GROUPS))
        except OSError:
            logger.debug("no netlink: routes are asked for every %g s", TRUSTED_S, exc_info=True)
            return None
        return sock


def _drain(sock: socket.socket) -> bool:
    """Take all messages from the queue; was there any? An overrun (ENOBUFS) is one: what it was is lost."""
    found = False
    with contextlib.suppress(BlockingIOError):
        while True:
            try:
                sock.recv(1 << 16)
            except BlockingIOError:
                raise
            except OSError:
                logger.debug("lost route changes", exc_info=True)
            found = True
    return found


def _loop_time() -> float:
    """The running event loop's time; without one nothing is trusted."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return inf
