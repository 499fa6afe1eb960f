"""The host network inside namespaces: client - router - server, joined only to each other."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.host import Gateway
from nattools.net.base import EchoReply, IcmpError, TcpFailure, TcpStream
from nattools.net.system.hostnetwork import HostNetwork

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("ip") is None,
        reason="needs Linux, root and the ip command",
    ),
]

LIMIT_S = 60.0
PREFIX = f"nthost{os.getpid()}"
SETUP = """\
link add eth0 netns {c} type veth peer name eth0 netns {r}
link add eth1 netns {r} mtu 1280 type veth peer name eth0 netns {s} mtu 1280
-n {c} link set lo up
-n {c} link set eth0 up
-n {r} link set lo up
-n {r} link set eth0 up
-n {r} link set eth1 up
-n {s} link set lo up
-n {s} link set eth0 up
-n {c} addr add 10.9.0.2/24 dev eth0
-n {c} addr add fd09::2/64 dev eth0 nodad
-n {r} addr add 10.9.0.1/24 dev eth0
-n {r} addr add fd09::1/64 dev eth0 nodad
-n {r} addr add 11.9.0.1/24 dev eth1
-n {r} addr add 2a10:9::1/64 dev eth1 nodad
-n {s} addr add 11.9.0.2/24 dev eth0
-n {s} addr add 2a10:9::2/64 dev eth0 nodad
-n {c} route add default via 10.9.0.1 metric 7
-n {c} -6 route add default via fd09::1 metric 9
-n {s} route add 10.9.0.0/24 via 11.9.0.1
-n {s} -6 route add fd09::/64 via 2a10:9::1
-n {r} route add prohibit 11.9.1.0/24
-n {r} -6 route add prohibit 2a10:91::/64
-n {r} route add unreachable 11.9.2.0/24
-n {c} tuntap add wire mode tun
-n {c} link add span type bridge
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def await_service(spaces: dict[str, str]) -> None:
    """What is sent before the kernel has a cable in service is lost."""
    until = time.monotonic() + LIMIT_S
    for role, cables in (("c", 1), ("r", 2), ("s", 1)):
        while time.monotonic() < until:
            told = subprocess.run(
                ["ip", "-n", spaces[role], "-j", "addr", "show", "up"], capture_output=True, check=True
            )
            ready = [
                link["ifname"]
                for link in json.loads(told.stdout)
                if link.get("operstate") == "UP"
                and any(each.get("scope") == "link" for each in link["addr_info"])
            ]
            if len(ready) >= cables:
                break
            select.select((), (), (), 0.01)
        else:
            pytest.fail(f"the kernel brings no cable of {role} into service")


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, str]]:
    spaces = {role: f"{PREFIX}{role}" for role in "crs"}
    made = []
    try:
        for space in spaces.values():
            ip("netns", "add", space)
            made.append(space)
            # link-local addresses are usable at once
            ip("netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        for line in SETUP.splitlines():
            ip(*line.format(**spaces).split())
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            ip("netns", "exec", spaces["r"], "sysctl", "-qw", f"{name}=1")
        for name in ("net.ipv4.icmp_ratemask", "net.ipv6.icmp.ratelimit"):
            for role in "rs":  # a kernel otherwise sends a handful of errors and then one a second
                ip("netns", "exec", spaces[role], "sysctl", "-qw", f"{name}=0")
        await_service(spaces)
        yield spaces
    finally:
        for space in made:
            ip("netns", "delete", space)


@pytest.fixture
def client(names: dict[str, str]) -> HostNetwork:
    return HostNetwork(f"/run/netns/{names['c']}")


@pytest.fixture
def server(names: dict[str, str]) -> HostNetwork:
    return HostNetwork(f"/run/netns/{names['s']}")


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await main()

    asyncio.run(bounded())


async def error_after(
    network: HostNetwork, target: str, data: bytes, ttl: int | None = None, dont_fragment: bool = False
) -> IcmpError:
    """What ICMP error comes about one datagram."""
    family: Any = 6 if ":" in target else 4
    sock = await network.open_udp(family=family, dont_fragment=dont_fragment)
    errors: asyncio.Queue[IcmpError] = asyncio.Queue()
    sock.on_icmp = errors.put_nowait
    assert sock.send(data, Endpoint(target, 9000), ttl=ttl) is None
    error = await errors.get()
    sock.close()
    assert error.destination == Endpoint(target, 9000)
    return error


@pytest.mark.parametrize(
    ("family", "near", "far"), [(4, "10.9.0.2", "11.9.0.2"), (6, "fd09::2", "2a10:9::2")]
)
def test_datagrams_cross_the_router(
    client: HostNetwork, server: HostNetwork, family: Any, near: str, far: str
) -> None:
    async def main() -> None:
        there = await server.open_udp(family=family, host=far)
        here = await client.open_udp(family=family)
        seen: asyncio.Queue[Any] = asyncio.Queue()
        there.on_datagram = lambda data, source: seen.put_nowait((data, source))
        assert here.local.host == near
        assert here.send(b"hello", there.local) is None
        assert await seen.get() == (b"hello", here.local)
        here.close()
        there.close()

    run(main)


@pytest.mark.parametrize(
    ("target", "offender", "numbers"),
    [("11.9.0.2", "10.9.0.1", (11, 0)), ("2a10:9::2", "fd09::1", (3, 0))],
)
def test_time_exceeded(client: HostNetwork, target: str, offender: str, numbers: tuple[int, int]) -> None:
    async def main() -> None:
        error = await error_after(client, target, b"how far?", ttl=1)
        assert (error.kind, error.offender, error.quoted) == ("time-exceeded", offender, b"how far?")
        assert (error.icmp_type, error.icmp_code) == numbers

    run(main)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("11.9.0.2", "port-unreachable"),
        ("2a10:9::2", "port-unreachable"),
        ("11.9.1.1", "prohibited"),
        ("2a10:91::1", "prohibited"),
        ("11.9.2.1", "unreachable"),
    ],
)
def test_what_routers_and_hosts_refuse(client: HostNetwork, target: str, kind: str) -> None:
    async def main() -> None:
        error = await error_after(client, target, b"x")
        assert error.kind == kind

    run(main)


@pytest.mark.parametrize(("target", "offender"), [("11.9.0.2", "10.9.0.1"), ("2a10:9::2", "fd09::1")])
def test_too_big_for_the_second_link(client: HostNetwork, target: str, offender: str) -> None:
    async def main() -> None:
        for _ in range(2):  # what the kernel learned from the first must not stop the second
            error = await error_after(client, target, bytes(1400), dont_fragment=True)
            assert (error.kind, error.offender, error.mtu) == ("too-big", offender, 1280)

    run(main)


def test_routers_may_fragment_the_rest(client: HostNetwork, server: HostNetwork) -> None:
    async def main() -> None:
        there = await server.open_udp(family=4, host="11.9.0.2")
        here = await client.open_udp(family=4)
        size: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        there.on_datagram = lambda data, source: size.set_result(len(data))
        assert here.send(bytes(1400), there.local) is None
        assert await size == 1400
        here.close()
        there.close()

    run(main)


def test_no_route(server: HostNetwork) -> None:
    async def main() -> None:
        sock = await server.open_udp(family=4)
        assert sock.local.host == "11.9.0.2"
        assert sock.send(b"x", Endpoint("12.0.0.1", 9)) == "unreachable"
        assert server.route("12.0.0.1") is None
        result = await server.connect_tcp(Endpoint("12.0.0.1", 9), timeout_s=2)
        assert result == TcpFailure("unreachable", "network is unreachable")
        assert server.gateways() == ()
        sock.close()

    run(main)


@pytest.mark.parametrize(
    ("target", "outcome", "detail"),
    [
        ("11.9.0.2", "refused", "connection refused"),
        ("11.9.1.1", "prohibited", "ICMP type 3, code 13 from 10.9.0.1"),
        ("2a10:91::1", "prohibited", "ICMP type 1, code 1 from fd09::1"),
        ("11.9.2.1", "unreachable", "unreachable: ICMP type 3, code 1 from 10.9.0.1"),
    ],
)
def test_tcp_failures_have_their_reason(client: HostNetwork, target: str, outcome: Any, detail: str) -> None:
    async def main() -> None:
        result = await client.connect_tcp(Endpoint(target, 9), timeout_s=20)
        assert result == TcpFailure(outcome, detail)

    run(main)


def test_tcp_crosses_the_router(client: HostNetwork, server: HostNetwork) -> None:
    async def main() -> None:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        listener = await server.listen_tcp(family=6, host="2a10:9::2", on_stream=accepted.put_nowait)
        here = await client.connect_tcp(listener.local, timeout_s=20)
        assert not isinstance(here, TcpFailure)
        assert here.local.host == "fd09::2"
        there = await accepted.get()
        assert there.remote == here.local
        here.abort()
        assert await there.read() == b""
        there.close()
        listener.close()

    run(main)


def test_link_local_addresses_keep_their_zone(client: HostNetwork, names: dict[str, str]) -> None:
    async def main() -> None:
        router = HostNetwork(f"/run/netns/{names['r']}")
        own = next(
            address
            for item in router.interfaces()
            if item.name == "eth0"
            for address in item.addresses
            if address.startswith("fe80::")
        )
        assert own.endswith("%eth0")
        there = await router.open_udp(family=6, host=own)
        here = await client.open_udp(family=6)
        seen: asyncio.Queue[Endpoint] = asyncio.Queue()
        there.on_datagram = lambda data, source: seen.put_nowait(source)
        assert there.local.host == own
        assert here.send(b"x", there.local) is None
        source = await seen.get()
        assert source.host in next(i.addresses for i in client.interfaces() if i.name == "eth0")
        for sock in (here, there):
            sock.close()

    run(main)


def test_interfaces_and_gateways(client: HostNetwork) -> None:
    found = {item.name: item for item in client.interfaces()}
    assert set(found) == {"lo", "eth0", "wire", "span"}
    assert {name: item.kind for name, item in found.items()} == {
        "lo": "loopback",
        "eth0": "ethernet",
        "wire": "vpn",
        "span": "virtual",
    }
    assert found["eth0"].up
    assert found["eth0"].mtu == 1500
    assert found["eth0"].addresses[:2] == ("10.9.0.2", "fd09::2")
    assert not found["wire"].up
    assert client.gateways() == (
        Gateway(interface="eth0", family=4, address="10.9.0.1", metric=7),
        Gateway(interface="eth0", family=6, address="fd09::1", metric=9),
    )
    assert client.route("11.9.0.2") == ("eth0", "10.9.0.2")
    assert client.substrate == "netns"


def test_an_interface_that_cannot_carry_it(client: HostNetwork) -> None:
    async def main() -> None:
        sock = await client.open_udp(family=4, interface="eth0")
        assert sock.local.host == "10.9.0.2"
        assert sock.send(b"x", Endpoint("11.9.0.2", 9)) is None
        sock.close()
        with pytest.raises(CannotRun, match="wire has no IPv4 address"):
            await client.open_udp(family=4, interface="wire")

    run(main)


def test_a_namespace_that_is_not_there() -> None:
    with pytest.raises(CannotRun, match="no network namespace"):
        HostNetwork("/run/netns/nosuch").interfaces()


def test_a_route_that_changes_is_seen_at_once(client: HostNetwork, names: dict[str, str]) -> None:
    """It is asked for once, and again when the kernel tells of a change."""

    async def main() -> None:
        before = client.route("11.9.0.2")
        assert before == ("eth0", "10.9.0.2")
        ip("-n", names["c"], "addr", "add", "10.9.0.77/24", "dev", "eth0")
        ip("-n", names["c"], "route", "add", "11.9.0.2/32", "via", "10.9.0.1", "src", "10.9.0.77")
        try:
            assert client.route("11.9.0.2") == ("eth0", "10.9.0.77")
        finally:
            ip("-n", names["c"], "addr", "del", "10.9.0.77/24", "dev", "eth0")
        assert client.route("11.9.0.2") == before

    run(main)


@pytest.mark.parametrize("ping_groups", ["1 0", "0 0"], ids=["raw", "ping socket"])
@pytest.mark.parametrize(("server_at", "core"), [("11.9.0.2", "10.9.0.1"), ("2a10:9::2", "fd09::1")])
def test_echo_requests(
    client: HostNetwork, names: dict[str, str], ping_groups: str, server_at: str, core: str
) -> None:
    """By raw sockets and by ping sockets: replies, errors, and each hears its own alone."""
    setting = f"net.ipv4.ping_group_range={ping_groups}"
    subprocess.run(["ip", "netns", "exec", names["c"], "sysctl", "-qw", setting], check=True)
    family: Any = 6 if ":" in server_at else 4

    async def main() -> None:
        heard: list[asyncio.Queue[Any]] = [asyncio.Queue(), asyncio.Queue()]
        sockets = [await client.open_icmp(family=family) for _ in heard]
        for socket, queue in zip(sockets, heard, strict=True):
            socket.on_reply = queue.put_nowait
            socket.on_icmp = queue.put_nowait
        for number, socket in enumerate(sockets):
            assert socket.send_echo(server_at, number, b"ping") is None
            assert socket.send_echo(server_at, 100 + number, b"far", ttl=1) is None
        for number, queue in enumerate(heard):
            both = sorted([await queue.get(), await queue.get()], key=lambda each: each.sequence)
            assert both[0] == EchoReply(server_at, number, b"ping", 63)
            assert (both[1].kind, both[1].offender) == ("time-exceeded", core)
            assert (both[1].sequence, both[1].quoted) == (100 + number, b"far")
            assert queue.empty()
        for socket in sockets:
            socket.close()

    run(main)


WITHOUT_PRIVILEGE = """
import asyncio, os, socket, sys
from nattools.errors import CannotRun
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.namespace import enter
enter(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
network = HostNetwork()
print(network.missing("icmp"), network.missing("raw-packets"), sep="; ")
try:
    asyncio.run(network.open_icmp(family=4))
except CannotRun as error:
    print(error.remedy)
"""


def test_without_privilege_it_says_what_is_missing(names: dict[str, str]) -> None:
    subprocess.run(
        ["ip", "netns", "exec", names["c"], "sysctl", "-qw", "net.ipv4.ping_group_range=1 0"], check=True
    )
    command = [sys.executable, "-c", WITHOUT_PRIVILEGE, f"/run/netns/{names['c']}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    missing, advice = done.stdout.splitlines()
    assert missing == (
        "not permitted to open ICMP sockets: operation not permitted; "
        "not permitted to send crafted packets: operation not permitted"
    )
    assert "ping_group_range" in advice
    assert "CAP_NET_RAW" in advice
