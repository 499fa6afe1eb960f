"""Routes are asked of the system once, until it says that they changed."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from nattools.net.system import hostnetwork, routes
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.routes import RouteCache


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that the hostnetwork network puts to the system."""
    asked: list[str] = []
    ask = hostnetwork.source_address

    def source_address(zones: Any, destination: Any, interface: str | None = None) -> str | None:
        asked.append(destination.host)
        return ask(zones, destination, interface)

    monkeypatch.setattr(hostnetwork, "source_address", source_address)
    return asked


def test_a_route_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask_often() -> None:
        network = HostNetwork()
        assert [network.route("127.0.0.1") for _ in range(100)] == [("lo", "127.0.0.1")] * 100
        network.route("127.0.0.2")

    asked = counted(monkeypatch)
    asyncio.run(ask_often())
    assert asked == ["127.0.0.1", "127.0.0.2"]


class Messages:
    """A netlink socket with these messages or errors in its queue."""

    def __init__(self) -> None:
        self.queue: list[bytes | OSError] = []

    def recv(self, size: int) -> bytes:
        if not self.queue:
            raise BlockingIOError
        first = self.queue.pop(0)
        if isinstance(first, OSError):
            raise first
        return first


@pytest.mark.parametrize("message", [b"a change", OSError(errno.ENOBUFS, "too many changes")])
def test_after_a_change_it_is_asked_for_again(
    message: bytes | OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages, answers = Messages(), iter([("a", "10.0.0.2"), None])
    monkeypatch.setattr(RouteCache, "_listen", lambda cache: messages)
    cache = RouteCache()

    def route() -> routes.Route | None:
        return cache.route("11.0.0.1", lambda _: next(answers))

    assert [route(), route()] == [("a", "10.0.0.2")] * 2
    messages.queue = [message, message]
    assert [route(), route()] == [None, None]
    assert messages.queue == []


def test_without_netlink_it_is_asked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    times, asked = iter([0.0, 1.0, routes.TRUSTED_S, 6.0]), []
    monkeypatch.setattr(routes, "_loop_time", lambda: next(times))
    cache = RouteCache()
    for _ in range(4):
        cache.route("11.0.0.1", asked.append)  # type: ignore[arg-type]
    assert len(asked) == 2


def test_where_netlink_is_refused_or_there_is_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", refuse)
    cache, asked = RouteCache(), []
    for _ in range(3):
        cache.route("11.0.0.1", asked.append)  # type: ignore[arg-type]
    assert len(asked) == 3
