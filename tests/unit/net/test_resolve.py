"""Names to addresses. The system's resolver is replaced: no test asks a name server."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from nattools.net import resolve
from nattools.net.system import nameservers
from nattools.net.system.hostnetwork import HostNetwork


def ask(network: HostNetwork, name: str, family: Any = None) -> tuple[str, ...] | str:
    return asyncio.run(network.resolve(name, family))


@pytest.fixture(autouse=True)
def _no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("the system's resolver was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def answer(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def found(name: str, port: None, family: int, kind: int) -> list[Any]:
        return [(None, kind, 0, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2A10:0::0001", "2a10::1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_is_itself(text: str, canonical: str) -> None:
    assert ask(HostNetwork(), text) == (canonical,)


def test_an_address_of_the_other_family() -> None:
    assert ask(HostNetwork(), "127.0.0.1", 6) == "127.0.0.1 has no IPv6 address"


def test_the_table_comes_first() -> None:
    network = HostNetwork(names={"stun.lab": ("11.0.0.1", "2a10::1")})
    assert ask(network, "STUN.lab.") == ("11.0.0.1", "2a10::1")
    assert ask(network, "stun.lab", 6) == ("2a10::1",)


def test_a_namespace_never_asks_the_system() -> None:
    network = HostNetwork("/run/netns/nosuch", names={"only4": ("11.0.0.1",)})
    assert ask(network, "only4", 6) == "only4 has no IPv6 address"
    assert ask(network, "example.org") == "there is no host example.org in this lab"


def test_the_system_s_order_is_kept_without_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "2a10::1", "11.0.0.1", "2a10::1")
    assert ask(HostNetwork(), "example.org") == ("2a10::1", "11.0.0.1")
    assert ask(HostNetwork(), "example.org", 4) == ("11.0.0.1",)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "there is no host nosuch"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "no name server answered for nosuch"),
        (socket.gaierror(socket.EAI_FAIL, "It failed"), "nosuch cannot be looked up: It failed"),
        (UnicodeError("label empty or too long"), "'nosuch' cannot be looked up: label empty or too long"),
    ],
)
def test_failures_are_sentences(monkeypatch: pytest.MonkeyPatch, error: Exception, says: str) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(nameservers, "name_servers", lambda: ("10.0.0.1",))
    assert ask(HostNetwork(), "nosuch") == says


@pytest.mark.skipif(sys.platform != "linux", reason="resolv.conf(5)")
@pytest.mark.parametrize("text", [None, "", "# nothing here\noptions edns0\n", "nameserver\n"])
def test_where_no_name_server_is_configured_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    def fail(*arguments: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

    file = tmp_path / "resolv.conf"
    if text is not None:
        file.write_text(text)
    read = nameservers.name_servers
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(nameservers, "name_servers", lambda: read(file))
    assert ask(HostNetwork(), "nosuch") == "no name server answered for nosuch: /etc/resolv.conf names none"


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*arguments: Any) -> list[Any]:
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(nameservers, "name_servers", lambda: ("10.0.0.1",))
    try:
        says = asyncio.run(resolve.look_up("slow.example", None, 0.05))
    finally:
        release.set()
    assert says == "no name server answered for slow.example in 0.05 s"


def test_an_answer_of_thousands_of_addresses_is_no_list_of_whom_to_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thousands = [f"11.9.{number // 250}.{number % 250}" for number in range(4000)]
    answer(monkeypatch, "2a10::1", *thousands, "2a10::2")
    network = HostNetwork()
    assert ask(network, "server.example") == ("2a10::1", *thousands[:16], "2a10::2")
    assert ask(network, "server.example", 6) == ("2a10::1", "2a10::2")
