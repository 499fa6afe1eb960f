"""go-libp2p as the peer: identify, ping, AutoNAT v2, relays, and DCUtR over TCP in both roles."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from conftest import tool
from relayedpeers import KINDS, UpgradeRecorder, context_of, drawn, is_direct, upgrade_of

from nattools.engine.libp2pmeasurement import measure_libp2p
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.peersearch import PeerSearch
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.model.libp2p import Libp2p
from nattools.model.peertrial import UpgradeTried
from nattools.model.serveruri import parse_server
from nattools.net.libp2p.peerconnection import Libp2pConnection
from nattools.net.libp2p.peerhost import PeerHost
from nattools.net.libp2p.peerquestions import ask_to_dial
from nattools.probes.libp2p.upgradetrials import call_through, wait_for_calls
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multiaddr import Multiaddr, parse_multiaddr

pytestmark = [pytest.mark.netns, pytest.mark.interop("p2p")]
GO = ServerSpec(addresses=1, ipv6=False)
_SYMMETRIC = NatSpec(mapping="address-and-port-dependent", allocation="random")
NATS: dict[str, tuple[NatSpec | FirewallSpec, ...]] = {
    "open": (),
    "firewall": (FirewallSpec(),),
    "full cone": (NatSpec(filtering="endpoint-independent"),),
    "address-restricted": (NatSpec(filtering="address-dependent"),),
    "port-restricted": (NatSpec(),),
    "symmetric": (_SYMMETRIC,),
    "CGNAT": (_SYMMETRIC, NatSpec()),
    "UDP blocked": (NatSpec(udp="blocked"),),
}
REACHABLE = {"open": True, "full cone": True}
FALSE_POSITIVES = {"address-restricted"}
PORT = 4001
AGAIN = 2
"""So often it is measured again where something stayed unknown."""
BOB = HostKey(hashlib.sha256(b"bob").digest())
"""As the program makes its key of the seed "bob"."""


class GoPeers:
    """go-libp2p's programs in a lab: a relay and AutoNAT servers."""

    def __init__(self, lab: NetnsLab, names: list[str]) -> None:
        self._lab = lab
        self._running: list[subprocess.Popen[str]] = []
        self.hosts = [lab.layout.ports_of(name)[0].addresses[0].ip for name in names]
        self.addresses: list[Multiaddr] = []
        for name, host in zip(names, self.hosts, strict=True):
            said = self._first_line(self.start(name, "server", host))
            self.addresses.append(parse_multiaddr(f"/ip4/{host}/tcp/{PORT}/p2p/{said['id']}"))

    def start(self, host: str, *arguments: str) -> subprocess.Popen[str]:
        """The program, over TCP alone."""
        command = [str(tool("p2p")), *arguments]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        program = self._lab.popen(host, command, env=os.environ | {"P2P_TCP": "1"}, **pipes)
        self._running.append(program)
        return program

    @staticmethod
    def _first_line(program: subprocess.Popen[str]) -> dict[str, Any]:
        assert program.stdout is not None
        found: dict[str, Any] = json.loads(program.stdout.readline())
        return found

    @staticmethod
    def await_event(program: subprocess.Popen[str], name: str) -> dict[str, Any]:
        """What it says of that, which it says in time or ends."""
        assert program.stdout is not None
        for line in program.stdout:
            said: dict[str, Any] = json.loads(line)
            if said.get("event") == name:
                return said
        raise AssertionError(f"it never said {name}")

    def close(self) -> None:
        """End them all."""
        for program in self._running:
            program.kill()
            program.wait()
            assert program.stdout is not None
            program.stdout.close()


def whole(found: Libp2p, *, quic: bool) -> bool:
    """Has a busy machine left nothing unknown?"""
    peers = all(each.identified and each.autonat and each.relay and each.rtt_ms for each in found.peers)
    told = len(found.autonat) == 1 and found.autonat[0].reachable is not None
    return (
        peers
        and told
        and (not quic or all(each.quic for each in found.peers))
        and bool(found.relay_reserved and found.relays and all(each.carries for each in found.relays))
    )


@contextmanager
def go_peers(lab: NetnsLab, *names: str) -> Iterator[GoPeers]:
    peers = GoPeers(lab, list(names))
    try:
        yield peers
    finally:
        peers.close()


def behind(routers: tuple[NatSpec | FirewallSpec, ...]) -> Scenario:
    """Alice behind these, the first one on the internet."""
    chained = {
        f"nat{number}": msgspec.structs.replace(each, behind=f"nat{number - 1}" if number else None)
        for number, each in enumerate(routers)
    }
    return Scenario(
        title="go",
        nat={name: each for name, each in chained.items() if isinstance(each, NatSpec)},
        firewall={name: each for name, each in chained.items() if isinstance(each, FirewallSpec)},
        host={"alice": HostSpec(behind=f"nat{len(routers) - 1}" if routers else None)},
        server={"stun": ServerSpec(ipv6=False), "one": GO, "two": GO},
    )


def measured(lab: NetnsLab, peers: GoPeers) -> Libp2p:
    options = MeasureOptions(
        command="libp2p",
        servers=tuple(map(parse_server, lab.server_uris()[:1])),
        families=(4,),
        libp2p=PeerSearch(tuple(peers.addresses), named=True),
    )
    report = lab.run(lambda: measure_libp2p(lab.network("alice"), options, lambda event: None))
    assert report.libp2p is not None
    return report.libp2p


@pytest.mark.parametrize("kind", NATS)
def test_what_it_says_of_each_kind_of_network(kind: str) -> None:
    with NetnsLab(behind(NATS[kind])) as lab, go_peers(lab, "one", "two") as peers:
        found = measured(lab, peers)
        for _ in range(AGAIN):
            if whole(found, quic=kind != "UDP blocked"):
                break
            found = measured(lab, peers)
    assert all(peer.identified and peer.autonat and peer.relay for peer in found.peers)
    assert all(peer.rtt_ms is not None for peer in found.peers)
    assert all(peer.quic is (None if kind == "UDP blocked" else True) for peer in found.peers)
    assert found.relay_reserved is True
    assert [(relay.carries, relay.limit_s, relay.limit_bytes) for relay in found.relays] == [
        (True, 120, 128 * 1024)
    ] * 2
    (address,) = found.autonat
    assert address.reachable is REACHABLE.get(kind, False)
    assert address.false_positive is (kind in FALSE_POSITIVES)
    assert found.dcutr == ("birthday only" if kind in ("symmetric", "CGNAT") else "possible")


def test_it_dials_another_address_only_for_many_bytes() -> None:
    """The amplification proof: alice asks for bob's address."""
    scenario = msgspec.structs.replace(behind(()), host={"alice": HostSpec(), "bob": HostSpec()})
    with NetnsLab(scenario, start_servers=False) as lab, go_peers(lab, "one") as peers:

        async def main() -> None:
            bob = lab.layout.ports_of("bob")[0].addresses[0].ip
            async with PeerHost(lab.network("alice")) as alice:
                at = peers.addresses[0]
                assert at.endpoint is not None
                made = await alice.dial(at.endpoint, at.peer, timeout_s=60.0)
                assert isinstance(made, Libp2pConnection)
                answer = await ask_to_dial(made, (parse_multiaddr(f"/ip4/{bob}/tcp/9"),), 7)
                assert (answer.outcome, answer.status, answer.dial) == ("answered", "ok", "dial-error")
                assert answer.data >= 30_000

        lab.run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_called_through_a_relay_and_leads_the_upgrade(kind: str) -> None:
    """We call, it leads: where our address is public, it dials that first, from its listening port."""
    seen = called_through_a_relay(kind)
    assert seen.relayed == "ok"
    assert seen.relayed_rtt_s is not None
    assert (seen.rtt_s is not None) is is_direct(kind, "port-restricted"), seen
    assert (seen.attempts, seen.end) == (0, "dialled") if kind == "open" else seen.attempts > 0, seen
    if seen.end == "met":
        assert seen.attempts == 1, seen


def called_through_a_relay(kind: str) -> UpgradeTried:
    """What came of one call."""
    scenario = drawn(kind, "port-restricted")
    scenario = msgspec.structs.replace(scenario, server={f"go{number}": GO for number in range(4)})
    with NetnsLab(scenario, start_servers=False) as lab, go_peers(lab, *scenario.server) as peers:
        GoPeers.await_event(peers.start("bob", "listen", "bob", ",".join(peers.hosts)), "ready")

        async def main() -> UpgradeRecorder:
            context, recorder = context_of(lab, "alice")
            at = peers.addresses[0].to(("p2p-circuit", ""), ("p2p", str(BOB.peer)))
            await call_through(context, at)
            return recorder

        return upgrade_of(lab.run(main))


@pytest.mark.parametrize("kind", KINDS)
def test_it_calls_through_a_relay_and_follows_the_upgrade(kind: str) -> None:
    """It calls, we lead."""
    scenario = drawn("port-restricted", kind)
    scenario = msgspec.structs.replace(scenario, server={f"go{number}": GO for number in range(4)})
    with NetnsLab(scenario, start_servers=False) as lab, go_peers(lab, *scenario.server) as peers:

        async def main() -> tuple[UpgradeRecorder, dict[str, Any]]:
            context, recorder = context_of(lab, "bob", BOB)
            placed = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(
                    wait_for_calls(context, peers.addresses[0], 60.0, lambda address: placed.set())
                )
                await placed.wait()
                program = peers.start("alice", "dial", "alice", "bob", ",".join(peers.hosts))
                result = await asyncio.to_thread(GoPeers.await_event, program, "result")
                await recorder.upgraded.wait()
                waiting.cancel()
            return recorder, result

        recorder, result = lab.run(main)
    seen, direct = upgrade_of(recorder), is_direct("port-restricted", kind)
    assert seen.role == "called"
    assert (result.get("direct") is True) is direct, (result, seen)
    assert result.get("ping_ok", False) is direct
    assert (seen.rtt_s is not None) is direct
