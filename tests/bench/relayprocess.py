"""Relays as processes of their own, one core each: that of `nattools serve`, and coturn."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from nattools.net.system.namespace import entered

LOOPBACK: Final = "127.0.0.1"
USER: Final = "user"
PASSWORD: Final = "pass"
TURNSERVER: Final = shutil.which("turnserver")
_SERVE: Final = """
import asyncio, sys
from nattools.net.eventloop import allow_many_files
from nattools.net.system.hostnetwork import HostNetwork
from nattools.server.relay.relayservice import RelayConfig
from nattools.server.serving import ServeConfig, serve
from nattools.server.relay.turnlimits import TurnLimits

async def main():
    most = 1 << 30
    limits = TurnLimits(
        allocations=most, allocations_per_user=most, allocations_per_source=most, octets=1e12,
        octets_per_user=1e12, challenge_rate=1e9, challenge_burst=1e9, total_challenge_rate=1e9,
        total_challenge_burst=1e9,
    )
    host, port = sys.argv[1], int(sys.argv[2])
    relay = RelayConfig(users={"user": "pass"}, limits=limits, ports=(20000, 65535))
    await serve(HostNetwork(), ServeConfig(addresses=(host,), port=port, alternate_port=None, relay=relay))
    await asyncio.Event().wait()

if sys.argv[3] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""
Spawn = Callable[..., subprocess.Popen[Any]]
"""As `subprocess.Popen`, perhaps in a namespace."""


class Place(NamedTuple):
    """Where a relay runs: its address, who starts it, and the namespace from which it can be asked."""

    host: str = LOOPBACK
    spawn: Spawn = subprocess.Popen
    asked_from: str | None = None


HERE: Final = Place()


class Relay(NamedTuple):
    """A relay's process, and where it listens."""

    pid: int
    server: tuple[str, int]


def free_port() -> int:
    """On loopback; in a namespace that was just made all are free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(place: Place, port: int, *command: str) -> Iterator[Relay]:
    """A STUN server that listens on that port, once it answers."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = place.spawn(
        ["prlimit", f"--nofile={files}:{files}", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_answers((place.host, port), place.asked_from)
        yield Relay(process.pid, (place.host, port))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(server: tuple[str, int], asked_from: str | None) -> None:
    with entered(asked_from):
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asker:
        asker.connect(server)
        asker.settimeout(0.1)
        for _ in range(200):
            with suppress(OSError):
                asker.send(bytes.fromhex("0001 0000 2112a442") + b"are-you-up??")
                asker.recv(2048)
                return
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle, suppress(TimeoutError):
                idle.bind((LOOPBACK, 0))
                idle.settimeout(0.1)
                idle.recv(1)
    pytest.fail("the server does not answer")


def ours(place: Place = HERE, loop: str = "asyncio") -> Any:
    """`nattools serve` with a relay and without limits, on that event loop."""
    port = free_port()
    return running(place, port, sys.executable, "-c", _SERVE, place.host, str(port), loop)


def coturn(folder: Path, place: Place = HERE) -> Any:
    """Debian's, with one thread."""
    port = free_port()
    options = (
        f"-n --no-tls --no-dtls --no-tcp --no-cli -m 1 -L {place.host} -E {place.host} -p {port} "
        f"--allow-loopback-peers --lt-cred-mech -u {USER}:{PASSWORD} -r bench "
        "--min-port 20000 --max-port 65535"
    ).split()
    files = ["--log-file", str(folder / "log"), "--pidfile", str(folder / "pid"), "-b", str(folder / "db")]
    return running(place, port, str(TURNSERVER), *options, *files)
