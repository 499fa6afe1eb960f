"""Peers that are known by a name alone, where nobody answers for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nattools.engine.libp2pmeasurement import measure_libp2p
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.peersearch import MOST_PEERS, PeerSearch, bootstrap_peers
from nattools.lab.labpeers import peers_of
from nattools.lab.scenario import HostSpec, Libp2pSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.libp2p import Libp2p, Libp2pPeer
from nattools.model.serveruri import parse_server
from nattools.model.statement import statement
from nattools.protocols.libp2p.dnsaddr import name_of
from nattools.protocols.libp2p.multiaddr import parse_multiaddr
from nattools.wording.sentences import sentence

DRAWN = Scenario(
    title="a peer",
    host={"alice": HostSpec()},
    server={"peer": ServerSpec(libp2p=Libp2pSpec())},
)


def asked(search: PeerSearch) -> Libp2p:
    with SimLab(DRAWN) as lab:
        options = MeasureOptions(command="libp2p", servers=(parse_server("peer"),), libp2p=search)
        report = lab.run(lambda: measure_libp2p(lab.network("alice"), options, lambda event: None))
    assert report.libp2p is not None
    return report.libp2p


def test_others_are_asked_instead_and_the_report_says_so() -> None:
    with SimLab(DRAWN, start_servers=False) as lab:
        known = peers_of(lab.scenario, lab.layout)
    name = parse_multiaddr("/dnsaddr/peers.example")
    found = asked(PeerSearch((name,), instead=known, named=True))
    assert found.names is False
    assert [(row.address, row.identified) for row in found.peers] == [
        (str(name), False),
        (str(known[0]), True),
    ]
    assert found.peers[0].reason[0].code == "peer-unresolved"
    assert "no first peers" in sentence(statement("libp2p-names-lost"))


def test_without_names_nothing_is_said_of_them() -> None:
    assert asked(PeerSearch(named=True)).names is None


def test_the_public_networks_peers_are_those_that_kubo_begins_with() -> None:
    search = bootstrap_peers()
    named = [each for each in search.peers if name_of(each) is not None]
    assert len(named) == 5
    assert all(each.peer is not None for each in (*search.peers, *search.instead))
    assert len(search.peers) + len(search.instead) <= MOST_PEERS


def visited(address: str, blocked: tuple[str, ...] = ()) -> Libp2pPeer:
    drawn = replace(DRAWN, host={"alice": HostSpec(blocked_names=blocked)})
    with SimLab(drawn) as lab:
        search = PeerSearch((parse_multiaddr(address),), named=True)
        options = MeasureOptions(command="libp2p", servers=(), libp2p=search)
        report = lab.run(lambda: measure_libp2p(lab.network("alice"), options, lambda event: None))
    assert report.libp2p is not None
    (found,) = report.libp2p.peers
    return found


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("/dns4/peer/tcp/3478/tls/ws", "peer-web-socket-port"),
        ("/dns4/peer/tcp/3478/wss", "peer-web-socket-port"),
        ("/dns4/peer/tcp/4444/ws", "peer-port-closed"),
        ("/dns4/peer/udp/4001/webrtc-direct", "peer-unsupported"),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/4001", "peer-unsupported"),
        ("/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo", "peer-id-alone"),
    ],
)
def test_of_what_browsers_dial_the_port_is_asked_where_that_tells(address: str, says: str) -> None:
    found = visited(address)
    assert (found.identified, found.reason[0].code) == (False, says)


def test_a_name_that_is_blocked_is_not_taken_for_a_closed_port() -> None:
    found = visited("/dns4/peer/tcp/3478", blocked=("peer",))
    assert found.reason == (statement("peer-name-blocked", address="0.0.0.0"),)
