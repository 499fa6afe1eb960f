"""ICMP errors about what a server's sockets send, for several who want to hear of them."""

from __future__ import annotations

from collections.abc import Mapping

from nattools.net.base import IcmpError, IcmpHandler, UdpSocket
from nattools.server.endpoints import Role


class SocketErrors:
    """`hear` when errors are wanted, and not before: from then on the system queues all of a socket's."""

    def __init__(self, sockets: Mapping[Role, UdpSocket]) -> None:
        self._sockets = sockets
        self._handlers: dict[Role, list[IcmpHandler]] = {}

    def hear(self, role: Role, handler: IcmpHandler) -> None:
        """From now on `handler` gets the errors of the socket in this role. Idempotent."""
        handlers = self._handlers.setdefault(role, [])
        if handler not in handlers:
            handlers.append(handler)

        def heard(error: IcmpError) -> None:
            for each in handlers:
                each(error)

        self._sockets[role].on_icmp = heard
