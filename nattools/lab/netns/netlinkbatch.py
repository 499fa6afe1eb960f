"""Requests to the kernel over netlink, many at once (Linux).

pyroute2 writes the messages. Those of a namespace go out together through one plain socket that was opened
inside it: a round trip and a process for each would take most of the time that a lab takes to start.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from nattools.errors import CannotRun, how_to_install
from nattools.lab.netns.namespaces import Namespace
from nattools.net.system.namespace import entered

_ACKNOWLEDGEMENT = 2  # NLMSG_ERROR, with error 0 when all is well
_HEADER = struct.Struct("=IHHII")


class NetlinkBatch:
    """Netlink requests that go out together."""

    def __init__(self) -> None:
        self._compiler = _compiler()
        self._what: list[str] = []

    def append(self, what: str, method: str, command: str = "add", /, **wanted: Any) -> None:
        """Append the request that pyroute2's `IPRoute` method of that name makes of these arguments;
        `what` says in an error message what the kernel would not do."""
        getattr(self._compiler, method)(command, **wanted)
        self._what.append(what)

    def send(self, namespace: Namespace) -> None:
        """Send all and wait until the kernel has done it. CannotRun names the first request that failed."""
        if not self._what:
            return
        with (
            entered(namespace.path),
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock,
        ):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.bind((0, 0))
            sock.send(self._compiler.batch)
            results: list[int] = []
            while len(results) < len(self._what):
                results += _results(sock.recv(1 << 16))
        what, self._what = self._what, []
        self._compiler.reset()
        for result, request in zip(results, what, strict=True):
            if result:
                name = errno.errorcode.get(result, str(result))
                raise CannotRun(f"the kernel would not {request}: {os.strerror(result)} ({name})")

    def close(self) -> None:
        """Let go of pyroute2's resources."""
        self._compiler.close()


def _compiler() -> Any:
    try:
        from pyroute2.iproute.linux import IPBatch
    except ImportError as error:
        raise CannotRun(
            f"network namespaces need pyroute2: {error}",
            how_to_install("pyroute2"),
        ) from error
    return IPBatch()


def _results(data: bytes) -> list[int]:
    """The error numbers of a datagram of acknowledgements, 0 for success."""
    results = []
    at = 0
    while at < len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _ACKNOWLEDGEMENT:
            results.append(-struct.unpack_from("=i", data, at + _HEADER.size)[0])
        at += (length + 3) & ~3
    return results
