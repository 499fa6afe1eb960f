"""Other people's TURN clients at `nattools serve --relay` on loopback: coturn's, aioice's and pion's."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from aioice import turn
from certificates import certificate
from conftest import tool
from served import serving

pytestmark = pytest.mark.interop

HOST = "127.0.0.1"
SECRET = "shared with whoever hands out credentials"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    options = ["--relay", "--turn-user", "user:pass", "--turn-secret", SECRET]
    with serving(
        "--listen", HOST, "--listen", "::1", *options, "--tls-cert", cert, "--tls-key", key
    ) as server:
        yield server.port


def uclient(port: int, *options: str) -> str:
    """What coturn's client says; it starts two clients, or pairs of them, that talk to each other."""
    path = tool("turnutils_uclient")
    if path is None:
        pytest.skip("turnutils_uclient is not installed")
    command = [path, "-p", str(port), "-n", "5", "-z", "1", *options, HOST]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=180)
    return finished.stdout + finished.stderr


COTURNS = (
    "-y -g",
    "-y -s -G",
    "-y -t -D",
    "-T",
    "-T -S",
    "-y -x",
    "-y -Z",
    "-y -M",
    "-y -o http://a -a 1000",
)


@pytest.mark.parametrize("options", COTURNS)
def test_coturns_client(port: int, options: str) -> None:
    """Channels, Send, padding, DONT-FRAGMENT, TCP, TLS, TCP to peers (RFC 6062); an IPv6 address, one of each
    family; what it asks for besides and serve has not: mobility (RFC 8016), ORIGIN, BANDWIDTH."""
    said = uclient(port, "-u", "user", "-w", "pass", *options.split())
    assert "Total lost packets 0 (" in said, said


def test_coturns_client_within_tls(port: int) -> None:
    """It reads one TLS record each time that something comes, so of those that come together it loses the
    rest, with coturn as the relay too."""
    said = uclient(port, "-u", "user", "-w", "pass", "-y", "-t", "-S")
    assert int(re.findall(r"tot_recv_msgs=(\d+)", said)[-1]) > 0, said


def test_coturns_client_over_dtls_is_told_at_once(port: int) -> None:
    """It waited for a minute for an answer."""
    said = uclient(port, "-u", "user", "-w", "pass", "-y", "-S")
    assert "handshake failure" in said, said


def test_coturns_client_with_time_limited_credentials(port: int) -> None:
    assert "Total lost packets 0 (" in uclient(port, "-W", SECRET, "-u", "somebody", "-y")
    refused = uclient(port, "-W", "another secret", "-u", "somebody", "-y")
    assert "Total lost packets" not in refused
    assert "Cannot complete Allocation" in refused


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.arrived.put_nowait((data, address))


async def _relayed(port: int, transport: str) -> tuple[Any, Any, tuple[str, int]]:
    made, inbox = await turn.create_turn_endpoint(
        _Inbox, server_addr=(HOST, port), username="user", password="pass", transport=transport
    )
    return made, inbox, made.get_extra_info("sockname")


async def _to_and_fro(port: int, transport: str) -> None:
    async with asyncio.timeout(60):
        alice, alices, here = await _relayed(port, transport)
        bob, bobs, there = await _relayed(port, transport)
        bob.sendto(b"open", here)
        try:
            # both let the other in; what comes before that is dropped, so it is said again
            await _until_heard(alice, b"hello", there, bobs, here)
            await _until_heard(bob, b"back", here, alices, there)
        finally:
            alice.close()
            bob.close()


async def _until_heard(
    sender: Any, data: bytes, to: tuple[str, int], inbox: _Inbox, source: tuple[str, int]
) -> None:
    found = None
    while found != (data, source):
        sender.sendto(data, to)
        try:
            found = await asyncio.wait_for(inbox.arrived.get(), 0.2)
        except TimeoutError:
            continue


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_aioice(port: int, transport: str) -> None:
    asyncio.run(_to_and_fro(port, transport))


@pytest.mark.interop("pionclient")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_pion(port: int, transport: str) -> None:
    """`pionclient/main.go`: two clients, and 20 datagrams there and back."""
    program = tool("pionclient")
    assert program is not None
    command = [program, f"{HOST}:{port}", transport, "user", "pass"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("relayed")
