"""No test of ours sends anything into the network of the machine that runs it.

`Guard` replaces what sockets send and connect with, for the whole process: from the network namespace that
the tests were started in, only loopback is let through; sockets of a lab's namespaces, which lead nowhere
else, are free. It also refuses to look up names, which would be asked of a server out there. What it refuses
is noted, since the code under test may well survive the error. Programs that a test starts are not covered:
they run in a lab's namespaces, or serve on loopback.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_SIOCGSKNS = 0x894C
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_HARMLESS = tuple(
    getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK", "AF_VSOCK") if hasattr(socket, name)
)
_LOCAL_NAMES = ("", "localhost", "ip6-localhost", "localhost.localdomain")


class Refused(OSError):  # noqa: N818 -- it reads as the sentence it is
    """Something would have left the machine."""


class Guard:
    """Install it with pytest's monkeypatch. `refused`: what it did not let through, a sentence each.
    `pointless`: hosts that a test may name because the system itself sends nothing there."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.pointless: set[str] = set()
        self._machines = _namespace_of_this_thread()
        self._inside: WeakKeyDictionary[socket.socket, bool] = WeakKeyDictionary()

    def install(self, patch: Any) -> None:
        """Replace the methods of all sockets, made or to be made."""
        self._ask_system = socket.getaddrinfo
        patch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        for name, where in (("sendto", -1), ("connect", 0), ("connect_ex", 0), ("sendmsg", 3)):
            patch.setattr(socket.socket, name, self._guarded(getattr(socket.socket, name), where))
        for name in ("send", "sendall"):
            patch.setattr(socket.socket, name, self._guarded(getattr(socket.socket, name), None))

    def _guarded(self, original: Callable[..., Any], where: int | None) -> Callable[..., Any]:
        """`where`: the place of the destination among the arguments, None if there never is one."""
        connects = original.__name__.startswith("connect")

        def method(sock: socket.socket, *arguments: Any) -> Any:
            given = where is not None and len(arguments) > max(where, 0)
            # a connected datagram socket sends nothing by connecting: what it sends later is looked at
            if connects and sock.type & 0xF == socket.SOCK_DGRAM:
                return original(sock, *arguments)
            self._check(sock, original.__name__, arguments[where] if given and where is not None else None)
            return original(sock, *arguments)

        return method

    def _check(self, sock: socket.socket, what: str, destination: Any) -> None:
        if sock.fileno() < 0 or sock.family in _HARMLESS or not self._is_the_machines(sock):
            return
        if sock.family in _INTERNET:
            destination = destination or _peer(sock)
            if destination is None or destination[0] in self.pointless or _is_loopback(destination[0]):
                return
        self.refused.append(f"{what} to {destination} on the machine's own network")
        raise Refused(self.refused[-1])

    def _is_the_machines(self, sock: socket.socket) -> bool:
        """Is the socket one of the namespace in which the tests were started?"""
        if sock not in self._inside:
            self._inside[sock] = _namespace_of(sock) in (None, self._machines)
        return self._inside[sock]

    def _getaddrinfo(self, host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name in _LOCAL_NAMES or _is_address(name):
            return self._ask_system(host, *arguments, **options)
        self.refused.append(f"a question for the name {name!r} on the machine's own network")
        raise socket.gaierror(socket.EAI_AGAIN, self.refused[-1])


def _peer(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:
        return None


def _is_loopback(host: str) -> bool:
    """Connecting to the unspecified address leads to this machine, too."""
    if not _is_address(host):
        return host in _LOCAL_NAMES
    address = ipaddress.ip_address(host.partition("%")[0])
    return address.is_loopback or address.is_unspecified


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _namespace_of_this_thread() -> int | None:
    return os.stat("/proc/thread-self/ns/net").st_ino if sys.platform == "linux" else None


def _namespace_of(sock: socket.socket) -> int | None:
    """The inode of a socket's namespace (ioctl_ns(2), SIOCGSKNS); None where one may not ask, which is so for
    the machine's own if one is not its administrator."""
    if sys.platform != "linux":
        return None
    import fcntl

    try:
        descriptor = fcntl.ioctl(sock, _SIOCGSKNS, 0)
    except OSError:
        return None
    try:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
