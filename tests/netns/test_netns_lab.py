"""Scenarios as network namespaces: they count hops and delays as drawn, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self

import pytest
from conftest import tool
from heldspaces import held, processes_in

from nattools.errors import CannotRun, UsageError
from nattools.lab.netns import nft, processes
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.netns.wiring import NOWHERE
from nattools.lab.scenario import INTERNET, FirewallSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError, UdpSocket
from nattools.net.system import linux
from nattools.net.system.namespace import entered
from nattools.protocols import stun

pytestmark = pytest.mark.netns

EI, AD = "endpoint-independent", "address-dependent"
APD = "address-and-port-dependent"
ECHO = Endpoint("11.201.0.2", 7777)
LIMIT_S = 60.0

KERNEL_NATS = [
    NatSpec(),
    NatSpec(filtering=EI),
    NatSpec(filtering=AD),
    NatSpec(mapping=APD),
    NatSpec(mapping=APD, range=(20000, 20100)),
    NatSpec(input="open"),
]
USERSPACE_NATS = [
    NatSpec(engine="tun"),
    NatSpec(mapping=AD, allocation="sequential"),
    NatSpec(hairpinning=True, filtering=EI),
]


def home(spec: NatSpec | FirewallSpec, **host: float) -> Scenario:
    routers = {"nat": {"home": spec}} if isinstance(spec, NatSpec) else {"firewall": {"home": spec}}
    alice = HostSpec(behind="home", **host)  # type: ignore[arg-type]
    return Scenario(title="one home", host={"alice": alice}, **routers)  # type: ignore[arg-type]


class Echo:
    """A UDP echo server on the scenario's server node, and questions to it from a host."""

    def __init__(self, lab: NetnsLab, host: str = "alice", target: Endpoint = ECHO) -> None:
        self.lab, self.host, self.target = lab, host, target
        self.sources: list[Endpoint] = []
        self.came: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        self.errors: asyncio.Queue[IcmpError] = asyncio.Queue()
        self.opened: list[UdpSocket] = []

    async def __aenter__(self) -> Self:
        self.server = await self.open("stun", host=self.target.host, port=self.target.port)
        self.server.on_datagram = self._echo
        await self.open_client()
        return self

    async def __aexit__(self, *error: object) -> None:
        for each in self.opened:
            each.close()

    async def open(self, node: str, **where: Any) -> UdpSocket:
        """A socket on any node, closed at the end."""
        self.opened.append(await self.lab.network(node).open_udp(family=self.target.family, **where))
        return self.opened[-1]

    async def open_client(self, **where: Any) -> None:
        """Ask from another socket from now on."""
        self.client = await self.open(self.host, **where)
        self.client.on_datagram = lambda data, source: self.came.put_nowait((data, source))
        self.client.on_icmp = self.errors.put_nowait

    def _echo(self, data: bytes, source: Endpoint) -> None:
        self.sources.append(source)
        self.server.send(data, source)

    async def ask(self, data: bytes = b"?", ttl: int | None = None) -> float:
        """The round trip time in seconds."""
        clock = asyncio.get_running_loop()
        began = clock.time()
        assert self.client.send(data, self.target, ttl=ttl) is None
        async with asyncio.timeout(LIMIT_S):
            assert (await self.came.get())[0] == data
        return clock.time() - began

    async def hop(self, ttl: int) -> str | None:
        """Who answers Time Exceeded to this TTL; None: the datagram arrives."""
        self.client.send(b"?", self.target, ttl=ttl)
        arrived = asyncio.ensure_future(self.came.get())
        expired = asyncio.ensure_future(self.errors.get())
        done, waiting = await asyncio.wait(
            {arrived, expired}, timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in waiting:
            task.cancel()
        assert done, f"nothing came back from TTL {ttl}"
        return None if arrived in done else expired.result().offender


async def binding(lab: NetnsLab, server: Endpoint) -> stun.Message:
    """Alice's STUN question to a server, and the answer."""
    client = await lab.network("alice").open_udp(family=4)
    came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    client.on_datagram = lambda data, source: came.set_result(data)
    client.send(stun.binding_request(stun.new_transaction_id()), server)
    try:
        async with asyncio.timeout(LIMIT_S):
            return stun.decode(await came)
    finally:
        client.close()


@pytest.mark.parametrize("spec", [*KERNEL_NATS, *USERSPACE_NATS, FirewallSpec(), FirewallSpec(filtering=AD)])
def test_datagrams_pass_every_kind_of_router(spec: NatSpec | FirewallSpec) -> None:
    async def main() -> list[Endpoint]:
        async with Echo(lab) as echo:
            await echo.ask()
            return echo.sources

    with NetnsLab(home(spec), start_servers=False) as lab:
        assert bool(lab.engines) == (spec in USERSPACE_NATS)
        [source] = lab.run(main)
    assert source.host == ("11.151.0.2" if isinstance(spec, FirewallSpec) else "11.1.0.2")
    if isinstance(spec, NatSpec) and spec.range is not None:
        assert spec.range[0] <= source.port <= spec.range[1]


@pytest.mark.parametrize(("engine", "arrives"), [("kernel", (10_000, 1000)), ("tun", (1000, None))])
def test_a_batch_is_cut_only_where_a_program_reads_it(
    engine: Literal["kernel", "tun"], arrives: tuple[int, int | None]
) -> None:
    with NetnsLab(home(NatSpec(engine=engine)), start_servers=False) as lab:
        with entered(lab.network_path("stun")):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with entered(lab.network_path("alice")):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with server, client:
            server.bind(ECHO)
            server.settimeout(LIMIT_S)
            assert linux.collect_segments(server)
            client.sendmsg([bytes(10_000)], linux.segmented(1000), 0, ECHO)
            data, ancillary, _, _ = server.recvmsg(65_536, 64)
    assert (len(data), linux.segment_size(ancillary)) == arrives


@pytest.mark.parametrize("spec", [NatSpec(ipv6="firewall"), NatSpec(ipv6="firewall", engine="tun")])
def test_ipv6_passes_untranslated(spec: NatSpec) -> None:
    async def main() -> list[Endpoint]:
        async with Echo(lab, target=Endpoint("2a10:c9::2", 7777)) as echo:
            await echo.ask()
            return echo.sources

    with NetnsLab(home(spec), start_servers=False) as lab:
        assert [source.host for source in lab.run(main)] == ["2a10:1:0:1::2"]


@pytest.mark.parametrize("engines", [("kernel", "tun"), ("tun", "kernel"), ("tun", "tun")])
def test_every_router_is_one_hop_and_answers_from_its_near_side(engines: tuple[str, str]) -> None:
    scenario = Scenario(
        title="a flat behind a provider's NAT",
        nat={
            "isp": NatSpec(address="100.64.0.0/10", engine=engines[0]),  # type: ignore[arg-type]
            "flat": NatSpec(behind="isp", engine=engines[1]),  # type: ignore[arg-type]
        },
        host={"alice": HostSpec(behind="flat")},
    )

    async def main() -> list[str | None]:
        async with Echo(lab) as echo:
            return [await echo.hop(ttl) for ttl in range(1, 5)]

    with NetnsLab(scenario, start_servers=False) as lab:
        assert lab.run(main) == ["10.0.2.1", "100.64.0.1", "11.1.0.1", None]


def test_several_machines_share_a_segment_whatever_their_links() -> None:
    hosts = {"alice": HostSpec(behind="home"), "bob": HostSpec(behind="home", delay_ms=5)}
    scenario = Scenario(title="two in one home", nat={"home": NatSpec()}, host=hosts)

    async def main() -> None:
        for host in hosts:
            async with Echo(lab, host) as echo:
                await echo.ask()
                alice = await echo.open("alice", port=5000)
                bob = await echo.open("bob")
                heard: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
                alice.on_datagram = lambda data, source, heard=heard: heard.set_result(source)  # type: ignore[misc]
                bob.send(b"hello", Endpoint("10.0.1.2", 5000))
                async with asyncio.timeout(LIMIT_S):
                    assert (await heard).host == "10.0.1.3"

    with NetnsLab(scenario, start_servers=False) as lab:
        lab.run(main)


@pytest.mark.tun
def test_a_host_with_two_providers_uses_the_one_it_is_told_to() -> None:
    scenario = Scenario(
        title="two providers, one of them a VPN",
        nat={"dsl": NatSpec(), "vpn": NatSpec(mapping=AD)},
        host={"alice": HostSpec(behind=("dsl", "vpn"), vpn=("vpn",))},
    )

    async def main() -> list[str]:
        async with Echo(lab) as echo:
            await echo.ask()
            for where in ({"interface": "tun1"}, {"host": "10.0.2.2"}):
                await echo.open_client(**where)
                await echo.ask()
            return [source.host for source in echo.sources]

    with NetnsLab(scenario, start_servers=False) as lab:
        assert lab.run(main) == ["11.1.0.2", "11.2.0.2", "11.2.0.2"]
        kinds = {each.name: each.kind for each in lab.network("alice").interfaces()}
    assert kinds["tun1"] == "vpn"


def test_delay_is_as_drawn_and_adds_no_hop() -> None:
    async def main() -> tuple[list[float], str | None]:
        async with Echo(lab) as echo:
            times = [await echo.ask() for _ in range(5)]
            while min(times) >= 0.080 and len(times) < 100:  # a busy machine adds to it, and never takes away
                times.append(await echo.ask())
            return times, await echo.hop(2)

    with NetnsLab(home(NatSpec(delay_ms=20), delay_ms=10), start_servers=False) as lab:
        times, second = lab.run(main)
    assert 0.060 <= min(times) < 0.080
    assert second == "11.1.0.1"


def test_loss_is_as_drawn() -> None:
    async def main() -> int:
        async with Echo(lab) as echo:
            arrived: list[bytes] = []
            ended = asyncio.Event()
            echo.server.on_datagram = lambda data, source: arrived.append(data) if data else ended.set()
            for number in range(400):
                echo.client.send(number.to_bytes(2, "big"), ECHO)
            async with asyncio.timeout(LIMIT_S):
                while not ended.is_set():  # what comes after them overtakes none, and may be lost too
                    echo.client.send(b"", ECHO)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), 0.05)
            return len(arrived)

    with NetnsLab(home(NatSpec(loss=0.25)), start_servers=False) as lab:
        assert 250 <= lab.run(main) <= 350  # 300 expected, standard deviation 8.7: 1 in 100,000,000


def test_servers_answer_as_soon_as_the_lab_is_up() -> None:
    scenario = Scenario(
        title="two servers",
        nat={"home": NatSpec()},
        host={"alice": HostSpec(behind="home")},
        server={"stun": ServerSpec(), "plain": ServerSpec(kind="plain", addresses=1)},
    )

    async def main() -> list[Endpoint | None]:
        servers = (Endpoint("11.201.0.2", 3478), Endpoint("11.202.0.2", 3478))
        return [(await binding(lab, server)).mapped for server in servers]

    with NetnsLab(scenario) as lab:
        mapped = lab.run(main)
    assert [each.host for each in mapped if each] == ["11.1.0.2", "11.1.0.2"]


@pytest.mark.interop("turnserver")
def test_coturn_is_a_server_like_any_other() -> None:
    scenario = home(NatSpec())
    scenario.server["stun"] = ServerSpec(program="coturn")
    with NetnsLab(scenario) as lab:
        answer = lab.run(lambda: binding(lab, Endpoint("11.201.0.2", 3478)))
    assert answer.other_address == Endpoint("11.201.0.3", 3479)


def test_udp_may_be_blocked_and_ports_closed() -> None:
    async def main() -> list[bool]:
        async with Echo(lab, target=Endpoint("11.201.0.2", 53)) as dns, Echo(lab) as other:
            for echo, arrives in zip((dns, other), passes, strict=True):
                echo.client.send(b"?", echo.target)
                with suppress(TimeoutError):
                    await asyncio.wait_for(echo.came.get(), LIMIT_S if arrives else 0.3)
            return [bool(dns.sources), bool(other.sources)]

    for spec, passes in (
        (NatSpec(udp="blocked"), [False, False]),
        (NatSpec(open_ports=("udp/53",)), [True, False]),
        (NatSpec(open_ports=("udp/53",), engine="tun"), [True, False]),
    ):
        with NetnsLab(home(spec), start_servers=False) as lab:
            assert lab.run(main) == passes


@pytest.mark.parametrize("spec", [NatSpec(lifetime_s=1), NatSpec(lifetime_s=1, filtering=EI)])
def test_the_kernels_mappings_end_after_their_lifetime(spec: NatSpec) -> None:
    async def main() -> bool:
        async with Echo(lab) as echo:
            await echo.ask()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(echo.came.get(), 1.5)
            echo.server.send(b"late", echo.sources[0])
            with suppress(TimeoutError):
                return bool(await asyncio.wait_for(echo.came.get(), 0.3))
            return False

    with NetnsLab(home(spec), start_servers=False) as lab:
        assert lab.run(main) is False


def test_nft_accepts_every_ruleset() -> None:
    specs: list[NatSpec | FirewallSpec] = []
    for filtering in (EI, AD, APD):
        for ports in (None, (), ("tcp/443", "udp/53")):
            common = {"filtering": filtering, "open_ports": ports, "ipv6": "open"}
            specs += [NatSpec(**common), FirewallSpec(udp="blocked", **common)]  # type: ignore[arg-type]
    specs += [NatSpec(mapping=APD, range=(2000, 3000), answers_ttl=False, ipv6="firewall")]
    with NetnsLab(home(NatSpec()), start_servers=False) as lab:
        for spec in specs:
            for translate in (True, False):
                text = nft.ruleset(spec, translate=translate)
                check = lab.popen(
                    "alice",
                    [str(tool("nft")), "-c", "-f", "-"],
                    stdin=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                _, complaint = check.communicate(text)
                assert check.returncode == 0, f"{complaint}\n{text}"


def test_the_machines_own_network_is_neither_linked_nor_touched() -> None:
    before = {name for _, name in socket.if_nameindex()}
    with NetnsLab(home(NatSpec(delay_ms=1)), start_servers=False) as lab:
        added = {name for _, name in socket.if_nameindex()} - before
        for node in lab.layout.nodes:
            own = {port.interface for port in lab.layout.ports_of(node)} | {"lo"}
            own |= {NOWHERE} if node == INTERNET else set()
            assert {each.name for each in lab.network(node).interfaces()} == own
            assert not added & own  # another program may make some of its own meanwhile


def test_an_unknown_node_is_a_usage_error() -> None:
    with NetnsLab(home(NatSpec()), start_servers=False) as lab, pytest.raises(UsageError, match="alice"):
        lab.network("nobody")


def test_a_kernel_router_that_cannot_be_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="hairpins"):
        NetnsLab(home(NatSpec(engine="kernel", hairpinning=True)))


def test_a_program_that_does_not_exist_cannot_run() -> None:
    with NetnsLab(home(NatSpec()), start_servers=False) as lab, pytest.raises(CannotRun, match="no-such"):
        lab.popen("alice", ["no-such-program"])


# --- nothing stays behind


def test_an_exception_leaves_nothing_behind() -> None:
    descriptors = set(os.listdir("/proc/self/fd"))
    with ExitStack() as stack:
        with suppress(ZeroDivisionError), NetnsLab(home(NatSpec(delay_ms=1))) as lab:
            spaces = stack.enter_context(held(map(lab.network_path, lab.layout.nodes)))
            lab.popen("alice", ["sh", "-c", "sleep 100 & sleep 100"])
            raise ZeroDivisionError
        assert not processes_in(spaces)
    assert set(os.listdir("/proc/self/fd")) == descriptors


OWNER = """
import subprocess, sys
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
scenario = Scenario(title="t", nat={"home": NatSpec(delay_ms=1)}, host={"alice": HostSpec(behind="home")})
with NetnsLab(scenario) as lab:
    quiet = subprocess.DEVNULL
    lab.popen("alice", ["sh", "-c", "sleep 100 & sleep 100"], stdin=quiet, stdout=quiet, stderr=quiet)
    import os
    own = str(os.getpid())
    print(*(space.path.replace("self", own) for space in lab._namespaces.values()), flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """Another process with a lab that is up, and the numbers of its namespaces."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        with held(process.stdout.readline().split()) as spaces:
            assert spaces
            yield process, spaces
    finally:
        process.kill()
        process.communicate()
        processes.sweep()


def test_ctrl_c_leaves_nothing_behind() -> None:
    with owner() as (process, spaces):
        assert processes_in(spaces)
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)
        assert not processes_in(spaces)


def test_after_a_kill_the_next_lab_ends_what_was_left() -> None:
    with owner() as (process, spaces):
        inside = processes_in(spaces)
        assert inside
        handles = [os.pidfd_open(pid) for pid in inside]
        process.kill()
        process.wait(LIMIT_S)
        with NetnsLab(home(NatSpec()), start_servers=False):
            for handle in handles:
                assert select.select([handle], [], [], LIMIT_S)[0], "a process survived"
                os.close(handle)
            assert not processes_in(spaces)


def test_what_belongs_to_a_living_lab_is_not_swept() -> None:
    with owner() as (_, spaces):
        inside = processes_in(spaces)
        processes.sweep()
        assert inside <= processes_in(spaces)


UNPRIVILEGED = """
import ctypes, os, sys
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab import scenarioservers
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
import asyncio, nattools.net.system.hostnetwork, pyroute2.iproute.linux
from nattools.model.endpoint import Endpoint

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable again, as any process is that nobody started

async def main():
    client = await lab.network("alice").open_udp(family=4)
    came = asyncio.get_running_loop().create_future()
    client.on_datagram = lambda data, source: came.set_result(data)
    client.send(b"\\0\\1\\0\\0\\x21\\x12\\xa4\\x42" + bytes(12), Endpoint("11.201.0.2", 3478))
    return await asyncio.wait_for(came, 20)

scenario = Scenario(title="t", nat={"home": NatSpec(delay_ms=1), "k": NatSpec(), "e": NatSpec(engine="tun")},
    host={"alice": HostSpec(behind="home"), "bob": HostSpec(behind="k"), "carol": HostSpec(behind="e")})
with NetnsLab(scenario) as lab:
    print("answered", len(lab.run(main)) > 20)
"""


def test_without_root_it_works_where_user_namespaces_are_allowed() -> None:
    if subprocess.run(unprivileged("unshare -Urn true"), check=False, capture_output=True).returncode:
        pytest.skip("unprivileged user namespaces are not allowed here")
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=180,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("answered True", 0), done.stderr


def test_root_of_a_user_namespace_alone_has_labs_too() -> None:
    """As in a container that shares the machine's network: there is no way back into that."""
    command = [
        "unshare",
        "-Ur",
        sys.executable,
        "-m",
        "nattools",
        "lab",
        "exec",
        "open",
        "--",
        "ip",
        "-br",
        "link",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {line.split()[0].partition("@")[0] for line in done.stdout.splitlines()} == {"lo", "eth0"}


def unprivileged(command: str) -> list[str]:
    """A command as it runs without root."""
    if os.geteuid() != 0:
        return command.split()
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command.split()]
