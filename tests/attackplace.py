"""Where a `nattools serve` is attacked: its machine, and a world of many addresses at the other end of a
wire, in two network namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from nattools.model.endpoint import Family

SERVER: Final = "11.0.0.2"
SECOND: Final = "11.0.0.3"
SERVER6: Final = "2a10::2"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_WORLD = """
ip link set lo up
echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind
ip route add local 11.128.0.0/9 dev lo
ip -6 route add local 2a10:8000::/32 dev lo
ip link add out type veth peer name site
ip addr add 11.0.0.1/24 dev out; ip -6 addr add 2a10::1/64 dev out nodad; ip link set out up
echo ready; exec cat
"""
_SITE = f"""
ip link set lo up
ip addr add {SERVER}/24 dev site; ip addr add {SECOND}/24 dev site
ip -6 addr add {SERVER6}/64 dev site nodad; ip link set site up
ip route add default via 11.0.0.1; ip -6 route add default via 2a10::1
"""


class Place(NamedTuple):
    """Both ends, as `/proc/PID/ns/net`."""

    site: str
    world: str

    @staticmethod
    def inside(namespace: str, *command: str) -> list[str]:
        """The command line that runs a command there."""
        return ["nsenter", f"--net={namespace}", *command]


@contextmanager
def attack_place() -> Iterator[Place]:
    """Both namespaces, until the end of the block. It takes root."""
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    scripts = (_WORLD, "echo ready; exec cat")
    with contextlib.ExitStack() as stack:
        ends = []
        for script in scripts:
            process = subprocess.Popen(
                ["unshare", "--net", "sh", "-e", "-c", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
            stack.callback(_end, process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            ends.append(process.pid)
        place = Place(*(f"/proc/{pid}/ns/net" for pid in reversed(ends)))
        moved = place.inside(place.world, "ip", "link", "set", "site", "netns", str(ends[1]))
        subprocess.run(moved, check=True, env=environment)
        subprocess.run(place.inside(place.site, "sh", "-e", "-c", _SITE), check=True, env=environment)
        yield place


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait()
    process.stdout.close()


def source(kind: int, number: int = 0, family: Family = 4) -> str:
    """One of the addresses that this kind of attack has, each in a network of its own."""
    if family == 6:
        return f"2a10:8000:{kind:x}{number % 200:02x}::1"
    return f"11.{128 + kind}.{number % 200}.1"


async def connect(port: int, kind: int, number: int = 0) -> Streams:
    """From one of them."""
    return await asyncio.open_connection(SERVER, port, local_addr=(source(kind, number), 0))


async def visit(port: int, kind: int, number: int, *parts: bytes, stay_s: float = 0.2) -> bytes:
    """Connect, say this part by part, and go; the last that was heard."""
    heard = b""
    with contextlib.suppress(OSError):
        reader, writer = await connect(port, kind, number)
        try:
            for part in parts:
                writer.write(part)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(stay_s):
                        heard = await reader.read(4096)
        finally:
            writer.transport.abort()
    return heard


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def descriptors(pid: int) -> int:
    """How many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
