"""What happens in a scenario does the same to real interfaces, tables and processes as to the simulator."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from eventtables import event
from leftopen import LeftOpenError

from nattools.lab.backend import Backend, open_lab
from nattools.lab.netns.netnslab import NetnsLab, userspace_routers
from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import load, parse
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpFailure
from nattools.protocols.stun import binding_request, new_transaction_id
from nattools.trials.eventeffects import EventObserver, end_s, still_lab
from nattools.trials.viewfromoutside import stun_addresses, view_from_outside

pytestmark = [pytest.mark.netns, pytest.mark.again]

BACKENDS: tuple[Backend, Backend] = ("sim", "netns")
HOME = 'title = "t"\n[nat.home]\n{more}[nat.away]\n[host.alice]\nbehind = ["home", "away"]\n[server.stun]\n'
LIMIT_S = 60.0
Played = list[tuple[str, tuple[str, ...]]]
"""What happens, and what is seen of it."""


def behaves(now: str) -> str:
    """The NAT of home does so from then on."""
    return f'[[event]]\nat_s = 10\nnode = "home"\nwhat = "behaves"\nnow = {{ {now} }}\n'


def played(scenario: Scenario, backend: Backend) -> Played:
    """All that happens, with what the hosts see of it."""

    async def main() -> Played:
        return [(each.text, each.news) async for each in EventObserver(lab).effects(end_s(scenario))]

    with still_lab(scenario, backend, 0) as lab:
        return lab.run(main)


def on_both(scenario: Scenario) -> tuple[Played, Played]:
    """The same on both. A glance waits for 1.25 s, and a busy machine may answer later."""
    simulated, real = (played(scenario, backend) for backend in BACKENDS)
    for (_, wanted), (text, found) in zip(simulated, real, strict=True):
        missed = {each for each in found if "no answer" in each or "silent" in each} - set(wanted)
        if missed or set(found) < set(wanted):
            raise LeftOpenError(f"{text}: {found}, not {wanted}")
    return simulated, real


@pytest.mark.parametrize("name", ["changes", "loses-mappings", "roaming"])
def test_a_shipped_scenario_has_the_same_outcome_on_both(name: str) -> None:
    simulated, real = on_both(load(name))
    assert real == simulated
    assert sum(bool(news) for _, news in real) > 2


RANDOM = 'mapping = "address-and-port-dependent"\nallocation = "random"\n'
EVENTS = {
    "link of a host": event(at_s=10, node="alice", what="link-down")
    + event(at_s=20, node="alice", what="link-up"),
    "link of a router": event(at_s=10, node="home", what="link-down")
    + event(at_s=20, node="home", what="link-up"),
    "link of a server": event(at_s=10, node="stun", what="link-down")
    + event(at_s=20, node="stun", what="link-up"),
    "moved there and back": event(at_s=10, node="alice", what="moved", to="away")
    + event(at_s=20, node="alice", what="moved", to="home"),
    "server": event(at_s=10, node="stun", what="server-gone")
    + event(at_s=20, node="stun", what="server-back"),
    "restarted": event(at_s=10, node="home", what="restarted", down_s=5),
    "down when it is told to again": event(at_s=10, node="home", what="restarted", down_s=5)
    + event(at_s=12, node="home", what="restarted", down_s=5),
    "other ports": behaves('mapping = "address-and-port-dependent", allocation = "random"'),
    "nothing over UDP": behaves('udp = "blocked"'),
    "a portal": behaves('portal = "connections"'),
    "another mapping": behaves('mapping = "address-dependent", allocation = "sequential"'),
    "open to all": behaves('filtering = "endpoint-independent"')
    + event(at_s=20, node="home", what="table-lost"),
}


@pytest.mark.parametrize("engine", ["kernel", "tun"])
@pytest.mark.parametrize("what", EVENTS)
def test_each_kind_has_the_same_outcome_on_both(what: str, engine: str) -> None:
    scenario = parse(HOME.format(more=f'engine = "{engine}"\n') + EVENTS[what], "t.toml")
    if what in ("a portal", "another mapping") and engine == "kernel":
        scenario = parse(HOME.format(more="") + EVENTS[what], "t.toml")
        assert "home" in userspace_routers(scenario)  # the kernel could not do what comes later
    simulated, real = on_both(scenario)
    assert real == simulated
    assert any(news for text, news in real if text) != (what == "open to all")


DOWN_AND_UP = event(at_s=10, node="{0}", what="link-down") + event(at_s=20, node="{0}", what="link-up")
RESTART = event(at_s=30, node="{0}", what="restarted")
DRAWINGS = {
    "slow uplinks": (
        '[nat.home]\n[host.alice]\nbehind = "home"\ndelay_ms = 5\nrate_mbps = 10\n'
        + "[server.stun]\ndelay_ms = 3\n"
        + DOWN_AND_UP.format("alice")
        + DOWN_AND_UP.format("stun")
    ),
    "a slow router": (
        '[nat.home]\ndelay_ms = 5\n[host.alice]\nbehind = "home"\n[server.stun]\n'
        + DOWN_AND_UP.format("home")
        + RESTART.format("home")
    ),
    "a slow router of our own": (
        '[nat.home]\nengine = "tun"\ndelay_ms = 5\n[host.alice]\nbehind = "home"\n[server.stun]\n'
        + DOWN_AND_UP.format("home")
        + RESTART.format("home")
    ),
    "a firewall, and a machine on the internet": (
        '[firewall.fw]\nipv6 = "firewall"\n[host.alice]\nbehind = "fw"\n[host.bob]\n[server.stun]\n'
        + DOWN_AND_UP.format("fw")
        + RESTART.format("fw")
        + event(at_s=40, node="fw", what="table-lost")
        + DOWN_AND_UP.format("bob")
    ),
    "a tunnel": (
        '[nat.home]\n[nat.vpn]\nbehind = "home"\n[host.alice]\nbehind = ["vpn", "home"]\nvpn = ["vpn"]\n'
        + "[server.stun]\n"
        + event(at_s=10, node="alice", what="moved", to="home")
        + event(at_s=20, node="alice", what="link-up")
        + event(at_s=30, node="alice", what="link-down")
    ),
    "two routers, one behind the other": (
        '[nat.isp]\n[nat.home]\nbehind = "isp"\nipv6 = "firewall"\n[host.alice]\nbehind = "home"\n'
        + '[host.carol]\nbehind = "isp"\n[server.stun]\n'
        + DOWN_AND_UP.format("home")
        + RESTART.format("isp")
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.tun] if "tunnel" in name else []) for name in DRAWINGS]
)
def test_whatever_is_drawn_the_outcome_is_the_same_on_both(name: str) -> None:
    scenario = parse(f'title = "t"\n{DRAWINGS[name]}', "t.toml")
    simulated, real = on_both(scenario)
    assert real == simulated
    assert any(news for text, news in real if text)


@pytest.mark.parametrize("engine", ["kernel", "tun"])
def test_a_lost_table_gives_flows_other_ports(engine: str) -> None:
    more = RANDOM if engine == "kernel" else 'allocation = "random"\n'
    scenario = parse(HOME.format(more=more) + event(at_s=10, node="home", what="table-lost"), "t.toml")
    assert ("home" in userspace_routers(scenario)) == (engine == "tun")
    for each in on_both(scenario):
        assert each[1][1][:1] == ("alice's flow comes from another port",)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_kernel_that_behaves_otherwise_filters_otherwise(backend: Backend) -> None:
    """A stranger gets in after the change and not before."""
    change = behaves('filtering = "endpoint-independent"')
    scenario = parse(HOME.format(more="") + "[host.bob]\n" + change, "t.toml")

    server = Endpoint("11.201.0.2", 3478)

    async def reached(network: Network, stranger: Network) -> bool:
        socket, other = await network.open_udp(family=4), await stranger.open_udp(family=4)
        came: asyncio.Queue[Endpoint] = asyncio.Queue()
        socket.on_datagram = lambda data, source: came.put_nowait(source)
        heard = []
        for _ in range(3):
            # what the stranger said before that has arrived when the answer comes, or never will
            socket.send(binding_request(new_transaction_id()), server)
            async with asyncio.timeout(LIMIT_S):
                while heard[-1:] != [server]:
                    heard.append(await came.get())
            heard.append(Endpoint("11.1.0.2", socket.local.port))
            other.send(b"in", heard[-1])
        socket.close()
        other.close()
        return "11.101.0.2" in [each.host for each in heard]

    async def main() -> list[bool]:
        alice, bob = lab.network("alice"), lab.network("bob")
        before = await reached(alice, bob)
        await lab.events.step()
        return [before, await reached(alice, bob)]

    with still_lab(scenario, backend, 0) as lab:
        assert lab.run(main) == [False, True]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ipv6_goes_with_the_link_and_comes_back(backend: Backend) -> None:
    text = HOME.format(more='ipv6 = "firewall"\n') + "ipv6 = true\n"
    scenario = parse(
        text
        + event(at_s=10, node="alice", what="link-down")
        + event(at_s=20, node="alice", what="link-up")
        + event(at_s=30, node="home", what="restarted"),
        "t.toml",
    )
    server = Endpoint("2a10:c9::2", 3478)

    async def connects(timeout_s: float = LIMIT_S) -> bool:
        found = await lab.network("alice").connect_tcp(server, timeout_s=timeout_s)
        if isinstance(found, TcpFailure):
            return False
        found.abort()
        return True

    async def main() -> list[bool]:
        found = [await connects()]
        for timeout_s in (1.0, LIMIT_S, 1.0, LIMIT_S):
            await lab.events.step()
            found.append(await connects(timeout_s))
        return found

    with still_lab(scenario, backend, 0) as lab:
        assert lab.run(main) == [True, False, True, False, True]


def test_things_happen_while_something_else_runs_in_it() -> None:
    scenario = parse(HOME.format(more="") + event(at_s=0.5, node="alice", what="link-down"), "t.toml")
    with open_lab(scenario, "netns") as lab:
        asked = stun_addresses(scenario, lab.layout)

        async def until_it_is_out() -> str:
            async with asyncio.timeout(LIMIT_S):
                while (found := await view_from_outside(lab.network("alice"), asked)) != "no link":
                    pass
            return found

        assert lab.run(until_it_is_out) == "no link"


def test_they_happen_under_a_program_too(tmp_path: Path) -> None:
    drawn = tmp_path / "soon.toml"
    drawn.write_text(HOME.format(more="") + event(at_s=0.5, node="alice", what="link-down"))
    waits = "while ip -br addr show eth0 | grep -q 10.0.1.2; do sleep 0.05; done; exit 7"
    command = [sys.executable, "-m", "nattools", "lab", "exec", str(drawn), "alice", "--", "sh", "-c", waits]
    assert subprocess.run(command, timeout=LIMIT_S).returncode == 7


def test_a_server_whose_process_was_stopped_twice_comes_back_once() -> None:
    scenario = parse(HOME.format(more=""), "t.toml")
    with NetnsLab(scenario) as lab:
        changes = lab.changes()

        async def main() -> list[str]:
            found = []
            for each in (
                changes.stop_server,
                changes.stop_server,
                changes.start_server,
                changes.start_server,
            ):
                await each("stun")
                found.append(
                    await view_from_outside(lab.network("alice"), stun_addresses(scenario, lab.layout))
                )
            return found

        up = "11.1.0.2, the same port for each"
        found = lab.run(main)
    if any("no answer" in each or "silent" in each for each in found[2:]):
        raise LeftOpenError(found)
    assert found == ["no answer", "no answer", up, up]
