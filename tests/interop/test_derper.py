"""Tailscale's own DERP server: its latency, packets through it, and what it refuses."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from conftest import tool
from punching import punching
from simulated import Notes

from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.lab import scenarioservers
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.netns.processes import await_listener
from nattools.lab.scenario import DerpSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.net.derp.derplatency import captive_portal, https_latency
from nattools.net.derp.derpsocket import DerpSocket, open_derp
from nattools.net.web.serversteps import StepFailure
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.relay.pinger import open_pinger
from nattools.protocols import derp, stun
from nattools.traversal.relayaccess import DerpAccess

pytestmark = [pytest.mark.netns, pytest.mark.interop("derper")]
WALLED = NatSpec(udp="blocked", open_ports=("tcp/443", "tcp/3478"))
SCENARIO = Scenario(
    title="derper",
    nat={"left": WALLED, "right": WALLED, "home": NatSpec()},
    host={
        "alice": HostSpec(behind="left"),
        "bob": HostSpec(behind="right"),
        "carol": HostSpec(behind="home"),
    },
    server={
        "stun": ServerSpec(addresses=1),
        "derp": ServerSpec(addresses=1, derp=DerpSpec()),
        "private": ServerSpec(addresses=1, derp=DerpSpec()),
    },
)
_LIMIT_S = 60.0
TRIES = 20


@contextmanager
def derper(lab: NetnsLab, server: str, folder: Path, *options: str) -> Iterator[derp.DerpNode]:
    """One that runs, as its map would have it."""
    host = lab.layout.ports_of(server)[0].addresses[0].ip
    command = [str(tool("derper")), "-a", f"{host}:443", "-http-port", "80", "-stun-port", "3478"]
    command += ["-hostname", host, "-certmode", "manual", "-certdir", str(folder)]
    command += ["-c", str(folder / "key.json"), *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": folder}
    program = lab.popen(server, command, **pipes)
    assert program.stdout is not None
    with program.stdout as said:
        lines: list[str] = []
        found = None
        while found is None and (line := said.readline()):
            lines.append(line)
            found = re.search(r"sha256-raw:[0-9a-f]{64}", line)
        assert found is not None, "".join(lines)
        await_listener(program, 443, _LIMIT_S, ("tcp", "tcp6"))
        yield derp.DerpNode(host=host, ipv4=host, ipv6=None, certificate=found[0], answers_port_80=True)


@pytest.fixture(scope="module")
def lab() -> Iterator[NetnsLab]:
    with NetnsLab(SCENARIO, start_servers=False) as running:
        yield running


@pytest.fixture(scope="module")
def node(lab: NetnsLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[derp.DerpNode]:
    with derper(lab, "derp", tmp_path_factory.mktemp("derper")) as running:
        yield running


@asynccontextmanager
async def relayed(lab: NetnsLab, host: str, node: derp.DerpNode) -> AsyncIterator[DerpSocket]:
    socket = await open_derp(lab.network(host), node)
    assert isinstance(socket, DerpSocket), socket
    try:
        yield socket
    finally:
        socket.close()


async def until(notes: Notes, count: int) -> list[bytes]:
    async with asyncio.timeout(_LIMIT_S):
        while len(notes.payloads) < count:  # noqa: ASYNC110 -- Notes has no event
            await asyncio.sleep(0.01)
    return notes.payloads


def test_its_latency_is_measured_by_stun_and_by_https(lab: NetnsLab, node: derp.DerpNode) -> None:
    async def main() -> None:
        carol, alice = lab.network("carol"), lab.network("alice")
        loop = asyncio.get_running_loop()
        began = loop.time()
        seconds = await https_latency(alice, node)
        assert isinstance(seconds, float), seconds
        assert 0.0 < seconds <= loop.time() - began
        assert await captive_portal(carol, node) is False
        place = Endpoint(node.host, 3478)
        for network, count in ((carol, 2), (alice, 0)):
            pinger = await open_pinger(network, 4, InFlightLimit())
            trips = await pinger.trips(derp.tailnode_request, place, 2)
            for _ in range(TRIES if len(trips) < count else 0):  # a busy machine answers late
                trips = await pinger.trips(derp.tailnode_request, place, 2)
                if len(trips) == count:
                    break
            assert len(trips) == count
            assert await pinger.trips(lambda number: stun.binding_request(number), place, 1) == []
            pinger.socket.close()

    lab.run(main)


def test_packets_pass_between_two_sites_that_let_out_nothing_but_https(
    lab: NetnsLab, node: derp.DerpNode
) -> None:
    async def main() -> None:
        async with relayed(lab, "alice", node) as alice, relayed(lab, "bob", node) as bob:
            echoing, answers = Notes(bob, echo=True), Notes(alice)
            bob.permit(alice.key)
            place = alice.permit(bob.key)
            for size in (1, 1200, 65536):
                assert alice.send(bytes(size), place) is None
            assert [len(data) for data in await until(answers, 3)] == [1, 1200, 65536]
            assert echoing.sources == [alice.local] * 3
            assert alice.send(b"to myself", alice.permit(alice.key)) is None
            assert (await until(answers, 4))[3] == b"to myself"

    lab.run(main)


def test_a_peer_that_leaves_is_told_of(lab: NetnsLab, node: derp.DerpNode) -> None:
    async def main() -> None:
        async with relayed(lab, "alice", node) as alice:
            gone = asyncio.get_running_loop().create_future()
            alice.on_gone = gone.set_result
            async with relayed(lab, "bob", node) as bob:
                heard = Notes(alice)
                place = alice.permit(bob.key)
                bob.send(b"x", bob.permit(alice.key))
                await until(heard, 1)
            async with asyncio.timeout(_LIMIT_S):
                assert await gone == place

    lab.run(main)


def test_one_that_verifies_its_clients_refuses_and_is_named(lab: NetnsLab, tmp_path: Path) -> None:
    with derper(lab, "private", tmp_path, "-verify-clients") as node:
        failure = lab.run(lambda: open_derp(lab.network("alice"), node))
    assert isinstance(failure, StepFailure), failure
    assert (failure.step, failure.cause) == ("authenticate", "verifies")


def test_another_certificate_than_the_maps_is_not_accepted(lab: NetnsLab, node: derp.DerpNode) -> None:
    from msgspec.structs import replace

    async def main() -> None:
        for certificate in ("", "sha256-raw:" + "0" * 64):
            failure = await open_derp(lab.network("alice"), replace(node, certificate=certificate))
            assert isinstance(failure, StepFailure), failure
            assert (failure.step, failure.cause) == ("tls", "certificate")

    lab.run(main)


def test_punch_meets_at_it_where_neither_side_has_any_other_way(lab: NetnsLab, node: derp.DerpNode) -> None:
    address = lab.layout.ports_of("stun")[0].addresses[0].ip

    async def main() -> tuple[Report, Report]:
        mailbox = await scenarioservers.start(lab.network("stun"), SCENARIO.server["stun"], (address,))
        sides = [
            (
                lab.network(host),
                PunchOptions(measuring=punching(lab), low_ports=False, relays=(DerpAccess(node),)),
                Watcher(),
            )
            for host in ("alice", "bob")
        ]
        try:
            return await punch_both(sides[0], sides[1])
        finally:
            await mailbox.close()

    for report in lab.run(main):
        assert report.punch is not None
        assert report.punch.connected, report.punch.why
        assert report.punch.relay is not None
        assert (report.punch.relay.kind, report.punch.relay.uri) == ("derp", node.uri)
