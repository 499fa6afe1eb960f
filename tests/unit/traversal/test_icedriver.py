"""Agents over the simulator's sockets, through NATs of every kind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from random import Random

import pytest
from punching import offer
from simulated import pass_time

from nattools.errors import CannotRun
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.protocols import ice
from nattools.protocols.demultiplex import SharedProtocol, protocol_of
from nattools.traversal.icedriver import IceDriver

EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"
RTT_S = 0.08

Site = NatSpec | FirewallSpec | None
SITES: dict[str, Site] = {
    "open": None,
    "firewall": FirewallSpec(filtering=APD),
    "full cone": NatSpec(filtering=EI),
    "address-restricted": NatSpec(filtering=AD),
    "port-restricted": NatSpec(filtering=APD),
    "symmetric": NatSpec(mapping=APD, filtering=APD, allocation="random"),
}
HARD = {("firewall", "symmetric"), ("port-restricted", "symmetric"), ("symmetric", "symmetric")}
PAIRS = list(combinations_with_replacement(SITES, 2))


def between(one: Site, other: Site, **options: float) -> Scenario:
    """Alice and Bob, each behind a router of the kind or on the internet, 20 ms from it."""
    sites = {"alice": ("left", one), "bob": ("right", other)}
    nats = {name: spec for name, spec in sites.values() if isinstance(spec, NatSpec)}
    walls = {name: spec for name, spec in sites.values() if isinstance(spec, FirewallSpec)}
    hosts = {
        host: HostSpec(behind=None if spec is None else name, delay_ms=RTT_S * 250, **options)  # type: ignore[arg-type]
        for host, (name, spec) in sites.items()
    }
    return Scenario(title="two sites", nat=nats, firewall=walls, host=hosts)


@dataclass
class Peers:
    """Both sides' drivers, with their candidates exchanged."""

    lab: SimLab
    opener: ice.OpeningChecks | None = None
    data: list[tuple[bytes, SharedProtocol]] = field(default_factory=list)
    events: list[ice.IceEvent] = field(default_factory=list)
    drivers: list[IceDriver] = field(default_factory=list)

    async def gather(self) -> None:
        roles: tuple[tuple[str, ice.Role], ...] = (("alice", "controlling"), ("bob", "controlled"))
        for node, role in roles:
            driver = IceDriver(ice.Agent(role, rng=Random(node), expected_rtt_s=RTT_S))
            driver.agent.set_opener(self.opener)
            await offer(driver, self.lab.network(node))
            self.drivers.append(driver)
        await pass_time(1.0)

    async def connect(self, timeout_s: float = 60.0) -> float | None:
        """The time from the exchange of candidates to a pair on both sides."""
        one, other = self.drivers
        one.on_event = self.events.append
        other.on_data = lambda data, protocol, local, source: self.data.append((data, protocol))
        for driver, peer in ((one, other), (other, one)):
            driver.set_peer(*peer.agent.credentials)
            for candidate in peer.agent.local_candidates:
                assert driver.add_peer_candidate(ice.encode(candidate)) is None
        loop = asyncio.get_running_loop()
        began = loop.time()
        pairs = [await driver.connected(timeout_s) for driver in self.drivers]
        return None if None in pairs else loop.time() - began

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()


def attempt(
    scenario: Scenario, opener: ice.OpeningChecks | None = None, seed: int = 0
) -> tuple[float | None, Peers]:
    with SimLab(scenario, seed=seed) as lab:
        peers = Peers(lab, opener)

        async def main() -> float | None:
            await peers.gather()
            elapsed = await peers.connect()
            if elapsed is not None:
                peers.drivers[0].send(b"\xc0 hello")
                await pass_time(0.5)
            peers.close()
            return elapsed

        return lab.run(main), peers


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda name: name.replace(" ", "-"))
def test_every_kind_of_nat(one: str, other: str) -> None:
    """What plain checks can do they do within 3.5 round trips; the rest fails with a reason."""
    elapsed, peers = attempt(between(SITES[one], SITES[other]))
    agent = peers.drivers[0].agent
    if (one, other) in HARD:
        assert elapsed is None
        assert agent.pairs
        assert all(pair.reason for pair in agent.pairs)
        assert any("no answer to" in e.reason for e in peers.events if isinstance(e, ice.PairChanged))
    else:
        assert elapsed is not None
        assert elapsed <= 3.5 * RTT_S
        assert peers.data == [(b"\xc0 hello", "quic")]


@pytest.mark.parametrize("seed", range(5))
def test_openers_pass_routers_that_early_packets_poison(seed: int) -> None:
    """Linux NATs with open INPUT: a packet that arrives too early takes the port that it was for."""
    spec = NatSpec(filtering=APD, input="open")
    elapsed, _ = attempt(between(spec, spec), ice.OpeningChecks(ttl=2, gap_s=0.2), seed)
    assert elapsed is not None
    assert elapsed < 1.0


@pytest.mark.parametrize("seed", range(5))
def test_loss(seed: int) -> None:
    elapsed, _ = attempt(between(SITES["port-restricted"], SITES["port-restricted"], loss=0.05), seed=seed)
    assert elapsed is not None
    assert elapsed < 5.0


@pytest.mark.parametrize("kind", ["firewall", "open"])
def test_ipv6(kind: str) -> None:
    """Over the families side by side, through IPv6 firewalls on both sides."""
    nat = NatSpec(ipv6="firewall" if kind == "firewall" else "open")
    with SimLab(between(nat, nat)) as lab:
        peers = Peers(lab)

        async def main() -> float | None:
            await peers.gather()
            for node, driver in zip(("alice", "bob"), peers.drivers, strict=True):
                driver.add_socket(await lab.network(node).open_udp(family=6))
            elapsed = await peers.connect()
            await pass_time(1.0)
            peers.close()
            return elapsed

        elapsed = lab.run(main)
    assert elapsed is not None
    assert elapsed <= 3.5 * RTT_S
    families = {pair.local.family for pair in peers.drivers[0].agent.pairs if pair.valid}
    assert families == {4, 6}


def test_sockets_without_candidates_hear_the_peers_probes() -> None:
    """Birthday, in small: one probe to each of ten sockets that nobody was told of."""
    with SimLab(between(None, None)) as lab:
        peers = Peers(lab)

        async def main() -> None:
            await peers.gather()
            one, other = peers.drivers
            sockets = [await lab.network("bob").open_udp(family=4) for _ in range(10)]
            for socket in sockets:
                other.listen(socket)
            for driver, peer in ((one, other), (other, one)):
                driver.set_peer(*peer.agent.credentials)
            sender = await lab.network("alice").open_udp(family=4)
            one.listen(sender)
            one.probe(sender, sockets[7].local)
            assert await one.connected(5.0) is not None
            assert await other.connected(5.0) is not None
            selected = other.agent.selected
            assert selected is not None
            assert selected.path == ("udp", sockets[7].local, sender.local)
            for socket in sockets:
                other.release(socket)
            assert [pair.path[1] for pair in other.agent.pairs] == [sockets[7].local]
            for number in (0, 7):  # a little later, so that no late packet meets with an ICMP error
                with pytest.raises(CannotRun):
                    await lab.network("bob").open_udp(family=4, port=sockets[number].local.port)
            await pass_time(2.5)
            assert await lab.network("bob").open_udp(family=4, port=sockets[0].local.port)
            with pytest.raises(CannotRun):
                await lab.network("bob").open_udp(family=4, port=sockets[7].local.port)
            peers.close()

        lab.run(main)


def test_what_was_released_a_moment_ago_is_closed_with_the_driver() -> None:
    with SimLab(between(None, None)) as lab:
        peers = Peers(lab)

        async def main() -> None:
            await peers.gather()
            await peers.connect()
            socket = await lab.network("bob").open_udp(family=4)
            peers.drivers[1].listen(socket)
            peers.drivers[1].release(socket)
            peers.close()
            assert await lab.network("bob").open_udp(family=4, port=socket.local.port)

        lab.run(main)


def test_strangers_data_is_dropped_and_counted() -> None:
    with SimLab(between(None, None)) as lab:
        peers = Peers(lab)

        async def main() -> None:
            await peers.gather()
            await peers.connect()
            stranger = await lab.network("stun").open_udp(family=4)
            (target,) = [c.endpoint for c in peers.drivers[1].agent.local_candidates if c.kind == "host"]
            stranger.send(b"\xc0 boo", target)
            await pass_time(0.5)
            peers.close()

        lab.run(main)
    assert peers.data == []
    assert sum(peers.drivers[1].agent.rejected.values()) == 1


def test_first_bytes() -> None:
    """RFC 7983 and RFC 9443."""
    expected = {
        0: "stun",
        3: "stun",
        4: "unknown",
        16: "zrtp",
        22: "dtls",
        64: "quic",
        128: "rtp",
        192: "quic",
    }
    assert {first: protocol_of(bytes([first])) for first in expected} == expected
    assert protocol_of(b"\x40", from_relay=True) == "turn-channel"
    assert protocol_of(b"") == "unknown"
