"""The programs that a lab made of network namespaces runs: nft, nattools' own servers, coturn."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from nattools.errors import CannotRun
from nattools.lab.layout import Layout
from nattools.lab.scenario import MapperSpec, NatSpec, ServerSpec
from nattools.net.base import Network
from nattools.net.namespace import enter

# where Debian has them, which is not on every user's PATH
_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_POLL_S = 0.005


def find(program: str, package: str) -> str:
    """The path of a program. CannotRun names Debian's package."""
    found = shutil.which(program, path=_PLACES)
    if found is None:
        raise CannotRun(f"the lab needs {program}", f"Install it: apt install {package}")
    return found


def start_nft(ruleset: str) -> subprocess.Popen[str]:
    """Begin to load a ruleset into the namespace that this thread is in."""
    process = subprocess.Popen(
        [find("nft", "nftables"), "-f", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.stdin is not None:
        process.stdin.write(ruleset)
        process.stdin.close()
        process.stdin = None
    return process


def finish_nft(router: str, process: subprocess.Popen[str]) -> None:
    """Wait until the ruleset is loaded. CannotRun with nft's words if it is not."""
    _, complaint = process.communicate()
    if process.returncode != 0:
        first = complaint.strip().splitlines()[:1]
        raise CannotRun(f"nft refused the rules of {router!r}: {''.join(first) or 'no reason given'}")


def server_main(
    network: Network, spec: ServerSpec, addresses: tuple[str, ...], ready: int
) -> Callable[[], None]:
    """What a server's process runs: it serves for ever, and writes a byte to `ready` once it does."""
    import asyncio

    from nattools.lab import servers

    async def serve() -> None:
        running = await servers.start(network, spec, addresses)
        os.write(ready, b"1")
        os.close(ready)
        await asyncio.Event().wait()
        del running

    return lambda: asyncio.run(serve())


def router_main(
    network: Network,
    path: str,
    layout: Layout,
    router: str,
    spec: tuple[NatSpec, MapperSpec],
    ready: int,
) -> Callable[[], None]:
    """What a fake router's process runs, in the router's namespace for good: it makes mappings for ever, and
    writes a byte to `ready` once it listens."""
    import asyncio

    from nattools.lab.nftforwards import Runner
    from nattools.lab.routers.simulated import families, start_fake

    async def serve() -> None:
        kernel = Runner(find("nft", "nftables"))
        running = [
            await start_fake(network, layout, router, spec, family, kernel.forwards())
            for family in families(spec[0])
        ]
        for each in running:
            each.announce()
        os.write(ready, b"1")
        os.close(ready)
        await asyncio.Event().wait()

    def main() -> None:
        enter(path)
        asyncio.run(serve())

    return main


def coturn_command(spec: ServerSpec, addresses: tuple[str, ...]) -> list[str]:
    """Debian's turnserver as a STUN server alone, without any file of its own."""
    command = [find("turnserver", "coturn"), "-n", "--stun-only", "--no-tls", "--no-dtls", "--no-cli"]
    if not spec.tcp:
        command.append("--no-tcp")
    for address in addresses:
        command += ["--listening-ip", address]
    command += ["--listening-port", str(spec.port), "--alt-listening-port", str(spec.port + 1)]
    return [*command, "--log-file", "stdout", "--pidfile", os.devnull]


def await_listener(process: subprocess.Popen[bytes], port: int, limit_s: float) -> None:
    """Wait until a process has a UDP socket bound to a port in its namespace. CannotRun if it never does."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until and process.poll() is None:
        if _is_bound(process.pid, port):
            return
        time.sleep(_POLL_S)
    raise CannotRun(f"{process.args!r} did not start")


def _is_bound(pid: int, port: int) -> bool:
    return any(_is_listed(f"/proc/{pid}/net/{name}", port) for name in ("udp", "udp6"))


def _is_listed(table: str, port: int) -> bool:
    with suppress(FileNotFoundError), open(table) as lines:
        return any(line.split()[1].endswith(f":{port:04X}") for line in lines if ":" in line.split()[1])
    return False
