"""The processes of a lab made of network namespaces, and their end (Linux).

A program that was run in a lab may have children of its own, which the end of its parent does not reach: all
of them carry the lab's mark in their environment. By that the lab's end finds them, after a kill -9 the guard
of its programs (see `lab.netns.children`), and if that was killed as well the next lab's beginning.
Namespaces need no such care: they are held by open file descriptors alone and vanish with the last process
inside.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from nattools.errors import CannotRun
from nattools.lab.layout import Layout
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, ServerSpec
from nattools.net.base import Network
from nattools.net.system.namespace import enter
from nattools.protocols import routeradvert
from nattools.protocols.nat64 import Nat64Prefix

MARK = "NATTOOLS_LAB"
_KILL_LIMIT_S = 30.0
START_LIMIT_S = 60.0
"""For how long a program of the lab may take to begin to serve."""


def mark() -> str:
    """What names this process among all that ever run: its id, its start, and the space of its id."""
    pid = os.getpid()
    return f"{pid}-{_start_time(pid)}-{_pid_space()}"


def sweep() -> None:
    """End what labs have left behind whose own process is dead."""
    _end(lambda owner: not _is_alive(owner))


def kill_marked(own: str) -> None:
    """End every process that carries this mark."""
    _end(lambda owner: owner == own)


def _end(chosen: Callable[[str], bool]) -> None:
    """Kill and await all marked processes that are `chosen`, and the children that they forked meanwhile."""
    until = time.monotonic() + _KILL_LIMIT_S
    while time.monotonic() < until:
        killed = [handle for pid, owner in _marked() if chosen(owner) for handle in _kill(pid)]
        if not killed:
            return
        for handle in killed:
            end = select.poll()  # select(2) knows no descriptor beyond 1,023
            end.register(handle, select.POLLIN)
            end.poll(max(0.0, until - time.monotonic()) * 1000)
            os.close(handle)


def _marked() -> Iterator[tuple[int, str]]:
    key = f"{MARK}=".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
            environment = file.read()
            found = next((v for v in environment.split(b"\0") if v.startswith(key)), None)
            if found is not None:
                yield int(entry), found[len(key) :].decode(errors="replace")


def _is_alive(owner: str) -> bool:
    """False only if the owner is known to be gone: one from another pid namespace counts as alive."""
    pid, _, rest = owner.partition("-")
    started, _, space = rest.partition("-")
    if not pid.isdigit() or space != _pid_space():
        return True
    return _start_time(int(pid)) == started


def _start_time(pid: int) -> str:
    """Clock ticks from boot to the start of a process (proc_pid_stat(5), field 22); "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _pid_space() -> str:
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _kill(pid: int) -> list[int]:
    """Kill a process; returns a descriptor that becomes readable when it is dead, if it was alive."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        except OSError:
            os.close(handle)
            raise
        return [handle]
    return []


def reap(program: subprocess.Popen[Any]) -> None:
    """Wait for the end of a program. `Popen.wait` would for ever, where a second Ctrl-C came between the two
    lines of an earlier one that take its lock and see to its release."""
    if program.returncode is None:
        with suppress(ChildProcessError):
            program.returncode = os.waitstatus_to_exitcode(os.waitpid(program.pid, 0)[1])


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
        raise CannotRun(f"nft rejected the rules of {router!r}: {''.join(first) or 'no reason given'}")


def server_main(
    network: Network, spec: ServerSpec, addresses: tuple[str, ...], ready: int
) -> Callable[[], None]:
    """What a server's process runs: it serves for ever, and writes a byte to `ready` once it does."""
    import asyncio

    from nattools.lab import scenarioservers

    async def serve() -> None:
        running = await scenarioservers.start(network, spec, addresses)
        os.write(ready, b"1")
        os.close(ready)
        await asyncio.Event().wait()
        del running

    return lambda: asyncio.run(serve())


def neighbour_main(network: Network, name: str, spec: HostSpec, ready: int) -> Callable[[], None]:
    """The main function of a host that has something running for the others on its network."""
    import asyncio

    from nattools.lab.lanhost import start_neighbour

    async def serve() -> None:
        running = await start_neighbour(network, name, spec)
        os.write(ready, b"1")
        os.close(ready)
        await asyncio.Event().wait()
        del running

    return lambda: asyncio.run(serve())


def await_ready(waiting: dict[int, str]) -> None:
    """Wait until each has written a byte to its descriptor, and close these. CannotRun names one that does
    not start."""
    until = time.monotonic() + START_LIMIT_S
    try:
        for descriptor, name in waiting.items():
            ready, _, _ = select.select([descriptor], (), (), max(0.0, until - time.monotonic()))
            if not ready or not os.read(descriptor, 1):
                raise CannotRun(f"the lab's server {name!r} did not start")
    finally:
        for descriptor in waiting:
            os.close(descriptor)


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

    from nattools.lab.netns.nft import Runner
    from nattools.lab.routers.fakerouter import families, start_fake

    async def serve() -> None:
        kernel = Runner(find("nft", "nftables"))
        running = [
            await start_fake(network, layout, router, spec, family, kernel.forwards())
            for family in families(layout, router)
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


def advertiser_main(sock: socket.socket, link: int, prefix: Nat64Prefix) -> Callable[[], None]:
    """What answers solicitations for ever, with the prefix of a NAT64; `sock` is a raw one for ICMPv6 in the
    router's namespace, `link` the index of its inner interface. A host whose link-local address is not ready
    yet asks from its global one, which names no interface to answer on."""
    message = routeradvert.advertisement(prefix, 1800)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, routeradvert.HOP_LIMIT)

    def main() -> None:
        while True:
            if sock.recv(2048)[:1] == routeradvert.SOLICITATION[:1]:
                sock.sendto(message, (routeradvert.ALL_NODES, 0, 0, link))

    return main


def coturn_command(spec: ServerSpec, addresses: tuple[str, ...]) -> list[str]:
    """Debian's turnserver without any file of its own; a STUN server alone, unless it is to relay."""
    command = [find("turnserver", "coturn"), "-n", "--no-tls", "--no-dtls", "--no-cli"]
    if spec.relay is None:
        command.append("--stun-only")
    else:
        command += ["--lt-cred-mech", "--realm", "lab", "--relay-ip", addresses[0]]
        command += [f"--user={name}:{password}" for name, password in spec.relay.users.items()]
    if not spec.tcp:
        command.append("--no-tcp")
    for address in addresses:
        command += ["--listening-ip", address]
    command += ["--listening-port", str(spec.port), "--alt-listening-port", str(spec.port + 1)]
    return [*command, "--log-file", "stdout", "--pidfile", os.devnull]


def await_listener(
    process: subprocess.Popen[bytes], port: int, limit_s: float, tables: tuple[str, ...] = ("udp", "udp6")
) -> None:
    """Wait until a process has a UDP socket bound to a port in its namespace, by one of the kernel's tables.
    CannotRun if it never does."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until and process.poll() is None:
        if _is_bound(process.pid, port, tables):
            return
        time.sleep(_POLL_S)
    raise CannotRun(f"{process.args!r} did not start")


def _is_bound(pid: int, port: int, tables: tuple[str, ...]) -> bool:
    return any(_is_listed(f"/proc/{pid}/net/{name}", port) for name in tables)


def _is_listed(table: str, port: int) -> bool:
    with suppress(FileNotFoundError), open(table) as lines:
        return any(line.split()[1].endswith(f":{port:04X}") for line in lines if ":" in line.split()[1])
    return False
